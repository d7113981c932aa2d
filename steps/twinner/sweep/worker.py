"""A process that trains one trial after the other, and keeps what they share: imports, the corpus, Spark's session."""

import importlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from twinner import cli
from twinner.cores import JOBS, take_share
from twinner.corpus import Corpus
from twinner.errors import BadInput, Failure
from twinner.frameworks.contract import Epoch
from twinner.source_code import STEPS
from twinner.training.result import Result
from twinner.training.trial import Pruned, Trial, as_trial

END_WITHIN = 60.0  # seconds for an interrupted training to tell MLflow of its end


@dataclass(frozen=True)
class Job:
    """A training to do. settings: of the step. parent: the id of the run that gets it as a child.

    is_trial: whether it is pruned and scored on dev alone. resume: the run to take up if that is possible; empty: none.
    """

    settings: Mapping[str, Any]
    parent: str
    is_trial: bool = True
    resume: str = ""


@dataclass(frozen=True)
class Reached:
    """An epoch has ended, with a score on dev; the worker waits for a bool, whether to go on."""

    epoch: int
    score: float


@dataclass(frozen=True)
class Ended:
    """A training has ended. error: why it failed, in one line.

    state: `done`, `pruned`, `failed`, `interrupted`, or `lost` with its machine.
    """

    state: str
    run_id: str = ""
    metrics: Mapping[str, float] | None = None
    error: str = ""


class Worker(ABC):
    """The sweep's side of a worker process."""

    def __init__(self, connection: Connection) -> None:
        """connection: to the process."""
        self.connection = connection

    def start(self, job: Job) -> None:
        """Begin a training; the process must be idle."""
        with suppress(OSError):  # of a process that has died: `receive` will say so
            self.connection.send(job)

    def answer(self, go_on: bool) -> None:
        """Say whether a training that has `Reached` an epoch goes on."""
        with suppress(OSError):
            self.connection.send(go_on)

    def receive(self) -> Reached | Ended:
        """Return the next message; a process that has died has failed."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            return self._end_of_process()
        assert isinstance(message, Reached | Ended)
        return message

    def drain(self) -> None:
        """Wait for the end of a training that was interrupted."""
        while isinstance(self.receive(), Reached):
            self.answer(True)

    @property
    @abstractmethod
    def is_alive(self) -> bool:
        """Whether the process, which is idle, can take another training."""

    @abstractmethod
    def interrupt(self) -> None:
        """Interrupt the training, as Ctrl-C does; a process that has been interrupted takes no notice."""

    def dismiss(self) -> None:
        """Tell the process, which is idle, that there are no more jobs."""
        with suppress(OSError):  # it may have ended
            self.connection.send(None)

    @abstractmethod
    def stop(self) -> None:
        """End an idle process, or one that was dismissed or interrupted."""

    @abstractmethod
    def _end_of_process(self) -> Ended:
        """Say how the process has died."""


class LocalWorker(Worker):
    """A worker process of this machine."""

    def __init__(
        self,
        step: str,
        settings: Mapping[str, Any],
        log: Path,
        place: int = 0,
        places: int = 1,
        corpora: Mapping[tuple[Any, ...], Corpus] | None = None,
    ) -> None:
        """Start a process for trainings with a step, on its share of the cores.

        settings: of any of the trainings; those that all share are prepared with them. log: gets the process's output.
        corpora: see `Trial`.
        """
        self.place = place
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        super().__init__(ours)
        arguments = (theirs, step, dict(settings), place, places, str(log), dict(corpora or {}))
        self._process = context.Process(target=_work, args=arguments)
        with _own_code_first():
            self._process.start()
        self._is_used = False
        theirs.close()

    def start(self, job: Job) -> None:
        """Begin a training."""
        self._is_used = True
        super().start(job)

    @property
    def is_alive(self) -> bool:
        """Whether the process is running."""
        return self._process.is_alive()

    def interrupt(self) -> None:
        """Send the signal of Ctrl-C."""
        if self._process.is_alive() and self._process.pid:
            os.kill(self._process.pid, signal.SIGINT)

    def stop(self) -> None:
        """Wait for the end of the process, and kill it if that takes too long.

        One that has had no job is still starting, and ends at once.
        """
        if not self._is_used:
            self._process.terminate()
        self.dismiss()
        self._process.join(END_WITHIN)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()

    def _end_of_process(self) -> Ended:
        self._process.join()
        return Ended("failed", error=f"its process ended with status {self._process.exitcode}")


@contextmanager
def _own_code_first() -> Iterator[None]:
    """Let a new process import this code, not the part of it that MLflow puts first on the path with a loaded model."""
    path = sys.path
    sys.path = [str(STEPS), *path]
    try:
        yield
    finally:
        sys.path = path


def _work(
    connection: Connection,
    step: str,
    settings: Mapping[str, Any],
    place: int,
    places: int,
    log: str,
    corpora: dict[tuple[Any, ...], Corpus],
) -> None:
    """Do jobs until there are no more. Runs in the worker process."""
    take_share(place, places)
    os.environ[JOBS] = str(places)  # Spark shares the memory
    os.environ.pop("MLFLOW_RUN_ID", None)  # that of the sweep, which `mlflow run` has made
    _end_with_parent()
    _log_output(Path(log))
    interrupts = iter([True])

    def interrupt(*_: object) -> None:
        if next(interrupts, False):  # the terminal sends one too
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    with suppress(EOFError, OSError):
        try:
            _do_jobs(connection, step, settings, corpora)
        except KeyboardInterrupt:  # between two trainings, or before the first
            connection.send(Ended("interrupted"))


def _do_jobs(
    connection: Connection, step: str, settings: Mapping[str, Any], corpora: dict[tuple[Any, ...], Corpus]
) -> None:
    cli.prepare_process()
    module = importlib.import_module(step)
    shared = getattr(module, "shared", lambda _: nullcontext())
    trial = Trial(lambda epoch: _go_on(connection, epoch), corpora)
    with ExitStack() as stack:

        def prepare() -> Ended | None:
            try:
                stack.enter_context(shared(settings))
                for name in (f"twinner.frameworks.{step.removesuffix('_train')}.trainer", "twinner.training.run"):
                    importlib.import_module(name)  # the sweep itself is still importing
            except Exception as error:
                return _ended_by(error)
            return None

        failed = prepare()
        while (job := connection.recv()) is not None:
            ended = failed or _train(getattr(module, step), job, trial)
            connection.send(ended)
            if ended.state == "interrupted":
                return
            if failed or ended.state == "pruned":
                stack.close()  # only with its session does a training in Java stop
                failed = prepare()


def _train(step: Callable[..., Result], job: Job, trial: Trial) -> Ended:
    from twinner.tracking.opening import child_of  # imports MLflow; the sweep starts its workers before it has done so

    try:
        with as_trial(trial) if job.is_trial else nullcontext():
            try:
                with child_of(job.parent):
                    result = step(**({"resume": job.resume} if job.resume else job.settings))
            except BadInput:
                if not (job.resume and job.is_trial):
                    raise
                with child_of(job.parent):
                    result = step(**job.settings)
    except Pruned:
        return Ended("pruned")
    except KeyboardInterrupt:
        return Ended("interrupted")
    except Exception as error:
        return _ended_by(error)
    return Ended("done", result.run_id, dict(result.metrics))


def _ended_by(error: Exception) -> Ended:
    if isinstance(error, BadInput | Failure):
        return Ended("failed", error="; ".join([str(error), *getattr(error, "__notes__", [])]))
    traceback.print_exception(error)
    return Ended("failed", error=f"{type(error).__name__}: {error}")


def _go_on(connection: Connection, epoch: Epoch) -> bool:
    scores = epoch.scores
    connection.send(Reached(epoch.number, scores.get("dev_f1", scores["dev_token_f1"])))
    return bool(connection.recv())


def _end_with_parent() -> None:
    """End this process as soon as its parent has died, however that happened."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _log_output(file: Path) -> None:
    """Send what this process and its children print to a file: the terminal shows the table of trials."""
    with file.open("ab") as log:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(log.fileno(), stream.fileno())
