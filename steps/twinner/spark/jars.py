"""The jars of Spark NLP, and those for S3: locked, fetched once, checked.

In the folder `steps/`, `python -m twinner.spark.jars` fetches them into the cache before the first training, and
`python -m twinner.spark.jars --refresh` updates the sha256 and size of every jar in both locks.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pyspark
from filelock import FileLock
from tqdm import tqdm

from twinner.cache import CacheUnusable, cache_folder, cache_root, folder_size, writable_cache_folder
from twinner.errors import BadInput
from twinner.secrets import mask_secrets
from twinner.spark.java import java_home, java_program, trust_options

LOCK = Path(__file__).with_name("jars.lock")
S3_LOCK = Path(__file__).with_name("s3.lock")
PLATFORMS = {
    ("Linux", "x86_64"): "linux-x86_64",
    ("Darwin", "x86_64"): "macosx-x86_64",
    ("Windows", "AMD64"): "windows-x86_64",
}


@dataclass(frozen=True, order=True)
class Jar:
    """One jar of the lock. platform: where its native code runs, empty if it has none. size: in bytes."""

    group: str
    artifact: str
    version: str
    platform: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The jar's file name in every Maven repository and in the cache."""
        return "-".join(filter(None, (self.artifact, self.version, self.platform))) + ".jar"


def platform_supported() -> bool:
    """Return whether the jars have native code for this machine.

    Nothing is published for ARM: TensorFlow's Java library 0.4.2 has builds for x86-64 alone (onnxruntime has others).
    """
    return _platform() is not None


def check_platform() -> None:
    """Raise BadInput if the jars can't run on this machine."""
    if not platform_supported():
        raise BadInput(
            f"Spark NLP can't run here: its TensorFlow has no build for {platform.system()} {platform.machine()}",
            "use Linux, Windows or macOS on an x86-64 processor, or train with spaCy",
        )


def spark_jars(lock: Path = LOCK) -> list[Path]:
    """Return the jars of the lock for this platform, in its order, and fetch those that are not in the cache.

    They come from Maven Central, or from the repository whose URL is in TWINNER_MAVEN, through the Ivy that pyspark
    bundles. Of several processes that need them, one fetches and the others wait. A complete cache may be read-only.
    Raises BadInput if there is no build for this platform, a jar can't be fetched, or it differs from the lock.
    """
    if lock != S3_LOCK:
        check_platform()
    jars, folder = _jars_for_platform(lock), cache_folder("jars")
    if _missing(jars, folder):
        with FileLock(writable_cache_folder("jars") / ".lock"):
            if missing := _missing(jars, folder):  # another process may have fetched them meanwhile
                _fetch_into(folder, missing)
    return [folder / jar.name for jar in jars]


def are_in_cache(lock: Path = LOCK) -> bool:
    """Return whether `spark_jars` would return without fetching anything."""
    try:
        return platform_supported() and not _missing(_jars_for_platform(lock), cache_root() / "jars")
    except CacheUnusable:
        return False


def read_lock(lock: Path = LOCK) -> list[Jar]:
    """Return the jars of a lock for all platforms; sha256 and size are empty and 0 if the lock does not have them."""
    jars = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            coordinates, sha256, size = (*line.split(), "", "0")[:3]
            group, artifact, version, for_platform = (*coordinates.split(":"), "")[:4]
            jars.append(Jar(group, artifact, version, for_platform, sha256, int(size)))
    return jars


def refresh_lock(lock: Path = LOCK) -> None:
    """Fetch the jars of a lock for all platforms, and write their sha256 and size into it."""
    lines = [line for line in lock.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    with tempfile.TemporaryDirectory() as folder:
        jars = read_lock(lock)
        output = _run_ivy(jars, Path(folder))
        for jar in jars:
            path = Path(folder, "jars", jar.name)
            if not path.exists():
                raise BadInput(f"{jar.name} could not be fetched: {_reason(output)}", f"correct its line in {lock}")
            coordinates = ":".join(filter(None, (jar.group, jar.artifact, jar.version, jar.platform)))
            lines.append(f"{coordinates} {_sha256(path)} {path.stat().st_size}")
    lock.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _platform() -> str | None:
    """Return the lock's name for this platform, None if there is no build for it."""
    return PLATFORMS.get((platform.system(), platform.machine()))


def _jars_for_platform(lock: Path) -> list[Jar]:
    return [jar for jar in read_lock(lock) if jar.platform in ("", _platform())]


def _missing(jars: Iterable[Jar], folder: Path) -> list[Jar]:
    """Return the jars that are not in a folder, by their size: their sha256 was checked when they were fetched."""
    return [jar for jar in jars if not ((path := folder / jar.name).is_file() and path.stat().st_size == jar.size)]


def _fetch_into(folder: Path, jars: list[Jar]) -> None:
    """Fetch and check jars, and move the right ones into the folder, so that the next try fetches only the rest."""
    for abandoned in folder.glob(".fetch-*"):  # by a killed process: we hold the lock, so nobody uses it
        shutil.rmtree(abandoned, ignore_errors=True)
    arrivals = Path(tempfile.mkdtemp(prefix=".fetch-", dir=folder))
    try:
        megabytes = sum(jar.size for jar in jars) / 1e6
        print(f"Fetching {len(jars)} jars for Spark ({megabytes:,.0f} MB), once, to {folder}", file=sys.stderr)
        output = _run_ivy(jars, arrivals)
        failures = []
        for jar in jars:
            path = arrivals / "jars" / jar.name
            if not path.is_file():
                failures.append((jar.name, f"could not be fetched: {_reason(output)}"))
            elif (found := _sha256(path)) != jar.sha256:
                failures.append((jar.name, f"has the sha256 {found}, not {jar.sha256}"))
            else:
                path.replace(folder / jar.name)
    finally:
        shutil.rmtree(arrivals, ignore_errors=True)
    if failures:
        name, problem = failures[0]
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise BadInput(
            f"the jar {name}{more} {problem}",
            "check the network and run again, or set TWINNER_MAVEN to the URL of a Maven repository that has it",
        )


def _run_ivy(jars: list[Jar], folder: Path) -> str:
    """Let Ivy fetch jars to `folder`/jars, with a progress bar on a terminal; return its output.

    Ivy continues after a failure, so the caller has to check which jars are there.
    """
    description, settings, log = folder / "ivy.xml", folder / "ivysettings.xml", folder / "ivy.log"
    description.write_text(_ivy_description(jars), encoding="utf-8")
    settings.write_text(_ivy_settings(folder), encoding="utf-8")
    ivy = next(Path(pyspark.__file__).parent.glob("jars/ivy-*.jar"))
    command: list[str | Path] = [java_program(java_home()), *trust_options(folder)]
    command += [f"-Divy.default.ivy.user.dir={folder}", "-jar", ivy, "-ivy", description, "-settings", settings]
    total = sum(jar.size for jar in jars) or None
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            env=os.environ | {"TWINNER_MAVEN": _maven()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
        tqdm(total=total, unit="B", unit_scale=True, desc="jars", disable=None, leave=False) as bar,
    ):
        try:
            while process.poll() is None:
                time.sleep(0.1)
                bar.update(folder_size(folder / "jars") - bar.n)
        finally:
            process.kill()
    return log.read_text(encoding="utf-8", errors="replace")


def _ivy_description(jars: list[Jar]) -> str:
    """Return Ivy's list of jars: each by name (else Ivy fetches sources and javadoc too), without its dependencies."""

    def artifact(jar: Jar) -> str:
        classifier = f" m:classifier={quoteattr(jar.platform)}" if jar.platform else ""
        return f'<artifact name={quoteattr(jar.artifact)} type="jar" ext="jar"{classifier}/>'

    modules = groupby(sorted(jars), key=lambda jar: (jar.group, jar.artifact, jar.version))
    dependencies = "".join(
        f"<dependency org={quoteattr(group)} name={quoteattr(name)} rev={quoteattr(version)}"
        f' conf="default->*" transitive="false">{"".join(map(artifact, members))}</dependency>'
        for (group, name, version), members in modules
    )
    return (
        '<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">'
        '<info organisation="twinner" module="jars"/><configurations><conf name="default"/></configurations>'
        f"<dependencies>{dependencies}</dependencies></ivy-module>"
    )


def _ivy_settings(folder: Path) -> str:
    """Return Ivy's settings: where it fetches from and to.

    Without a `root` it uses Maven Central. It ignores the repository's own checksums, since the lock has ours.
    """
    root = ' root="${env.TWINNER_MAVEN}"' if _maven() else ""  # by name, since it may hold a password
    return (
        '<ivysettings><properties environment="env"/><settings defaultResolver="maven"/>'
        '<timeout-constraints><timeout-constraint name="patience" connectionTimeout="15000" readTimeout="60000"/>'
        f"</timeout-constraints><caches defaultCacheDir={quoteattr(str(folder))}"
        ' artifactPattern="jars/[artifact]-[revision](-[classifier]).[ext]"/><resolvers>'
        f'<ibiblio name="maven" m2compatible="true" usepoms="false" checksums="" timeoutConstraint="patience"{root}/>'
        "</resolvers></ivysettings>"
    )


def _maven() -> str:
    """Return the URL in TWINNER_MAVEN, which ends in a slash, or nothing."""
    maven = os.environ.get("TWINNER_MAVEN", "").strip()
    return f"{maven.rstrip('/')}/" if maven else ""


def _reason(output: str) -> str:
    """Return the cause of a failure from Ivy's output: a network error if there is one, else a missing jar."""
    if error := re.search(r"Server access error at url (\S+) \((.+?)\)\s*$", output, re.MULTILINE):
        url, cause = error.groups()
        return f"{url}: {cause.rsplit('Exception: ', 1)[-1]}"
    if gone := re.search(r"^\s*(https?://\S+\.jar)\s*$", output, re.MULTILINE):
        return f"{gone[1]} is not there"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "Java printed nothing"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    """Fetch the jars, or refresh the lock; return the exit status, 2 if that fails."""
    try:
        if sys.argv[1:] == ["--refresh"]:
            for lock in (LOCK, S3_LOCK):
                refresh_lock(lock)
        else:
            print(f"{len(spark_jars())} jars in {cache_folder('jars')}")
    except BadInput as error:
        print(mask_secrets(str(error)), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
