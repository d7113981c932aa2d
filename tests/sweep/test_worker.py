"""A worker process of a sweep, with a step of its own."""

import time
from pathlib import Path

import pytest
from twinner.sweep.worker import Job, LocalWorker

# It takes a minute to get ready, and leaves a file when it begins to.
STEP = """
import time
from contextlib import contextmanager
from pathlib import Path

@contextmanager
def shared(settings):
    Path(settings["started"]).touch()
    time.sleep(60)
    yield

def slow_step(**settings):
    raise AssertionError("it never gets so far")
"""


def test_a_worker_that_is_interrupted_before_its_first_training_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_step.py").write_text(STEP)
    monkeypatch.syspath_prepend(tmp_path)
    started = tmp_path / "started"
    settings = {"started": str(started)}
    worker = LocalWorker("slow_step", settings, tmp_path / "worker.log")
    try:
        worker.start(Job(settings, "no run"))
        deadline = time.monotonic() + 60
        while not started.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        worker.interrupt()
        message = worker.receive()
    finally:
        worker.stop()
    assert getattr(message, "state", "") == "interrupted"
