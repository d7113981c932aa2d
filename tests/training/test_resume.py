"""A training that was killed goes on: real processes, real signals, and the store that they leave."""

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
from twinner.frameworks.spacy.checkpoint import Checkpoint
from twinner.training.resume import settings_to_go_on

PROJECT = Path(__file__).resolve().parents[2]
EPOCHS = 6
TIMES = {"epoch_seconds", "training_time", "test_time", "train_words_per_second", "test_words_per_second"}
TIMES |= {"peak_memory_mb"}


class Place:
    """A folder with a store and a cache, and processes that train there."""

    def __init__(self, folder: Path, corpus: Path) -> None:
        self.folder = folder
        self.corpus = corpus
        self.store = f"sqlite:///{folder}/mlflow.db"
        with chdir(folder):  # makes the store, with its artifacts here, before processes that go side by side would
            self.client = mlflow.MlflowClient(self.store)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
        own = {"MLFLOW_TRACKING_URI": self.store, "TWINNER_CACHE": str(folder / "cache"), "PATH": path}
        self.environment = kept | own | {"DO_NOT_TRACK": "true"}

    @property
    def checkpoints(self) -> Path:
        return self.folder / "cache" / "checkpoints"

    @property
    def given(self) -> dict[str, Any]:
        """What the trainings of these tests are given."""
        return {"corpus": str(self.corpus), "epochs": EPOCHS, "batch_size": 100, "lr": 0.005}

    def start(self, *more: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a training on the small corpus in a process of its own."""
        step = str(PROJECT / "steps" / "spacy_train.py")
        given = [f"--{name}={value}" for name, value in self.given.items()]
        with (self.folder / "output.txt").open("a") as output:
            return subprocess.Popen(
                [sys.executable, step, *given, *more],
                cwd=self.folder,
                env=self.environment | environment,
                stdout=output,
                stderr=output,
            )

    @contextmanager
    def training(self, *more: str) -> Iterator[str]:
        """Train, with as many epochs as it takes, until the block is left: then SIGKILL. The run's id."""
        before = set(self.checkpoints.glob("*"))
        process = self.start(*more)
        try:
            wait_until(lambda: len({*self.checkpoints.glob("*/state")}) > len(before), process)
            [folder] = set(self.checkpoints.glob("*")) - before
            yield folder.name
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def scores(self, run: Run) -> dict[str, list[tuple[int, float]]]:
        """Every value of every metric that is no time, with its step, in the order of steps."""
        return {
            name: sorted((m.step, m.value) for m in self.client.get_metric_history(run.info.run_id, name))
            for name in run.data.metrics.keys() - TIMES
        }

    def weights(self, run: Run) -> dict[str, bytes]:
        model = Path(mlflow.artifacts.download_artifacts(f"runs:/{run.info.run_id}/model"))
        return {name: (model / "model.spacy" / name / "model").read_bytes() for name in ("tok2vec", "ner")}


def wait_until(holds: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    while not holds():
        assert process.poll() is None, "the training ended too early"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, small_corpus: Path) -> Place:
    return Place(tmp_path_factory.mktemp("place"), small_corpus)


@pytest.fixture(scope="module")
def killed(place: Place) -> str:
    """The id of a run that was killed in mid-epoch, for others to be refused; none of them changes it."""
    with place.training("--epochs=500") as run_id:
        pass
    return run_id


@pytest.fixture
def here(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The store and the cache of the killed runs, for the steps that a test calls itself."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.store)
    monkeypatch.setenv("TWINNER_CACHE", str(place.folder / "cache"))
    return place


def refuse(run_id: str, **parameters: Any) -> str:
    with pytest.raises(BadInput) as caught:
        spacy_train(resume=run_id, **parameters)
    return str(caught.value)


def test_a_killed_run_goes_on_to_what_an_uninterrupted_one_ends_with(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with here.training() as run_id:
        pass
    cut = here.client.get_run(run_id)
    assert cut.info.status == "RUNNING"
    assert "test_f1" not in cut.data.metrics
    whole = here.client.get_run(spacy_train(**here.given).run_id)
    assert [folder.name for folder in here.checkpoints.glob("*")] == [run_id]

    # As `mlflow run -P resume=…` hands it over: with a run of its own, and every other parameter at its default.
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
    given = [run.inputs.dataset_inputs for run in (resumed, whole) if run.inputs]
    assert [len(datasets) for datasets in given] == [3, 3]
    assert not Checkpoint(run_id).exists

    standing = here.client.get_run(stand_in)
    assert standing.data.tags["twinner.resumed"] == run_id
    assert (standing.info.status, standing.data.metrics) == ("FINISHED", {})

    told = "that run has finished; train on from its model with init, or leave resume empty"
    assert refuse(run_id) == f"resume={run_id}: {told}"


@pytest.mark.parametrize("registered", [True, False], ids=["registered", "not yet registered"])
def test_a_run_that_was_stopped_after_its_model_was_logged_keeps_that_one(here: Place, registered: bool) -> None:
    name = f"late-{registered}"
    with here.training(f"--model-name={name}") as run_id:
        pass
    state = here.checkpoints / run_id
    kept = shutil.copytree(state, here.folder / name)
    spacy_train(resume=run_id)
    ended = here.client.get_run(run_id)
    shutil.copytree(kept, state)  # as if the process had gone before its last line
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


def test_stopped_again_while_it_goes_on_both_runs_are_killed(here: Place, killed: str) -> None:
    stand_in = here.client.create_run("0").info.run_id
    process = here.start(f"--resume={killed}", "--epochs=500", MLFLOW_RUN_ID=stand_in)
    try:
        wait_until(lambda: Checkpoint(killed).in_use, process)
        assert refuse(killed) == f"resume={killed}: that run is still training; wait for its end, or stop it first"
        process.terminate()
        assert process.wait(timeout=300) == 130
    finally:
        process.kill()
        process.wait()
    for run in (here.client.get_run(killed), here.client.get_run(stand_in)):
        assert (run.info.status, run.data.tags["twinner.error"]) == ("KILLED", "interrupted")
    assert Checkpoint(killed).exists


def test_what_is_refused_leaves_the_run_as_it_was(
    here: Place, killed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = here.client.get_run(killed)
    stand_in = here.client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", stand_in)
    other = shutil.copytree(here.corpus, tmp_path / "other")
    (other / "train.conll").write_text("Anna\tB-PER\n\nin\tO\nUlm\tB-LOC\n\n", encoding="utf-8")
    told = refuse(killed, corpus=str(other))
    assert told.startswith(f"resume={killed}: that run was given another corpus ({here.corpus}), its train and dev has")
    assert told.endswith("; give the same corpus, or leave resume empty")
    refused = here.client.get_run(stand_in)
    assert (refused.info.status, refused.data.tags["twinner.error"]) == ("FAILED", told)
    assert refused.data.tags["twinner.resumed"] == killed
    after = here.client.get_run(killed)
    assert after.info.status == before.info.status
    assert after.data.to_dictionary() == before.data.to_dictionary()
    assert mlflow.active_run() is None


def test_the_same_corpus_may_have_moved(here: Place, killed: str, tmp_path: Path) -> None:
    moved = shutil.copytree(here.corpus, tmp_path / "moved")
    settings = settings_to_go_on("spacy_train", {"resume": killed, "corpus": str(moved)}, {"corpus": "demo"})
    assert settings["corpus"] == str(moved)


def test_a_setting_that_differs_from_the_runs_is_refused(here: Place, killed: str) -> None:
    assert refuse(killed, drop_rate=0.7) == f"resume={killed}: that run has drop_rate=0.2, not 0.7; leave drop_rate out"
    assert refuse(killed, limit=9) == f"resume={killed}: that run has limit=0, not 9; leave limit out"


def test_settings_come_from_the_run_however_the_store_spells_them(here: Place) -> None:
    run_id = here.client.create_run("0", tags={"twinner.step": "spacy_train"}).info.run_id
    for name, logged in {"corpus": "'a b/c.conll'", "lr": "1e-3", "epochs": "07", "config": "''"}.items():
        here.client.log_param(run_id, name, logged)
    Checkpoint(run_id).claim()
    (Checkpoint(run_id).folder / "owner.json").unlink()
    defaults = {"corpus": "demo", "lr": 0.01, "epochs": 20, "config": "", "seed": 0, "resume": ""}
    settings = settings_to_go_on("spacy_train", defaults | {"resume": run_id}, defaults)
    expected = {"corpus": "a b/c.conll", "lr": 0.001, "epochs": 7, "config": "", "seed": 0, "resume": run_id}
    assert settings == expected
    assert [type(settings[name]) for name in ("lr", "epochs")] == [float, int]


def test_a_run_that_is_not_known_is_refused(here: Place) -> None:
    told = "there is no such run; give the id of a run of this tracking store, MLFLOW_TRACKING_URI"
    assert refuse("0123456789abcdef0123456789abcdef") == f"resume=0123456789abcdef0123456789abcdef: {told}"
    assert refuse("../no id") == f"resume=../no id: {told}"


def test_a_run_of_the_other_framework_is_refused(here: Place) -> None:
    run_id = here.client.create_run("0", tags={"twinner.step": "sparknlp_train"}).info.run_id
    here.client.set_terminated(run_id, "FAILED")
    assert refuse(run_id) == f"resume={run_id}: that run is of sparknlp_train; give one of spacy_train"


def test_a_run_whose_checkpoint_is_not_here_is_refused(here: Place) -> None:
    run_id = here.client.create_run("0", tags={"twinner.step": "spacy_train"}).info.run_id
    told = refuse(run_id)
    assert told.startswith(f"resume={run_id}: {here.checkpoints / run_id} is not there; a run goes on where it began")
