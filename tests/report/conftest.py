"""A store of this session's own, an experiment for each test, and a browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest


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
