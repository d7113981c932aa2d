"""A worker process of a sweep, with a step of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from twinner.sweep.worker import Ended, Job, LocalWorker
from users import wait_until

# It takes a minute to get ready, and leaves a file when it begins to.
SLOW_STEP = """
import time
from contextlib import contextmanager
from pathlib import Path

@contextmanager
def shared(settings):
    Path(settings["started"]).touch()
    time.sleep(60)
    yield
"""
FAILING_STEP = """
from twinner.errors import Failure

def shared(settings):
    raise Failure("it has run")
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from before any other."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def slow_worker(modules: Path) -> Iterator[LocalWorker]:
    (modules / "slow_step.py").write_text(SLOW_STEP)
    worker = LocalWorker("slow_step", {"started": str(modules / "started")}, modules / "worker.log")
    yield worker
    worker.stop()


@pytest.fixture
def failing_worker(modules: Path) -> Iterator[LocalWorker]:
    (modules / "failing_step.py").write_text(FAILING_STEP)
    (modules / "twinner").mkdir()
    (modules / "twinner/__init__.py").touch()  # MLflow puts the code of a loaded model first on the path
    worker = LocalWorker("failing_step", {}, modules / "worker.log")
    yield worker
    worker.stop()


def test_a_worker_that_is_interrupted_before_its_first_training_says_so(
    slow_worker: LocalWorker, modules: Path
) -> None:
    slow_worker.start(Job({}, "no run"))
    wait_until((modules / "started").exists, "the worker has not started")
    slow_worker.interrupt()
    assert slow_worker.receive() == Ended("interrupted")


def test_a_worker_of_a_process_that_has_loaded_a_model_runs_the_code_of_the_sweep(failing_worker: LocalWorker) -> None:
    failing_worker.start(Job({}, "no run"))
    assert failing_worker.receive() == Ended("failed", error="it has run")
