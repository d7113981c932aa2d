"""Stopped trainings resume: real processes, real signals, and the store that they leave."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run
from spacy_train import spacy_train
from twinner.errors import BadInput
from twinner.training.resume import resumed_settings

PROJECT = Path(__file__).resolve().parents[2]
EPOCHS = 6
TIMES = {"epoch_seconds", "training_time", "test_time", "train_words_per_second", "test_words_per_second"}
TIMES |= {"peak_memory_mb"}


class Place:
    """A folder with a store and a cache, in which processes train."""

    def __init__(self, folder: Path, corpus: Path) -> None:
        self.folder = folder
        self.corpus = corpus
        self.store = f"sqlite:///{folder}/mlflow.db"
        with chdir(folder):  # creates the store, with its artifacts here, before concurrent processes do
            self.client = mlflow.MlflowClient(self.store)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
        changed = {"MLFLOW_TRACKING_URI": self.store, "TWINNER_CACHE": str(folder / "cache"), "PATH": path}
        self.environment = kept | changed | {"DO_NOT_TRACK": "true"}

    @property
    def checkpoints(self) -> Path:
        return self.folder / "cache" / "checkpoints"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of these trainings."""
        return {"corpus": str(self.corpus), "epochs": EPOCHS, "batch_size": 100, "lr": 0.005}

    def start(self, *more: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a training on the small corpus in a new process."""
        step = str(PROJECT / "steps" / "spacy_train.py")
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        with (self.folder / "output.txt").open("a") as output:
            return subprocess.Popen(
                [sys.executable, step, *options, *more],
                cwd=self.folder,
                env=self.environment | environment,
                stdout=output,
                stderr=output,
            )

    @contextmanager
    def training(self, *more: str) -> Iterator[str]:
        """Train past the first epoch, yield the run's id, and kill the process when the block ends."""
        before = set(self.checkpoints.glob("*/state"))
        process = self.start(*more)
        try:
            wait_until(lambda: set(self.checkpoints.glob("*/state")) > before, process)
            [state] = set(self.checkpoints.glob("*/state")) - before
            yield state.parent.name
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def scores(self, run: Run) -> dict[str, list[tuple[int, float]]]:
        """All values of all metrics except times, as (step, value) in order."""
        return {
            name: sorted((m.step, m.value) for m in self.client.get_metric_history(run.info.run_id, name))
            for name in run.data.metrics.keys() - TIMES
        }

    def weights(self, run: Run) -> dict[str, bytes]:
        model = Path(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/model"))
        return {name: (model / "model.spacy" / name / "model").read_bytes() for name in ("tok2vec", "ner")}


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    while not condition():
        assert process.poll() is None, "the training ended too early"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, small_corpus: Path) -> Place:
    return Place(tmp_path_factory.mktemp("place"), small_corpus)


@pytest.fixture(scope="module")
def killed(place: Place) -> str:
    """The id of a run that was killed in mid-epoch; no test finishes it."""
    with place.training("--epochs=500") as run_id:
        pass
    return run_id


@pytest.fixture
def here(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The place, with its store and cache set for steps that the test calls itself."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.store)
    monkeypatch.setenv("TWINNER_CACHE", str(place.folder / "cache"))
    return place


def refuse(run_id: str, **parameters: Any) -> str:
    with pytest.raises(BadInput) as caught:
        spacy_train(resume=run_id, **parameters)
    return str(caught.value)


def test_resumed_run_equals_an_uninterrupted_one(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with here.training() as run_id:
        pass
    cut = here.client.get_run(run_id)
    assert cut.info.status == "RUNNING"
    assert "test_f1" not in cut.data.metrics
    whole = here.client.get_run(spacy_train(**here.settings).run_id)
    assert {file.name for file in here.checkpoints.iterdir()} == {run_id, f"{run_id}.lock"}

    # `mlflow run -P resume=…` creates a run for the step, and passes every other parameter at its default.
    stand_in = here.client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", stand_in)
    spacy_train(resume=run_id)

    resumed = here.client.get_run(run_id)
    assert resumed.info.status == "FINISHED"
    assert here.scores(resumed) == here.scores(whole)
    steps = [metric.step for metric in here.client.get_metric_history(run_id, "epoch_seconds")]
    assert sorted(steps) == list(range(1, EPOCHS + 1))
    assert here.weights(resumed) == here.weights(whole)
    assert resumed.data.params == whole.data.params
    datasets = [run.inputs.dataset_inputs for run in (resumed, whole) if run.inputs]
    assert [len(inputs) for inputs in datasets] == [3, 3]
    assert list(here.checkpoints.iterdir()) == []

    standing = here.client.get_run(stand_in)
    assert standing.data.tags["twinner.resumed"] == run_id
    assert (standing.info.status, standing.data.metrics) == ("FINISHED", {})

    message = refuse(run_id)
    assert message.startswith(f"resume={run_id}: ")
    assert "finished" in message


@pytest.mark.slow
@pytest.mark.parametrize("registered", [True, False], ids=["registered", "not yet registered"])
def test_resume_after_logging_the_model_keeps_that_model(here: Place, registered: bool) -> None:
    name = f"late-{registered}"
    with here.training(f"--model-name={name}") as run_id:
        pass
    checkpoint = here.checkpoints / run_id
    kept = shutil.copytree(checkpoint, here.folder / name)
    spacy_train(resume=run_id)
    ended = here.client.get_run(run_id)
    shutil.copytree(kept, checkpoint)  # as if the process had been killed just before the end
    here.client.update_run(run_id, "KILLED")
    if not registered:
        here.client.delete_registered_model(name)
        here.client.delete_tag(run_id, "twinner.registered")
    spacy_train(resume=run_id)
    again = here.client.get_run(run_id)
    assert here.scores(again) == here.scores(ended)
    assert again.data.tags["twinner.registered"] == name
    (model,) = here.client.search_logged_models(["0"], f"source_run_id = '{run_id}'")
    (version,) = here.client.search_model_versions(f"name = '{name}'")
    assert (version.run_id, model.source_run_id) == (run_id, run_id)


def test_interrupting_a_resumed_run_ends_both_runs(here: Place, killed: str) -> None:
    stand_in = here.client.create_run("0").info.run_id
    state = here.checkpoints / killed / "state"
    before = state.stat().st_mtime_ns
    process = here.start(f"--resume={killed}", "--epochs=500", MLFLOW_RUN_ID=stand_in)
    try:
        wait_until(lambda: state.stat().st_mtime_ns > before, process)
        process.terminate()
        assert process.wait(timeout=300) == 130
    finally:
        process.kill()
        process.wait()
    for run in (here.client.get_run(killed), here.client.get_run(stand_in)):
        assert (run.info.status, run.data.tags["twinner.error"]) == ("KILLED", "interrupted")
    assert state.exists()


def test_rejects_a_run_that_is_still_training(here: Place) -> None:
    with here.training("--epochs=500") as run_id:
        assert refuse(run_id) == f"resume={run_id}: that run is still training; wait for its end, or stop it first"


def test_claims_the_run_before_reading_the_corpus(here: Place, killed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = []

    def resume_elsewhere(**arguments: object) -> None:
        process = here.start(f"--resume={killed}", "--epochs=500")
        try:
            statuses.append(process.wait(timeout=120))
        finally:
            process.kill()
            process.wait()
        raise KeyboardInterrupt

    monkeypatch.setattr("twinner.training.trial.read_corpus", resume_elsewhere)
    with pytest.raises(KeyboardInterrupt):
        spacy_train(resume=killed)
    assert statuses == [2]


def test_one_of_two_simultaneous_resumes_trains(here: Place, killed: str) -> None:
    state = here.checkpoints / killed / "state"
    before = state.stat().st_mtime_ns
    earlier_output = (here.folder / "output.txt").read_text(encoding="utf-8")
    processes = [here.start(f"--resume={killed}", "--epochs=500") for _ in range(2)]
    try:
        deadline = time.monotonic() + 120
        while all(process.poll() is None for process in processes):
            assert time.monotonic() < deadline, "both train"
            time.sleep(0.01)
        [refused, training] = sorted(processes, key=lambda process: process.poll() is None)
        assert refused.wait() == 2
        wait_until(lambda: state.stat().st_mtime_ns > before, training)
        training.terminate()
        assert training.wait(timeout=300) == 130
    finally:
        for process in processes:
            process.kill()
            process.wait()
    output = (here.folder / "output.txt").read_text(encoding="utf-8").removeprefix(earlier_output)
    assert output.count(f"error: resume={killed}: that run is still training; wait for its end, or stop it first") == 1


def test_rejection_leaves_the_run_unchanged(
    here: Place, killed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = here.client.get_run(killed)
    stand_in = here.client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", stand_in)
    other = shutil.copytree(here.corpus, tmp_path / "other")
    (other / "train.conll").write_text("Anna\tB-PER\n\nin\tO\nUlm\tB-LOC\n\n", encoding="utf-8")
    message = refuse(killed, corpus=str(other))
    assert message.startswith(f"resume={killed}: that run ")
    assert str(here.corpus) in message
    refused = here.client.get_run(stand_in)
    assert (refused.info.status, refused.data.tags["twinner.error"]) == ("FAILED", message)
    assert refused.data.tags["twinner.resumed"] == killed
    after = here.client.get_run(killed)
    assert after.info.status == before.info.status
    assert after.data.to_dictionary() == before.data.to_dictionary()
    assert mlflow.active_run() is None
    assert (here.checkpoints / killed / "state").exists()


def test_corpus_may_have_moved(here: Place, killed: str, tmp_path: Path) -> None:
    moved = shutil.copytree(here.corpus, tmp_path / "moved")
    settings = resumed_settings(spacy_train, {"resume": killed, "corpus": str(moved)})
    assert settings["corpus"] == str(moved)


def test_model_name_and_export_may_change(here: Place, tmp_path: Path) -> None:
    with here.training("--model-name=misspelt") as run_id:
        pass
    spacy_train(resume=run_id, model_name="corrected", export=str(tmp_path / "exported"))
    assert [model.name for model in here.client.search_registered_models("name = 'misspelt'")] == []
    (version,) = here.client.search_model_versions("name = 'corrected'")
    assert version.run_id == run_id
    assert (tmp_path / "exported" / "model" / "MLmodel").exists()


def test_rejects_another_value_of_a_setting(here: Place, killed: str) -> None:
    for name, value, logged in (("drop_rate", 0.7, 0.2), ("limit", 9, 0), ("log_text", "no", "yes")):
        expected = f"resume={killed}: that run has {name}={logged}, not {value}; leave {name} out"
        assert refuse(killed, **{name: value}) == expected


def test_settings_come_from_the_run_in_any_spelling(here: Place) -> None:
    run_id = here.client.create_run("0", tags={"twinner.step": "spacy_train"}).info.run_id
    for name, logged in {"corpus": "'a b/c.conll'", "lr": "1e-3", "epochs": "07", "config": "''"}.items():
        here.client.log_param(run_id, name, logged)
    given = {"corpus": "demo", "lr": 0.001, "epochs": 20, "config": "", "seed": 0, "resume": run_id}
    settings = resumed_settings(spacy_train, given)
    expected = {"corpus": "a b/c.conll", "lr": 0.001, "epochs": 7, "config": "", "seed": 0, "resume": run_id}
    assert settings == expected
    assert [type(settings[name]) for name in ("lr", "epochs")] == [float, int]


def test_rejects_an_unknown_run(here: Place) -> None:
    for run_id in ("0123456789abcdef0123456789abcdef", "../no id"):
        assert refuse(run_id).startswith(f"resume={run_id}: there is no such run; ")


def test_rejects_a_run_of_the_other_framework(here: Place) -> None:
    run_id = here.client.create_run("0", tags={"twinner.step": "sparknlp_train"}).info.run_id
    here.client.set_terminated(run_id, "FAILED")
    message = refuse(run_id)
    assert message.startswith(f"resume={run_id}: ")
    assert "sparknlp_train" in message


def test_rejects_a_run_without_a_checkpoint(here: Place) -> None:
    run_id = here.client.create_run("0", tags={"twinner.step": "spacy_train"}).info.run_id
    assert refuse(run_id).startswith(f"resume={run_id}: there is no checkpoint {here.checkpoints / run_id}; ")


def test_rejects_a_damaged_checkpoint(here: Place, killed: str) -> None:
    state = here.checkpoints / killed / "state"
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    try:
        assert refuse(killed).startswith(f"{state}: not a checkpoint, or damaged: ")
    finally:
        state.write_bytes(whole)


def test_resume_needs_the_cache(here: Place, killed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = str(here.corpus / "train.conll")
    process = here.start(f"--resume={killed}", "--epochs=500", TWINNER_CACHE=file)
    assert process.wait(timeout=300) == 2
    monkeypatch.setenv("TWINNER_CACHE", file)
    assert refuse(killed).endswith("; set TWINNER_CACHE to a folder that can be written to")
