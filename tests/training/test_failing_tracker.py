"""What is left of a training when MLflow fails: with real stores that refuse to write."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from spacy_train import spacy_train
from twinner.training import outputs
from twinner.training.run import Result

PROJECT = Path(__file__).resolve().parents[2]
REFUSE_ALL = "CREATE TRIGGER refuse BEFORE INSERT ON metrics BEGIN SELECT RAISE(ABORT, 'full'); END"
REFUSE_EPOCHS = REFUSE_ALL.replace(" BEGIN", " WHEN NEW.step >= 2 BEGIN")

Refuse = Callable[[str], None]


@pytest.fixture
def refuse(tmp_path: Path) -> Refuse:
    """Make the test's own SQLite store refuse to store some metrics."""
    store = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow.MlflowClient(store).search_experiments()  # creates the database

    def add_trigger(statement: str) -> None:
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            database.execute(statement)

    return add_trigger


def train(small_corpus: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the step in a process of its own, in a folder with a store in it."""
    step = str(PROJECT / "steps" / "spacy_train.py")
    arguments = [f"--corpus={small_corpus}", "--epochs=3", "--batch-size=100", "--lr=0.005", *more]
    return subprocess.run([sys.executable, step, *arguments], cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("statement", [REFUSE_EPOCHS, REFUSE_ALL], ids=["some epochs", "all metrics"])
def test_results_stay_on_disk_when_metrics_are_refused(
    statement: str, refuse: Refuse, small_corpus: Path, tmp_path: Path
) -> None:
    refuse(statement)
    done = train(small_corpus, tmp_path)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: not all results could be logged to MLflow (")
    folder = Path(error.partition("the results of the training are in ")[2])
    assert folder.is_relative_to(tmp_path / "cache" / "runs")
    assert "Traceback" not in done.stderr

    [run] = mlflow.MlflowClient().search_runs(["0"])
    assert run.info.status == "FAILED"
    assert str(folder) in run.data.tags["twinner.error"]
    assert folder.name == run.info.run_id

    kept = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert [epoch["number"] for epoch in kept["epochs"]] == [1, 2, 3]
    assert kept["final"]["test_f1"] > 0.5
    nlp = mlflow.spacy.load_model(str(folder / "model"))
    assert nlp.pipe_names == ["tok2vec", "ner"]
    assert (folder / "artifacts" / "inference.parquet").stat().st_size > 0
    # What MLflow accepts was sent nevertheless.
    assert "errors.html" in {file.path for file in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert mlflow.spacy.load_model(f"runs:/{run.info.run_id}/model").pipe_names == ["tok2vec", "ner"]


def test_metrics_refused_for_a_while_arrive_at_the_end(
    refuse: Refuse, small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(REFUSE_EPOCHS)
    original = outputs.write_metrics

    def recover(*arguments: object) -> None:
        """Mend the store by the time that the results are written."""
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            database.execute("DROP TRIGGER refuse")
        original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("twinner.training.run.write_metrics", recover)
    result = spacy_train(corpus=str(small_corpus), epochs=3, batch_size=100, lr=0.005)
    client = mlflow.MlflowClient()
    for name in ("ner.losses", "dev_f1"):
        assert [metric.step for metric in client.get_metric_history(result.run_id, name)] == [1, 2, 3]
    assert client.get_run(result.run_id).info.status == "FINISHED"
    assert list((tmp_path / "cache" / "runs").iterdir()) == []


def test_a_finished_training_leaves_no_folder_behind(small_corpus: Path, tmp_path: Path) -> None:
    spacy_train(corpus=str(small_corpus), epochs=1, limit=20)
    assert list((tmp_path / "cache" / "runs").iterdir()) == []


def test_an_export_is_written_even_if_mlflow_fails(refuse: Refuse, small_corpus: Path, tmp_path: Path) -> None:
    refuse(REFUSE_ALL)
    done = train(small_corpus, tmp_path, f"--export={tmp_path / 'out'}")
    assert done.returncode == 1
    assert (tmp_path / "out" / "model" / "MLmodel").exists()
    assert (tmp_path / "out" / "classification_report.txt").exists()


def test_an_unusable_cache_stops_no_training(
    small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINNER_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("not a folder")
    done = train(small_corpus, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no checkpoints" in done.stderr


def test_trainings_in_one_process_nest_in_an_open_run(small_corpus: Path) -> None:
    client = mlflow.MlflowClient()

    def train_here() -> Result:
        return spacy_train(corpus=str(small_corpus), epochs=1, limit=20)

    with mlflow.start_run() as parent:
        children = [train_here(), train_here()]
        active = mlflow.active_run()
        assert active is not None
        assert active.info.run_id == parent.info.run_id
    alone = train_here()
    tags = {result.run_id: client.get_run(result.run_id).data.tags for result in (*children, alone)}
    assert [tags[child.run_id].get("mlflow.parentRunId") for child in children] == [parent.info.run_id] * 2
    assert "mlflow.parentRunId" not in tags[alone.run_id]
    assert children[0].test_scores == children[1].test_scores == alone.test_scores
    assert {client.get_run(run_id).info.status for run_id in tags} == {"FINISHED"}
