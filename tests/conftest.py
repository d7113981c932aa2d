"""What all tests share: a store and a cache of their own, and no silent skip where a machine checks the project."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from spacy_train import spacy_train
from twinner.training.run import Result

NAMES = ["Anna", "Béla", "Chris", "Dora", "Emil", "Frida", "Georg", "Hana", "Ivo", "Jutta", "Karl", "Lena"]
PLACES = ["Ulm", "New York", "Köln", "Bad Aibling", "Oslo", "Graz", "San José", "Wien", "Rom", "Sankt Gallen"]
FRAMES = ["{n} wohnt in {p} .", "In {p} traf {n} niemanden .", "Dr. {n} und {m} fuhren nach {p} .", "Heute regnet es ."]

Train = Callable[..., Result]


def _drop_mlflow(patch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        patch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def nothing_of_the_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep fixtures that outlive a test from the user's store: tests may run as a step that `mlflow run` started."""
    with pytest.MonkeyPatch.context() as patch:
        _drop_mlflow(patch)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('no-store')}/mlflow.db")
        yield


@pytest.fixture(autouse=True)
def isolated(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty store and an empty cache; tests with Spark keep the session's cache, for its jars."""
    _drop_mlflow(monkeypatch)
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    # MLflow keeps the experiment of the test before, whose id means nothing in another store.
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
    if not {"spark", "spark_cache"} & set(request.fixturenames):
        monkeypatch.setenv("TWINNER_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def own_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a store that is made once and shared by tests that only add to it; see `store`."""
    folder = tmp_path_factory.mktemp("own-store")
    uri = f"sqlite:///{folder}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    client.create_experiment("tests", artifact_location=(folder / "artifacts").as_uri())
    return uri


@pytest.fixture
def tracked(own_store: str, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    """A client of the shared store, which is the current one with its experiment `tests` for this test."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", own_store)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "tests")
    return mlflow.MlflowClient(own_store)


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 150 sentences made by a rule, in train, dev and test: names (PER) and places (LOC) in frames."""
    folder = tmp_path_factory.mktemp("small")
    rule = random.Random(7)
    for split, count in {"train": 110, "dev": 20, "test": 20}.items():
        lines = []
        for _ in range(count):
            people = rule.sample(NAMES, 2)
            values = {"n": (people[0], "PER"), "m": (people[1], "PER"), "p": (rule.choice(PLACES), "LOC")}
            for word in rule.choice(FRAMES).split():
                text, label = values[word[1]] if word[0] == "{" else (word, "")
                for i, part in enumerate(text.split()):
                    tag = f"{'I' if i else 'B'}-{label}" if label else "O"
                    lines.append(f"{part}\t{tag}\n")
            lines.append("\n")
        (folder / f"{split}.conll").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def train_small(own_store: str, small_corpus: Path) -> Train:
    """Trains spaCy on the small corpus, tracked in the shared store; takes the step's parameters."""

    def train(**parameters: Any) -> Result:
        with pytest.MonkeyPatch.context() as patch:
            _drop_mlflow(patch)
            patch.setenv("MLFLOW_TRACKING_URI", own_store)
            patch.setenv("MLFLOW_EXPERIMENT_NAME", "tests")
            patch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
            quick: dict[str, Any] = {"corpus": str(small_corpus), "epochs": 3, "batch_size": 100, "lr": 0.005}
            return spacy_train(**(quick | parameters))

    return train


@pytest.fixture(scope="session")
def spacy_run(train_small: Train, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """One training with everything that can be asked of it: registered as `small-ner`, exported to `exported`."""
    return train_small(model_name="small-ner", export=str(tmp_path_factory.getbasetemp() / "exported"))


@pytest.fixture(scope="session")
def exported(spacy_run: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `spacy_run` was exported to."""
    return tmp_path_factory.getbasetemp() / "exported"


@pytest.fixture(scope="session")
def silent_run(train_small: Train) -> Result:
    """The same training, but nothing that holds text of the corpus leaves the machine."""
    return train_small(log_text="no")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of an empty SQLite store that MLflow is pointed at; nothing of the user's store is reached."""
    folder = tmp_path_factory.mktemp("store")
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        patch.delenv(name)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    yield folder
    mlflow.set_tracking_uri(before)
    patch.undo()


@pytest.fixture
def experiment(store: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a new experiment, which is the current one for this test."""
    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    name = str(request.node.name)
    identity = mlflow.create_experiment(name, artifact_location=(store / "artifacts" / name[:40]).as_uri())
    for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", identity)
    mlflow.set_experiment(experiment_id=identity)
    return name


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium of the machine."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        # The sandbox needs rights that root in a container lacks; the pages are our own.
        chromium = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where CI is set and a test was skipped: there every test is meant to run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if reporter and skipped and os.environ.get("CI"):
        reporter.write_line("")
        for report in skipped:
            reporter.write_line(f"skipped where CI is set: {report.nodeid}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
