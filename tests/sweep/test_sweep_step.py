"""Sweeps as a user starts them: processes of their own, with worker processes below them."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from spacy_train import spacy_train
from spark_cache import spark_cache  # type: ignore[import-not-found]  # noqa: F401

STEP = Path(__file__).resolve().parents[2] / "steps" / "sweep.py"
SPACE = "drop_rate=0.1:0.5 lr=3e-4:1e-2:log"


def command(corpus: Path, *more: str, name: str = "first", space: str = SPACE) -> list[str]:
    given = ["--corpus", str(corpus), "--space", space, "--name", name, "--epochs", "3", "--batch-size", "100"]
    return [sys.executable, "-s", str(STEP), *given, *more]


def run(*arguments: str, status: int = 0) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def runs(step: str, condition: str = "") -> list[Run]:
    query = f"tags.`twinner.step` = '{step}'"
    return list(mlflow.MlflowClient().search_runs(["0"], f"{query} and {condition}" if condition else query))


def test_sweeps_and_scores_the_winner_alone_on_test(small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = mlflow.MlflowClient().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", made)  # as `mlflow run` does
    output = run(*command(small_corpus, "--trials", "4", "--prune", "no", "--model-name", "swept", "--log-text", "no"))
    monkeypatch.delenv("MLFLOW_RUN_ID")
    assert made in [one.info.run_id for one in runs("sweep")]
    trials, trainings = runs("sweep_trial"), runs("spacy_train")
    assert len(trials) == len(trainings) == 4
    assert {trial.info.status for trial in trials} == {"FINISHED"}
    values = {trial.info.run_id: trial.data.metrics["value"] for trial in trials}
    for training in trainings:
        assert training.data.tags["twinner.sweep"] == "first"
        assert training.data.metrics["best_dev_f1"] == values[training.data.tags["mlflow.parentRunId"]]
    [winner] = [one for one in trainings if one.data.tags["twinner.tested"] == "yes"]
    assert winner.data.metrics["best_dev_f1"] == max(values.values())
    assert [one.info.run_id for one in trainings if "test_f1" in one.data.metrics] == [winner.info.run_id]
    assert f"test F1: {winner.data.metrics['test_f1']:.4f}; no other trial was scored on test" in output
    shares = re.search(r"differences between trials \(fANOVA\): (\w+) (\d+)%, (\w+) (\d+)%\.", output)
    assert shares, output
    assert {shares[1], shares[3]} == {"drop_rate", "lr"}
    assert int(shares[2]) + int(shares[4]) == pytest.approx(100, abs=1)
    [version] = mlflow.MlflowClient().search_model_versions("name = 'swept'")
    assert version.run_id == winner.info.run_id
    [report] = runs("report")
    assert report.data.tags["mlflow.parentRunId"] == made

    # A trial in a warm process scores as the printed command does on its own.
    settings = {name: float(winner.data.params[name]) for name in ("drop_rate", "lr")}
    again = spacy_train(corpus=str(small_corpus), epochs=3, batch_size=100, **settings)  # type: ignore[arg-type]
    for name in ("best_dev_f1", "test_f1"):
        assert again.metrics[name] == winner.data.metrics[name]
    client = mlflow.MlflowClient()
    then, now = (
        [metric.value for metric in client.get_metric_history(run_id, "ner.losses")]
        for run_id in (winner.info.run_id, again.run_id)
    )
    assert now == then

    # Any other trial can be scored later, without training again.
    other = next(one for one in trainings if one.info.run_id != winner.info.run_id)
    finished = spacy_train(resume=other.info.run_id)
    assert finished.metrics["best_dev_f1"] == other.data.metrics["best_dev_f1"]
    assert "test_f1" in client.get_run(other.info.run_id).data.metrics

    # The same name with another space is another sweep.
    error = run(*command(small_corpus, space="drop_rate=0.1:0.4"), status=2)
    assert "the sweep 'first' has space drop_rate=0.1:0.5, not 0.1:0.4; " in error
    assert "choose another name" in error


@pytest.mark.slow
def test_a_killed_sweep_is_continued_and_an_interrupted_one_too(small_corpus: Path) -> None:
    arguments = command(small_corpus, "--trials", "6", "--seeds", "2", "--jobs", "2")
    first = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    told = (line for line in first.stdout if line.startswith("trial "))
    next(told), next(told)  # not always of the first two: trials run side by side
    first.kill()
    first.wait()
    ended = {one.info.run_id for one in runs("sweep_trial", "status = 'FINISHED'")}
    assert len(ended) >= 2

    second = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert second.stdout is not None
    for line in second.stdout:
        if re.match("trial [345] of 6", line):
            break
    os.killpg(second.pid, signal.SIGINT)  # as Ctrl-C at a terminal
    _, errors = second.communicate(timeout=120)
    assert second.returncode == 130, errors
    states = Counter(one.info.status for one in [*runs("sweep_trial"), *runs("spacy_train"), *runs("sweep")])
    assert states["RUNNING"] == 0
    assert states["KILLED"] >= 2  # the sweep, and a trial

    output = run(*arguments)
    trials = runs("sweep_trial")
    assert len(trials) == 6
    assert ended <= {one.info.run_id for one in trials}
    states = Counter(one.info.status for one in trials)
    assert states["FINISHED"] + states["KILLED"] == 6  # a pruned trial is KILLED for Optuna, too
    assert f"{states['FINISHED']} finished" in output
    for trial in trials:
        if trial.info.status == "FINISHED":
            query = f"tags.mlflow.parentRunId = '{trial.info.run_id}' and status = 'FINISHED'"
            assert {one.data.params["seed"] for one in runs("spacy_train", query.partition(" and ")[0])} >= {"0", "1"}
    [sweep] = [one for one in runs("sweep") if "twinner.space" in one.data.tags]
    assert sweep.info.status == "FINISHED"
    assert run(*arguments).count("no other trial was scored on test") == 1  # nothing is left to train
    assert len(runs("sweep_trial")) == 6


def test_trials_that_fail_alike_end_the_sweep(small_corpus: Path, tmp_path: Path) -> None:
    missing = str(tmp_path / "gone")
    error = run(*command(small_corpus, "--init", missing, "--jobs", "1"), status=1)
    assert "3 trials failed alike" in error
    assert missing in error
    assert Counter(one.info.status for one in runs("sweep_trial")) == {"FAILED": 3}
    [sweep] = runs("sweep")
    assert sweep.info.status == "FAILED"
    assert "3 trials failed alike" in sweep.data.tags["twinner.error"]


def test_a_hopeless_trial_is_pruned_a_grid_is_complete_and_a_terminal_shows_the_table(
    small_corpus: Path, tmp_path: Path
) -> None:
    rates = "lr=0.01,0.008,1e-7"  # the first two are never pruned; the last one is hopeless
    line = shlex.join(command(small_corpus, "--sampler", "grid", "--jobs", "1", "--epochs", "5", space=rates))
    screen = tmp_path / "screen"
    environment = os.environ | {"COLUMNS": "100", "LINES": "30", "TERM": "xterm-256color"}
    done = subprocess.run(["script", "-qec", line, str(screen)], capture_output=True, env=environment)
    assert done.returncode == 0, done.stdout
    shown = re.sub(r"\x1b\[[\d;]*m", "", screen.read_text(encoding="utf-8", errors="replace"))  # without styles
    assert "sweep first: 3 of 3 trials" in shown
    assert re.search(r"trial +lr +epoch +dev F1 +time \(s\) +state", shown)
    assert "1e-07" in shown
    assert "best" in shown
    assert "3 trials of spacy_train: 2 finished, 1 pruned." in shown
    assert "Too few trials were finished with different scores to tell the share" in shown
    [pruned] = runs("spacy_train", "status = 'KILLED'")
    assert pruned.data.params["lr"] == "1e-07"
    assert pruned.data.tags["twinner.pruned"] == "1"
    assert pruned.data.tags["twinner.error"].startswith("pruned after epoch 1")
    tried = {float(one.data.params["lr"]) for one in runs("spacy_train")}
    assert tried == {0.01, 0.008, 1e-7}


@pytest.mark.slow
def test_spark_nlp_keeps_its_session_until_a_trial_is_pruned(
    small_corpus: Path,
    spark_cache: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TWINNER_CACHE", str(spark_cache))
    # The hopeless learning rate comes before the last one, so that a trial follows in a new session.
    rates = "lr=0.01,0.008,1e-9,0.005"
    given = ["--step", "sparknlp_train", "--sampler", "grid", "--jobs", "1", "--epochs", "10", "--batch-size", "8"]
    output = run(*command(small_corpus, *given, space=rates))
    assert "4 trials of sparknlp_train: " in output
    by_rate = {float(one.data.params["lr"]): one for one in runs("sparknlp_train")}
    assert by_rate[1e-9].data.tags["twinner.pruned"] == "2"  # a fifth of its epochs
    assert by_rate[0.005].data.metrics["dev_token_f1"] > 0.3  # it may be behind the others, too
    trainings = [one for one in by_rate.values() if one.info.status == "FINISHED"]
    assert len(trainings) >= 2
    [winner] = [one for one in trainings if "test_f1" in one.data.metrics]
    assert winner.data.metrics["best_dev_f1"] == max(one.data.metrics["best_dev_f1"] for one in trainings)
    assert {one.data.tags["twinner.tested"] for one in trainings} == {"no", "yes"}
