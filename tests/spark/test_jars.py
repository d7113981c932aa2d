import hashlib
import ssl
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
from twinner.errors import BadInput
from twinner.spark import jars
from twinner.spark.jars import read_lock, refresh_lock, spark_jars


class Maven:
    """A Maven repository of made-up jars on this machine, and a lock that names them."""

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


def test_jars_are_fetched_once_in_the_order_of_the_lock(
    maven: Maven, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    maven.add("org.second:engine_2.12:5.0", b"engine" * 1000)
    maven.add("org.first:core:1.2", b"core")
    fetched = spark_jars(maven.lock)
    assert [path.name for path in fetched] == ["engine_2.12-5.0.jar", "core-1.2.jar"]
    assert [path.read_bytes() for path in fetched] == [b"engine" * 1000, b"core"]
    assert "Fetching 2 jars of Spark NLP" in capfd.readouterr().err

    maven.asked.clear()
    assert spark_jars(maven.lock) == fetched
    assert maven.asked == []
    assert capfd.readouterr().err == ""
    assert in_cache(tmp_path) == ["core-1.2.jar", "engine_2.12-5.0.jar"]


def test_of_native_jars_only_those_of_this_platform_are_fetched(maven: Maven, tmp_path: Path) -> None:
    maven.add("org.first:core:1.2", b"core")
    for platform in ("linux-x86_64", "macosx-x86_64", "windows-x86_64"):
        maven.add(f"org.first:core:1.2:{platform}", platform.encode())
    assert [path.name for path in spark_jars(maven.lock)] == ["core-1.2.jar", "core-1.2-linux-x86_64.jar"]
    assert in_cache(tmp_path) == ["core-1.2-linux-x86_64.jar", "core-1.2.jar"]


def test_a_jar_that_is_not_what_the_lock_says_is_refused_and_the_others_stay(maven: Maven, tmp_path: Path) -> None:
    maven.add("org.first:core:1.2", b"core")
    maven.add("org.first:changed:1.0", b"other", sha256="0" * 64)
    with pytest.raises(BadInput, match=r"^the jar changed-1\.0\.jar has the sha256 d9298a10d1b0735837dc4bd85dac641b"):
        spark_jars(maven.lock)
    assert in_cache(tmp_path) == ["core-1.2.jar"]


def test_a_jar_that_the_repository_lacks_is_named_with_its_address(maven: Maven, tmp_path: Path) -> None:
    name = maven.add("org.first:core:1.2", b"core")
    (maven.folder / "org/first/core/1.2" / name).unlink()
    with pytest.raises(BadInput, match=rf"the jar core-1\.2\.jar could not be fetched: {maven.url}/.* is not there;"):
        spark_jars(maven.lock)
    assert in_cache(tmp_path) == []


def test_a_fetch_that_failed_goes_on_where_it_stopped(maven: Maven) -> None:
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


def test_a_dead_server_is_one_line(maven: Maven, monkeypatch: pytest.MonkeyPatch) -> None:
    maven.add("org.first:core:1.2", b"core")
    maven.server.shutdown()
    maven.server.server_close()
    with pytest.raises(BadInput, match=r"could not be fetched: .*[Cc]onnection refused.*; check the network") as caught:
        spark_jars(maven.lock)
    assert "\n" not in str(caught.value)


def test_a_truncated_jar_in_the_cache_is_fetched_again(maven: Maven, tmp_path: Path) -> None:
    name = maven.add("org.first:core:1.2", b"core")
    spark_jars(maven.lock)
    (tmp_path / "cache" / "jars" / name).write_bytes(b"co")
    assert spark_jars(maven.lock)[0].read_bytes() == b"core"


def test_of_two_that_ask_at_once_one_fetches(maven: Maven) -> None:
    maven.add("org.first:core:1.2", b"core" * 100_000)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(spark_jars, [maven.lock] * 2)
    assert first == second
    assert sum(asked.endswith("core-1.2.jar") for asked in maven.asked) == 1


def test_a_platform_without_a_build_is_bad_input(maven: Maven, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(BadInput, match="TensorFlow has no build for Linux riscv64; run this step on"):
        spark_jars(maven.lock)


def test_java_trusts_the_bundle_that_other_programs_are_told_to_trust(
    maven: Maven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = certificate_of_this_machine(tmp_path)
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


def certificate_of_this_machine(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1 and its key."""
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


def test_refreshing_writes_sha256_and_size_of_all_platforms_and_keeps_the_comments(maven: Maven) -> None:
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


def test_a_lock_with_a_jar_that_does_not_exist_is_not_written(maven: Maven) -> None:
    maven.lock.write_text("org.first:core:1.2\n")
    with pytest.raises(BadInput, match=r"core-1\.2\.jar could not be fetched"):
        refresh_lock(maven.lock)
    assert maven.lock.read_text() == "org.first:core:1.2\n"


def test_the_projects_lock_is_complete_and_small_enough() -> None:
    locked = read_lock()
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in locked)
    assert len({jar.name for jar in locked}) == len(locked)
    for platform in jars.PLATFORMS.values():
        assert sum(jar.platform == platform for jar in locked) == 2  # TensorFlow, and what binds it to Java
    assert sum(jar.size for jar in locked if jar.platform in ("", "linux-x86_64")) < 340e6
