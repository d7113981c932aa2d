"""Worker processes on the executors of a Spark cluster.

Each task of one Spark job is a worker: it connects to this process and trains what it is told to. The study, with its
samplers and its table, stays here; the executors send their runs to MLflow themselves.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, wait
from typing import Any

from twinner.cache import cache_folder
from twinner.cores import JOBS, available_cores, take_free_share
from twinner.corpus import Corpus
from twinner.errors import Failure
from twinner.source_code import archive_code
from twinner.spark.file_server import own_address
from twinner.spark.session import java_cause, spark_session, stop_session
from twinner.sweep.plan import Plan
from twinner.sweep.pool import LOOK, Pool
from twinner.sweep.worker import Ended, LocalWorker, Worker
from twinner.temporary import remove_folder, temporary_folder
from twinner.tracking.forwarding import tracking_environment
from twinner.tracking.store import check_shared_store
from twinner.training.trial import Trial, as_trial, read_corpus_of

CODE = "twinner-code"  # the folder of the executors' copy
FIRST_WORKER_WITHIN = 300.0  # seconds; a cluster may have to start machines first
ATTEMPTS = 16  # of a task, each of which may lose its executor
KEEP_ALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # seconds; a lost machine says nothing
COMPUTING = ("OPENBLAS_", "NPY_", "HF_")  # variables that change what is computed, or where models come from


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know before its first job. environment: variables, with the access to MLflow."""

    step: str
    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    corpora: Mapping[tuple[Any, ...], Corpus]


@dataclass(frozen=True)
class Interrupt:
    """Interrupt the training."""


@dataclass(frozen=True)
class Give:
    """Send the checkpoint of a run."""

    run_id: str


@dataclass(frozen=True)
class Drop:
    """Remove the checkpoint of a run."""

    run_id: str


class RemoteWorker(Worker):
    """A worker process on an executor."""

    @property
    def is_alive(self) -> bool:
        """Whether the connection stands: an idle worker sends nothing but its end."""
        try:
            return not self.connection.poll()
        except OSError:
            return False

    def interrupt(self) -> None:
        """Have the executor send the signal of Ctrl-C to the process."""
        with suppress(OSError):
            self.connection.send(Interrupt())

    def stop(self) -> None:
        """End the task."""
        self.dismiss()
        self.connection.close()

    def give(self, run_id: str) -> bytes:
        """Return the checkpoint of a run that this idle worker has trained; empty if it is lost."""
        try:
            self.connection.send(Give(run_id))
            content = self.connection.recv()
        except (EOFError, OSError):
            return b""
        assert isinstance(content, bytes)
        return content

    def drop(self, run_id: str) -> None:
        """Have the checkpoint of a run removed."""
        with suppress(OSError):
            self.connection.send(Drop(run_id))

    def _end_of_process(self) -> Ended:
        return Ended("lost", error="its executor was lost")


class ClusterPool(Pool):
    """Workers on a Spark cluster: as many as it has free cores, and the sweep has trainings."""

    def __init__(self, plan: Plan) -> None:
        """Read the corpus, which is sent to the workers; start the Spark session and its job. plan: with the master.

        Raises BadInput if the corpus can't be read, if the executors can't reach the store, or if Spark can't start.
        """
        check_shared_store(f"spark_master={plan.spark_master}")
        self._plan = plan
        trial = Trial(lambda _: True)
        with as_trial(trial):
            read_corpus_of(plan.settings)
        self._setup = Setup(plan.step, plan.settings, _environment(), trial.corpora)
        self._workers: list[RemoteWorker] = []
        self._here: LocalWorker | None = None
        self._folder = temporary_folder("sweep")
        self._error: Exception | None = None
        self._began = time.monotonic()
        self._had_workers = False
        attempts = f"spark.task.maxFailures={ATTEMPTS} {plan.spark_conf}"
        self._spark = spark_session(plan.spark_master, spark_conf=attempts, spark_nlp=False)
        self._spark.sparkContext.addArchive(f"{archive_code(self._folder)}#{CODE}")
        key = secrets.token_bytes(32)
        self._listener = Listener((own_address(plan.spark_master), 0), backlog=plan.jobs, authkey=key)
        for background in (self._accept, partial(self._run_job, key)):
            threading.Thread(target=background, daemon=True).start()

    def idle(self, busy: Container[Worker]) -> Worker | None:
        """Return a worker that has connected, and that is idle."""
        for worker in [worker for worker in self._workers if worker not in busy]:
            if worker.is_alive:
                return worker
            self._workers.remove(worker)
            worker.stop()
        return None

    def wait(self, busy: Sequence[Worker]) -> list[Worker]:
        """Wait a second at most; return those of the busy workers that have a message.

        Raises Failure if the cluster runs no workers.
        """
        if not busy:
            time.sleep(LOOK)
        if self._error:
            raise Failure(f"Spark has given up the sweep's workers: {java_cause(self._error)}")
        self._had_workers = self._had_workers or bool(self._workers)
        if not self._had_workers and time.monotonic() - self._began > FIRST_WORKER_WITHIN:
            within = f"within {FIRST_WORKER_WITHIN:.0f} s"
            raise Failure(f"{self._plan.spark_master} has started no worker {within}: has it a free core?")
        return super().wait(busy) if busy else []

    def here(self) -> Worker:
        """Return an idle process of this machine."""
        if self._here is None or not self._here.is_alive:
            log = self._folder / "worker.log"
            self._here = LocalWorker(self._plan.step, self._plan.settings, log, corpora=self._setup.corpora)
        return self._here

    def bring_checkpoint(self, worker: Worker, run_id: str) -> None:
        """Move the checkpoint of a run from the executor's cache to ours, unless they are one and the same."""
        assert isinstance(worker, RemoteWorker)
        folder = cache_folder("checkpoints") / run_id
        if not folder.exists() and (content := worker.give(run_id)):
            arriving = folder.with_name(f"{run_id}.new")
            arriving.mkdir(exist_ok=True)
            (arriving / "state").write_bytes(content)
            arriving.rename(folder)
            worker.drop(run_id)

    def stop(self) -> None:
        """End all workers, and the Spark session."""
        self._listener.close()
        for worker in [*self._workers, *([self._here] if self._here else [])]:
            worker.stop()
        stop_session()
        remove_folder(self._folder)

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
                _keep_alive(connection)
                connection.send(self._setup)
            except (AuthenticationError, EOFError, ConnectionError):
                continue  # a stranger, or a task that was killed
            except OSError:
                return  # closed
            self._workers.append(RemoteWorker(connection))

    def _run_job(self, key: bytes) -> None:
        tasks = self._spark.sparkContext.parallelize(range(self._plan.jobs), self._plan.jobs)
        try:
            tasks.mapPartitions(_task(self._listener.address, key)).collect()
        except Exception as error:  # py4j and pyspark raise many types, also when the session is stopped
            self._error = error


def serve(address: tuple[str, int], key: bytes) -> None:
    """Train what the sweep at this address says, in a process of its own, until it has no more. Runs in a Spark task.

    Raises RuntimeError if that process dies, so that Spark starts the task again.
    """
    with Client(address, authkey=key) as sweep:
        _keep_alive(sweep)
        setup: Setup = sweep.recv()
        os.environ.update(setup.environment)
        os.environ[JOBS] = str(len(available_cores()))
        take_free_share()
        folder = temporary_folder("sweep")
        worker = LocalWorker(setup.step, setup.settings, folder / "worker.log", corpora=setup.corpora)
        try:
            _relay(sweep, worker)
        except (EOFError, OSError):  # the sweep has ended, however that happened
            worker.interrupt()
        finally:
            worker.stop()
            remove_folder(folder)


def _relay(sweep: Connection, worker: LocalWorker) -> None:
    while True:
        ready = wait([sweep, worker.connection])
        if worker.connection in ready:
            message = worker.receive()
            sweep.send(message)
            if isinstance(message, Ended) and not worker.is_alive:
                raise RuntimeError(message.error)
            continue
        match sweep.recv():
            case None:
                return
            case Interrupt():
                worker.interrupt()
            case Give(run_id):
                state = cache_folder("checkpoints") / run_id / "state"
                sweep.send(state.read_bytes() if state.is_file() else b"")
            case Drop(run_id):
                remove_folder(cache_folder("checkpoints") / run_id)
            case message:
                worker.connection.send(message)


def _environment() -> dict[str, str]:
    """The variables that a worker needs."""
    computing = {name: value for name, value in os.environ.items() if name.startswith(COMPUTING)}
    return computing | tracking_environment()


def _task(address: tuple[str, int], key: bytes) -> Callable[[Iterable[int]], list[int]]:
    """Return the function of a Spark task; executors have no module of ours before it runs."""
    folder = CODE

    def task(_: Iterable[int]) -> list[int]:
        import sys

        from pyspark import SparkFiles

        sys.path.insert(0, f"{SparkFiles.get(folder)}/steps")
        from twinner.sweep.cluster import serve

        serve(address, key)
        return []

    return task


def _keep_alive(connection: Connection) -> None:
    """Notice within a minute that the other machine is gone."""
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE.items():
            if hasattr(socket, name):
                same.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
