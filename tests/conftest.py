"""Shared fixtures: every test gets its own store and cache, and CI fails on skipped tests."""

import os
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.store.db import utils as db_utils
from package_index import PackageIndex
from servers import Database, S3Server, mariadb, postgres, s3_server
from spacy_train import spacy_train
from sqlalchemy import Engine, create_engine
from twinner.training.result import Result

NAMES = ["Anna", "Béla", "Chris", "Dora", "Emil", "Frida", "Georg", "Hana", "Ivo", "Jutta", "Karl", "Lena"]
PLACES = ["Ulm", "New York", "Köln", "Bad Aibling", "Oslo", "Graz", "San José", "Wien", "Rom", "Sankt Gallen"]
TEMPLATES = [
    "{n} wohnt in {p} .",
    "In {p} traf {n} niemanden .",
    "Dr. {n} und {m} fuhren nach {p} .",
    "Heute regnet es .",
]

Train = Callable[..., Result]


def _unset_mlflow_variables(patch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        patch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def session_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep session fixtures out of the user's store: tests may run as a step started by `mlflow run`."""
    with pytest.MonkeyPatch.context() as patch:
        _unset_mlflow_variables(patch)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('no-store')}/mlflow.db")
        yield


@pytest.fixture(scope="session", autouse=True)
def copied_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Copy the tables of a new SQLite store from the first one: MLflow takes a second to make them for each test."""
    made = tmp_path_factory.mktemp("tables") / "mlflow.db"
    make = db_utils._initialize_tables  # private, as only here is it known that a store is empty

    def copy_or_make(engine: Engine) -> None:
        if engine.dialect.name != "sqlite" or not engine.url.database:
            make(engine)
            return
        if not made.exists():
            make(create_engine(f"sqlite:///{made}"))
        with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(engine.url.database)) as target:
            source.backup(target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db_utils, "_initialize_tables", copy_or_make)
        yield


@pytest.fixture(autouse=True)
def isolated(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty store and cache; tests with Spark share the session's cache for its jars."""
    _unset_mlflow_variables(monkeypatch)
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    # MLflow remembers the previous test's experiment, whose id is invalid in another store.
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
    if not {"spark", "spark_cache"} & set(request.fixturenames):
        monkeypatch.setenv("TWINNER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each pause that the test's own thread would have made; other threads pause as usual."""
    own, sleep = threading.get_ident(), time.sleep
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", lambda s: seconds.append(s) if threading.get_ident() == own else sleep(s))
    return seconds


@pytest.fixture
def package_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """Run an empty package index on 127.0.0.1, which is pip's only one in this test."""
    folder = tmp_path / "index"
    folder.mkdir()
    index = PackageIndex(folder)
    index.use(monkeypatch)
    yield index
    index.stop()


@pytest.fixture(scope="module")
def maria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Run MariaDB for the tests of a file."""
    with mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Run PostgreSQL for the tests of a file."""
    with postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run an S3 server for the tests of a file."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def own_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Create a store for the whole session, shared by tests that only add runs; return its URI."""
    folder = tmp_path_factory.mktemp("own-store")
    uri = f"sqlite:///{folder}/mlflow.db"
    client = mlflow.MlflowClient(uri)
    client.create_experiment("tests", artifact_location=(folder / "artifacts").as_uri())
    return uri


@pytest.fixture
def tracked(own_store: str, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    """Make the shared store and its experiment `tests` current for this test; return a client."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", own_store)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "tests")
    return mlflow.MlflowClient(own_store)


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 150 template sentences with names (PER) and places (LOC), split into train, dev and test."""
    folder = tmp_path_factory.mktemp("small")
    rng = random.Random(7)
    for split, count in {"train": 110, "dev": 20, "test": 20}.items():
        lines = []
        for _ in range(count):
            people = rng.sample(NAMES, 2)
            values = {"n": (people[0], "PER"), "m": (people[1], "PER"), "p": (rng.choice(PLACES), "LOC")}
            for word in rng.choice(TEMPLATES).split():
                text, label = values[word[1]] if word[0] == "{" else (word, "")
                for i, part in enumerate(text.split()):
                    tag = f"{'I' if i else 'B'}-{label}" if label else "O"
                    lines.append(f"{part}\t{tag}\n")
            lines.append("\n")
        (folder / f"{split}.conll").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def train_small(own_store: str, small_corpus: Path) -> Train:
    """Return a function that trains spaCy on the small corpus and takes the step's parameters."""

    def train(**parameters: Any) -> Result:
        with pytest.MonkeyPatch.context() as patch:
            _unset_mlflow_variables(patch)
            mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # a fixture may run before `isolated` does this
            patch.setenv("MLFLOW_TRACKING_URI", own_store)
            patch.setenv("MLFLOW_EXPERIMENT_NAME", "tests")
            patch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
            defaults: dict[str, Any] = {"corpus": str(small_corpus), "epochs": 3, "batch_size": 100, "lr": 0.005}
            return spacy_train(**(defaults | parameters))

    return train


@pytest.fixture(scope="session")
def spacy_run(train_small: Train, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Train once with all outputs: registered as `small-ner` and exported to `exported`."""
    return train_small(model_name="small-ner", export=str(tmp_path_factory.getbasetemp() / "exported"))


@pytest.fixture(scope="session")
def exported(spacy_run: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that `spacy_run` was exported to."""
    return tmp_path_factory.getbasetemp() / "exported"


@pytest.fixture(scope="session")
def textless_run(train_small: Train) -> Result:
    """Train like `spacy_run`, but log no corpus text."""
    return train_small(log_text="no")


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point MLflow at an empty SQLite store, isolated from the user's; return its folder."""
    folder = tmp_path_factory.mktemp("store")
    patch = pytest.MonkeyPatch()
    _unset_mlflow_variables(patch)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    yield folder
    mlflow.set_tracking_uri(before)
    patch.undo()


@pytest.fixture
def experiment(store: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Create an experiment, make it current for this test and return its name."""
    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    name = str(request.node.name)
    experiment_id = mlflow.create_experiment(name, artifact_location=(store / "artifacts" / name[:40]).as_uri())
    for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment_id)
    mlflow.set_experiment(experiment_id=experiment_id)
    return name


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Launch the installed Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        # The sandbox does not work for root in a container, and the pages are our own.
        chromium = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the files with slow tests first, so that the two processes end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session if CI is set and a test was skipped: in CI every test must run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if reporter and skipped and os.environ.get("CI"):
        reporter.write_line("")
        for report in skipped:
            reporter.write_line(f"skipped in CI: {report.nodeid}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
