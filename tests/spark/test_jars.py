import hashlib
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twinner.cache import CacheUnusable
from twinner.errors import BadInput
from twinner.spark import jars
from twinner.spark.jars import are_in_cache, check_platform, platform_supported, read_lock, refresh_lock, spark_jars


class Maven:
    """A local Maven repository of invented jars, and a lock that names them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "repository"
        self.lock = folder / "jars.lock"
        self.lock.write_text("# the jars of a test\n")
        self.asked: list[str] = []
        self.folder.mkdir()
        handler = partial(Handler, maven=self, directory=str(self.folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, coordinates: str, content: bytes, sha256: str = "") -> str:
        """Put a jar into the repository and the lock; return its name."""
        group, artifact, version, *platform = coordinates.split(":")
        name = "-".join((artifact, version, *platform)) + ".jar"
        path = self.folder.joinpath(*group.split("."), artifact, version, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        sha256 = sha256 or hashlib.sha256(content).hexdigest()
        with self.lock.open("a") as file:
            file.write(f"{coordinates} {sha256} {len(content)}\n")
        return name


class Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, maven: Maven, **more: Any) -> None:
        self.maven = maven
        super().__init__(*args, **more)

    def do_GET(self) -> None:
        self.maven.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Maven]:
    monkeypatch.setenv("TWINNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    repository = Maven(tmp_path)
    monkeypatch.setenv("TWINNER_MAVEN", repository.url)
    yield repository
    repository.server.shutdown()
    repository.server.server_close()


def in_cache(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache" / "jars").iterdir() if not path.name.startswith(".lock"))


def test_fetches_jars_once_in_the_order_of_the_lock(
    maven: Maven, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    maven.add("org.second:engine_2.12:5.0", b"engine" * 1000)
    maven.add("org.first:core:1.2", b"core")
    fetched = spark_jars(maven.lock)
    assert [path.name for path in fetched] == ["engine_2.12-5.0.jar", "core-1.2.jar"]
    assert [path.read_bytes() for path in fetched] == [b"engine" * 1000, b"core"]
    assert "Fetching 2 jars for Spark" in capfd.readouterr().err

    maven.asked.clear()
    assert spark_jars(maven.lock) == fetched
    assert maven.asked == []
    assert capfd.readouterr().err == ""
    assert in_cache(tmp_path) == ["core-1.2.jar", "engine_2.12-5.0.jar"]


def test_fetches_native_jars_of_this_platform_only(maven: Maven, tmp_path: Path) -> None:
    maven.add("org.first:core:1.2", b"core")
    for platform in ("linux-x86_64", "macosx-x86_64", "windows-x86_64"):
        maven.add(f"org.first:core:1.2:{platform}", platform.encode())
    assert [path.name for path in spark_jars(maven.lock)] == ["core-1.2.jar", "core-1.2-linux-x86_64.jar"]
    assert in_cache(tmp_path) == ["core-1.2-linux-x86_64.jar", "core-1.2.jar"]


def test_rejects_a_changed_jar_and_keeps_the_others(maven: Maven, tmp_path: Path) -> None:
    maven.add("org.first:core:1.2", b"core")
    maven.add("org.first:changed:1.0", b"other", sha256="0" * 64)
    with pytest.raises(BadInput, match=r"^the jar changed-1\.0\.jar has the sha256 d9298a10d1b0735837dc4bd85dac641b"):
        spark_jars(maven.lock)
    assert in_cache(tmp_path) == ["core-1.2.jar"]


def test_names_the_address_of_a_missing_jar(maven: Maven, tmp_path: Path) -> None:
    name = maven.add("org.first:core:1.2", b"core")
    (maven.folder / "org/first/core/1.2" / name).unlink()
    with pytest.raises(BadInput, match=rf"the jar core-1\.2\.jar could not be fetched: {maven.url}/.* is not there;"):
        spark_jars(maven.lock)
    assert in_cache(tmp_path) == []


def test_resumes_after_a_failed_fetch(maven: Maven) -> None:
    maven.add("org.first:core:1.2", b"core")
    late = maven.add("org.first:late:1.0", b"late")
    path = maven.folder / "org/first/late/1.0" / late
    path.rename(path.with_suffix(".away"))
    with pytest.raises(BadInput, match="late"):
        spark_jars(maven.lock)
    path.with_suffix(".away").rename(path)
    maven.asked.clear()
    assert len(spark_jars(maven.lock)) == 2
    assert not [asked for asked in maven.asked if "core" in asked]


def test_dead_server_is_one_line(maven: Maven, monkeypatch: pytest.MonkeyPatch) -> None:
    maven.add("org.first:core:1.2", b"core")
    maven.server.shutdown()
    maven.server.server_close()
    with pytest.raises(BadInput, match=r"could not be fetched: .*[Cc]onnection refused.*; check the network") as caught:
        spark_jars(maven.lock)
    assert "\n" not in str(caught.value)


def test_fetches_a_truncated_jar_again(maven: Maven, tmp_path: Path) -> None:
    name = maven.add("org.first:core:1.2", b"core")
    spark_jars(maven.lock)
    (tmp_path / "cache" / "jars" / name).write_bytes(b"co")
    assert spark_jars(maven.lock)[0].read_bytes() == b"core"


def test_concurrent_calls_fetch_once(maven: Maven) -> None:
    maven.add("org.first:core:1.2", b"core" * 100_000)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(spark_jars, [maven.lock] * 2)
    assert first == second
    assert sum(asked.endswith("core-1.2.jar") for asked in maven.asked) == 1


@pytest.mark.parametrize(
    ("system", "machine", "supported"),
    [
        ("Linux", "x86_64", True),
        ("Darwin", "x86_64", True),
        ("Windows", "AMD64", True),
        ("Linux", "aarch64", False),  # Graviton
        ("Darwin", "arm64", False),  # Apple silicon
        ("Linux", "riscv64", False),
    ],
)
def test_a_platform_is_supported_if_tensorflow_has_a_build(
    system: str, machine: str, supported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert platform_supported() == supported
    if supported:
        check_platform()
    else:
        problem = f"Spark NLP can't run here: its TensorFlow has no build for {system} {machine}; use Linux, Windows or"
        with pytest.raises(BadInput, match=problem):
            check_platform()


def test_an_unsupported_platform_fetches_nothing(maven: Maven, monkeypatch: pytest.MonkeyPatch) -> None:
    maven.add("org.first:core:1.2", b"core")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert not are_in_cache(maven.lock)
    with pytest.raises(BadInput, match="TensorFlow has no build for Linux aarch64"):
        spark_jars(maven.lock)
    assert maven.asked == []


def test_missing_jars_and_no_usable_cache_is_one_line(
    maven: Maven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven.add("org.first:core:1.2", b"core")
    (tmp_path / "file").touch()
    monkeypatch.setenv("TWINNER_CACHE", str(tmp_path / "file"))
    assert not are_in_cache(maven.lock)
    with pytest.raises(
        CacheUnusable, match=rf"^the cache folder {tmp_path}/file/jars can't be made \(.*; set TWINNER_"
    ):
        spark_jars(maven.lock)
    # In this folder of Linux nobody can make files, root neither.
    monkeypatch.setattr(jars, "cache_folder", lambda name: Path("/proc/self"))
    monkeypatch.setattr("twinner.cache.cache_folder", lambda name: Path("/proc/self"))
    with pytest.raises(CacheUnusable, match=r"^the cache folder /proc/self can't be written to \("):
        spark_jars(maven.lock)
    assert maven.asked == []


def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "twinner.spark.jars"],
        cwd=Path(jars.__file__).parents[2],
        env=os.environ | {"TWINNER_CACHE": str(tmp_path / "file" / "cache"), "TWINNER_MAVEN": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    *progress, error = done.stderr.splitlines()
    assert progress == [line for line in progress if line.startswith("Fetching ")]
    assert "check the network" in error


def test_trusts_the_ca_bundle_of_other_programs(maven: Maven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = self_signed_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    maven.server.socket = context.wrap_socket(maven.server.socket, server_side=True)
    monkeypatch.setenv("TWINNER_MAVEN", maven.url.replace("http:", "https:"))
    maven.add("org.first:core:1.2", b"core")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BadInput, match="unable to find valid certification path"):
        spark_jars(maven.lock)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert spark_jars(maven.lock)[0].read_bytes() == b"core"


def self_signed_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


def test_refresh_updates_all_platforms_and_keeps_comments(maven: Maven) -> None:
    maven.add("org.first:core:1.2", b"core", sha256="outdated")
    maven.add("org.first:core:1.2:windows-x86_64", b"windows")
    text = maven.lock.read_text()
    maven.lock.write_text("\n".join(line.split(" ")[0] if "core" in line else line for line in text.splitlines()))
    refresh_lock(maven.lock)
    assert maven.lock.read_text().splitlines() == [
        "# the jars of a test",
        f"org.first:core:1.2 {hashlib.sha256(b'core').hexdigest()} 4",
        f"org.first:core:1.2:windows-x86_64 {hashlib.sha256(b'windows').hexdigest()} 7",
    ]


def test_refresh_keeps_the_lock_if_a_jar_does_not_exist(maven: Maven) -> None:
    maven.lock.write_text("org.first:core:1.2\n")
    with pytest.raises(BadInput, match=r"core-1\.2\.jar could not be fetched"):
        refresh_lock(maven.lock)
    assert maven.lock.read_text() == "org.first:core:1.2\n"


def test_the_projects_lock_is_complete_and_small() -> None:
    locked = read_lock()
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in locked)
    assert len({jar.name for jar in locked}) == len(locked)
    for platform in jars.PLATFORMS.values():
        assert sum(jar.platform == platform for jar in locked) == 2  # TensorFlow, and what binds it to Java
    assert sum(jar.size for jar in locked if jar.platform in ("", "linux-x86_64")) < 340e6
