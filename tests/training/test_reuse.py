from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from twinner.tracking import equal_runs
from twinner.training.result import Result

Train = Callable[..., Result]


@pytest.fixture(scope="module")
def first(train_small: Train) -> Result:
    return train_small(epochs=1, sweep="loop", reuse="yes")


def trained_again(train_small: Train, **changes: Any) -> bool:
    return bool(train_small(**({"epochs": 1, "sweep": "loop", "reuse": "yes"} | changes)).epochs)


def test_an_equal_run_is_not_trained_again(
    first: Result, train_small: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    again = train_small(epochs=1, sweep="loop", reuse="yes", export="", log_text="no")
    assert again.run_id == first.run_id
    assert again.metrics["test_f1"] == first.metrics["test_f1"]
    assert f"nothing to train: run {first.run_id} is equal, with a test F1 of" in capsys.readouterr().out


@pytest.mark.parametrize("changes", [{"lr": 0.004}, {"seed": 1}, {"limit": 50}, {"sweep": "other"}, {"reuse": "no"}])
def test_another_setting_is_trained(changes: dict[str, Any], first: Result, train_small: Train) -> None:
    assert trained_again(train_small, **changes)


def test_another_corpus_is_trained(first: Result, train_small: Train, small_corpus: Path, tmp_path: Path) -> None:
    for split in small_corpus.iterdir():
        text = split.read_text(encoding="utf-8")
        (tmp_path / split.name).write_text(text, encoding="utf-8")
    assert not trained_again(train_small, corpus=str(tmp_path))  # a copy
    train = tmp_path / "train.conll"
    train.write_text(train.read_text(encoding="utf-8").replace("B-PER", "B-LOC", 1), encoding="utf-8")
    assert trained_again(train_small, corpus=str(tmp_path))


def test_other_code_is_trained(first: Result, train_small: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equal_runs, "code_digest", lambda: "0" * 16)
    assert trained_again(train_small)


def test_the_run_that_mlflow_made_is_removed(own_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = mlflow.MlflowClient(own_store)
    made = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", own_store)
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    equal_runs.remove_joined_run()
    assert client.get_run(made).info.lifecycle_stage == "deleted"
    assert client.get_run(made).info.status == "FINISHED"
