"""The Spark session that the step `sparknlp_train` asks for."""

from pathlib import Path

import pytest
from sparknlp_train import SMALL, sparknlp_session


@pytest.mark.parametrize(
    ("corpus", "test", "optimizes"),
    [
        ("demo", "", False),
        ("small", "", False),
        ("small/train.conll", "", False),
        ("two halves", "", True),
        ("large/train.conll", "", True),
        ("small", "large/train.conll", True),
        ("hf:some/corpus", "", True),
        pytest.param("x" * 300, "", True, id="unreadable"),
    ],
)
def test_java_optimizes_its_code_in_full_unless_the_corpus_is_small(
    corpus: str, test: str, optimizes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, size in {"small": SMALL // 4, "two halves": SMALL // 2, "large": SMALL}.items():
        Path(folder).mkdir()
        Path(folder, "train.conll").write_bytes(bytes(size))
        Path(folder, "dev.conll").write_bytes(bytes(size))
    given = {"corpus": corpus, "test": test, "spark_master": "local[*]", "driver_memory": "auto", "spark_conf": ""}
    assert ("-XX:TieredStopAtLevel=4" in sparknlp_session(given)["spark_conf"]) == optimizes
