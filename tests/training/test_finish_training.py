"""A Spark NLP training whose process is killed after its last epoch is finished without training again."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from spark_cache import spark_cache  # type: ignore[import-not-found]  # noqa: F401
from sync import sync
from users import PROJECT, small_corpus  # type: ignore[import-not-found]

pytestmark = pytest.mark.slow

# Runs the step until the results of the training are to be written.
KILLED = """
import os, signal, sys
sys.path.insert(0, "steps")
import sparknlp_train
from twinner import cli
from twinner.training import run
run.write_outputs = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
cli.run(sparknlp_train.sparknlp_train)
"""


@pytest.fixture
def cache(spark_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """A cache of the test's own, with the jars of Spark NLP."""
    folder = tmp_path / "cache"
    folder.mkdir()
    for kept in spark_cache.iterdir():
        (folder / kept.name).symlink_to(kept, target_is_directory=True)
    monkeypatch.setenv("TWINNER_CACHE", str(folder))
    return folder


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-s", *command], cwd=PROJECT, env=os.environ, capture_output=True, text=True, timeout=600
    )


def test_a_training_that_was_killed_after_its_last_epoch_is_not_trained_again(cache: Path, tmp_path: Path) -> None:
    options = [f"--corpus={small_corpus(tmp_path / 'corpus')}", "--epochs=2"]
    assert run("-c", KILLED, *options).returncode == -9
    client = mlflow.MlflowClient()
    [killed] = client.search_runs(["0"])
    run_id = killed.info.run_id
    folder = cache / "runs" / run_id
    log = (folder / "artifacts" / "ner.log").read_text()

    [outcome] = sync()  # delivers what there is, and leaves the training
    assert (outcome.run_id, outcome.state) == (run_id, "kept")
    assert client.get_run(run_id).info.status == "FAILED"

    done = run("steps/sparknlp_train.py", f"--resume={run_id}")
    assert done.returncode == 0, done.stderr
    finished = client.get_run(run_id)
    assert finished.info.status == "FINISHED"
    assert "twinner.error" not in finished.data.tags
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/ner.log") == log
    assert finished.data.metrics["test_f1"] > 0
    assert finished.data.metrics["training_time"] > 0
    for name in ("ner.losses", "dev_token_f1"):
        assert [metric.step for metric in client.get_metric_history(run_id, name)] == [1, 2]
    assert list((cache / "runs").iterdir()) == []

    again = run("steps/sparknlp_train.py", f"--resume={run_id}")
    assert again.returncode == 2
    assert again.stderr.splitlines()[-1].startswith(f"error: resume={run_id}: that run is finished")


@pytest.mark.usefixtures("cache")
def test_a_run_without_a_finished_training_on_this_machine_is_refused() -> None:
    stored = mlflow.MlflowClient().create_run("0", tags={"twinner.step": "sparknlp_train"})
    done = run("steps/sparknlp_train.py", f"--resume={stored.info.run_id}")
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: resume={stored.info.run_id}: nothing of that run is left to continue from")
