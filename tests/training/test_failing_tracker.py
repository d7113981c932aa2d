"""What is left of a training when MLflow fails: with real stores that refuse to write."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from spacy_train import spacy_train
from sync import sync
from twinner.errors import BadInput
from twinner.training import run as training
from twinner.training.outputs import write_outputs
from twinner.training.result import Result

PROJECT = Path(__file__).resolve().parents[2]
REFUSE_ALL = "CREATE TRIGGER refuse BEFORE INSERT ON metrics BEGIN SELECT RAISE(ABORT, 'full'); END"
REFUSE_EPOCHS = REFUSE_ALL.replace(" BEGIN", " WHEN NEW.step >= 2 BEGIN")

Change = Callable[[str], None]


@pytest.fixture
def change_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Change:
    """Run SQL in the test's own SQLite store."""
    monkeypatch.setenv("TWINNER_TRACKING_WAIT", "5")
    mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_experiments()  # creates the database

    def execute(statement: str) -> None:
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            database.execute(statement)

    return execute


def train(small_corpus: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the step in a process of its own, in a folder with a store in it."""
    step = str(PROJECT / "steps" / "spacy_train.py")
    arguments = [f"--corpus={small_corpus}", "--epochs=3", "--batch-size=100", "--lr=0.005", *more]
    return subprocess.run([sys.executable, step, *arguments], cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("statement", [REFUSE_EPOCHS, REFUSE_ALL], ids=["some epochs", "all metrics"])
def test_what_a_store_refuses_waits_on_disk_until_sync_delivers_it(
    statement: str, change_store: Change, small_corpus: Path, tmp_path: Path
) -> None:
    change_store(statement)
    done = train(small_corpus, tmp_path)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: not everything has arrived in MLflow (")
    assert "Traceback" not in done.stderr
    assert "test F1" in done.stdout  # the user sees the result nevertheless

    client = mlflow.MlflowClient()
    [run] = client.search_runs(["0"])
    folder = tmp_path / "cache" / "runs" / run.info.run_id
    assert error.endswith(f"it waits in {folder} for `mlflow run . -e sync`")
    assert run.info.status == "FAILED"
    assert "not everything has arrived" in run.data.tags["twinner.error"]
    # What MLflow accepts was sent.
    assert "errors.html" in {file.path for file in client.list_artifacts(run.info.run_id)}
    assert mlflow.spacy.load_model(f"runs:/{run.info.run_id}/model").pipe_names == ["tok2vec", "ner"]
    with pytest.raises(BadInput, match=r"that training has ended, and its results wait to be delivered; .* -e sync"):
        spacy_train(resume=run.info.run_id)

    change_store("DROP TRIGGER refuse")
    assert [(outcome.run_id, outcome.state) for outcome in sync()] == [(run.info.run_id, "delivered")]
    delivered = client.get_run(run.info.run_id)
    assert delivered.info.status == "FINISHED"
    assert "twinner.error" not in delivered.data.tags
    assert delivered.data.metrics["test_f1"] > 0.5
    for name in ("ner.losses", "dev_f1"):
        assert [metric.step for metric in client.get_metric_history(run.info.run_id, name)] == [1, 2, 3]
    assert list((tmp_path / "cache" / "runs").iterdir()) == []


def test_metrics_refused_for_a_while_arrive_at_the_end(
    change_store: Change, small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_store(REFUSE_EPOCHS)
    original = write_outputs

    def recover(*arguments: object) -> None:
        """Mend the store by the time that the results are written."""
        change_store("DROP TRIGGER refuse")
        original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "write_outputs", recover)
    result = spacy_train(corpus=str(small_corpus), epochs=3, batch_size=100, lr=0.005)
    client = mlflow.MlflowClient()
    for name in ("ner.losses", "dev_f1"):
        assert [metric.step for metric in client.get_metric_history(result.run_id, name)] == [1, 2, 3]
    assert client.get_run(result.run_id).info.status == "FINISHED"
    assert list((tmp_path / "cache" / "runs").iterdir()) == []


def test_a_finished_training_leaves_no_folder_behind(small_corpus: Path, tmp_path: Path) -> None:
    spacy_train(corpus=str(small_corpus), epochs=1, limit=20)
    assert list((tmp_path / "cache" / "runs").iterdir()) == []


def test_a_failure_before_the_end_of_training_leaves_no_folder_behind(
    small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_train", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        spacy_train(corpus=str(small_corpus), epochs=1, limit=20)
    assert list((tmp_path / "cache" / "runs").iterdir()) == []


def test_an_export_is_written_even_if_mlflow_fails(change_store: Change, small_corpus: Path, tmp_path: Path) -> None:
    change_store(REFUSE_ALL)
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


def test_without_a_cache_the_last_line_says_how_to_deliver(
    change_store: Change, small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    change_store(REFUSE_ALL)
    monkeypatch.setenv("TWINNER_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    error = train(small_corpus, tmp_path).stderr.splitlines()[-1]
    cache = Path(error.partition("TWINNER_CACHE=")[2].partition(" mlflow run . -e sync")[0])
    assert cache.parent == tmp_path
    change_store("DROP TRIGGER refuse")
    monkeypatch.setenv("TWINNER_CACHE", str(cache))
    assert [outcome.state for outcome in sync()] == ["delivered"]


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
