import platform

import mlflow
import pytest
from main import main
from twinner.spark.jars import check_platform


def test_main_trains_spacy_alone_where_spark_nlp_cannot_run(
    small_corpus: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(Exception, match="arm64"):
        check_platform()
    children = main(corpus=str(small_corpus), epochs="1")
    assert "sparknlp_train is left out: Spark NLP can't run here" in capsys.readouterr().out
    steps = [mlflow.get_run(run_id).data.tags["twinner.step"] for run_id in children]
    assert steps == ["spacy_train", "report"]
