"""Sweeps on a standalone Spark cluster whose workers share no files with the driver."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from servers import MlflowServer, mlflow_server  # type: ignore[import-not-found]
from spacy_train import spacy_train
from spark_cluster import SHORT_LIVED, SparkCluster, spark_cluster  # type: ignore[import-not-found]  # noqa: F401
from twinner.source_code import code_digest
from users import wait_until  # type: ignore[import-not-found]

STEP = Path(__file__).resolve().parents[2] / "steps" / "sweep.py"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowServer]:
    with mlflow_server(tmp_path / "server") as running:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.uri)
        yield running


def start(cluster: SparkCluster, corpus: Path, *more: str) -> "subprocess.Popen[str]":
    shutil.copytree(corpus, cluster.driver / "corpus")
    environment = os.environ | {"TWINNER_CACHE": str(cluster.driver / "cache"), "TMPDIR": str(cluster.driver)}
    given = ["--corpus", str(cluster.driver / "corpus"), "--spark-master", cluster.master, "--name", "spread"]
    space = ["--space", "drop_rate=0.1:0.5 lr=2e-3:1e-2:log", "--batch-size", "100", "--spark-conf", SHORT_LIVED]
    return subprocess.Popen(
        [sys.executable, "-s", str(STEP), *given, *space, *more],
        cwd=cluster.driver,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def runs(step: str) -> list[Run]:
    return list(mlflow.MlflowClient().search_runs(["0"], f"tags.`twinner.step` = '{step}'"))


@pytest.mark.slow
def test_trials_are_trained_by_the_executors(
    spark_cluster: SparkCluster,  # noqa: F811
    server: MlflowServer,
    small_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweep = start(spark_cluster, small_corpus, "--trials", "4", "--epochs", "3", "--prune", "no")
    output, errors = sweep.communicate(timeout=600)
    assert sweep.returncode == 0, output + errors
    trainings = runs("spacy_train")
    assert Counter(run.info.status for run in runs("sweep_trial")) == {"FINISHED": 4}
    assert len(trainings) == 4
    [winner] = [run for run in trainings if "test_f1" in run.data.metrics]
    assert winner.data.metrics["best_dev_f1"] == max(run.data.metrics["best_dev_f1"] for run in trainings)
    # The executors' runs tell of the code as the driver's do.
    [of_sweep] = [run for run in runs("sweep") if "twinner.space" in run.data.tags]
    assert {run.data.tags["twinner.code"] for run in trainings} == {code_digest()}
    for tag in ("mlflow.source.git.commit", "mlflow.user"):
        assert {run.data.tags.get(tag) for run in trainings} == {of_sweep.data.tags.get(tag)}
    # Nothing of a training is left in the executors' caches.
    for cache in (tmp_path / "1", tmp_path / "2"):
        assert not [path for path in cache.glob("checkpoints/*") if path.is_dir()]
    assert len([path for path in (spark_cluster.driver / "cache/checkpoints").iterdir() if path.is_dir()]) == 3

    # Any trial can be scored here, and an executor trains to the same digits as this machine.
    monkeypatch.setenv("TWINNER_CACHE", str(spark_cluster.driver / "cache"))
    other = next(run for run in trainings if run.info.run_id != winner.info.run_id)
    finished = spacy_train(resume=other.info.run_id)
    assert finished.metrics["best_dev_f1"] == other.data.metrics["best_dev_f1"]
    settings = {name: float(other.data.params[name]) for name in ("drop_rate", "lr")}
    again = spacy_train(corpus=str(small_corpus), epochs=3, batch_size=100, **settings)  # type: ignore[arg-type]
    assert again.metrics["test_f1"] == finished.metrics["test_f1"]
    client = mlflow.MlflowClient()
    then, now = (
        [metric.value for metric in client.get_metric_history(run_id, "ner.losses")]
        for run_id in (other.info.run_id, again.run_id)
    )
    assert now == then


@pytest.mark.slow
def test_a_killed_worker_costs_a_trial(
    spark_cluster: SparkCluster,  # noqa: F811
    server: MlflowServer,
    small_corpus: Path,
) -> None:
    sweep = start(spark_cluster, small_corpus, "--trials", "5", "--epochs", "20", "--prune", "no")

    def train_on_both() -> bool:
        training = [run for run in runs("spacy_train") if run.info.status == "RUNNING"]
        return len([run for run in training if "ner.losses" in run.data.metrics]) == 2

    wait_until(train_on_both, "the workers do not train", seconds=300)
    spark_cluster.kill_worker(0)
    output, errors = sweep.communicate(timeout=600)
    assert sweep.returncode == 0, output + errors
    states = Counter(run.info.status for run in runs("sweep_trial"))
    assert states == {"FINISHED": 4, "FAILED": 1}
    [lost] = [run for run in runs("spacy_train") if run.info.status != "FINISHED"]
    assert lost.info.status == "FAILED"
    assert lost.data.tags["twinner.error"] == "its executor was lost"
    assert re.search(r"^trial \d of 5: .*: failed, .* s: its executor was lost$", output, re.MULTILINE)
    assert "4 finished, 1 failed" in output


def test_a_store_that_executors_cannot_reach_is_refused(small_corpus: Path) -> None:
    master = ["--spark-master", "local-cluster[2,1,1024]"]
    command = [sys.executable, "-s", str(STEP), "--corpus", str(small_corpus), "--space", "drop_rate=0.1:0.5", *master]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: spark_master=local-cluster[2,1,1024]: its executors can't reach the store ")
