"""The worker processes of a sweep, here or on a cluster."""

from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait

from twinner.sweep.plan import Plan
from twinner.sweep.worker import LocalWorker, Worker
from twinner.temporary import remove_folder, temporary_folder

LOOK = 1.0  # seconds between two looks at what has changed


@contextmanager
def start_pool(plan: Plan) -> Iterator["Pool"]:
    """Start what trains the trials of a sweep, for the block.

    Raises BadInput if the cluster can't be used, or the corpus that its workers need can't be read.
    """
    if plan.spark_master:
        from twinner.sweep.cluster import ClusterPool

        pool: Pool = ClusterPool(plan)
    else:
        pool = LocalPool(plan)
    try:
        yield pool
    finally:
        pool.stop()


class Pool(ABC):
    """Where a sweep gets its workers. `stop` ends them."""

    @abstractmethod
    def idle(self, busy: Container[Worker]) -> Worker | None:
        """Return a worker that is not one of `busy`, or None while there is no other."""

    def wait(self, busy: Sequence[Worker]) -> list[Worker]:
        """Wait a second at most; return those of the busy workers that have a message."""
        by_connection = {worker.connection: worker for worker in busy}
        return [by_connection[ready] for ready in wait(list(by_connection), LOOK)]  # type: ignore[index]

    @abstractmethod
    def here(self) -> Worker:
        """Return an idle worker that sees the files of this machine."""

    def bring_checkpoint(self, worker: Worker, run_id: str) -> None:  # noqa: B027  # most pools share the cache
        """See to it that a training that a worker has finished can be resumed on this machine."""

    @abstractmethod
    def stop(self) -> None:
        """End all workers."""


class LocalPool(Pool):
    """Processes of this machine, each on its own cores."""

    def __init__(self, plan: Plan) -> None:
        """Start the processes. plan: says how many, and for what."""
        self._plan = plan
        self._logs = temporary_folder("sweep")
        self._workers = [self._start(place) for place in range(min(plan.jobs, plan.trials * len(plan.seeds)))]

    def idle(self, busy: Container[Worker]) -> Worker | None:
        """Return an idle process, or start one as long as there are fewer than `jobs`."""
        for worker in [worker for worker in self._workers if not worker.is_alive and worker not in busy]:
            self._workers.remove(worker)
            worker.stop()
        for worker in self._workers:
            if worker not in busy:
                return worker
        places = set(range(self._plan.jobs)) - {worker.place for worker in self._workers}
        if not places:
            return None
        self._workers.append(self._start(min(places)))
        return self._workers[-1]

    def here(self) -> Worker:
        """Return an idle process."""
        worker = self.idle(busy=())
        assert worker is not None  # a plan has at least one job
        return worker

    def stop(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.dismiss()
        for worker in self._workers:  # they have ended side by side
            worker.stop()
        remove_folder(self._logs)

    def _start(self, place: int) -> LocalWorker:
        log = self._logs / f"worker-{place}.log"
        return LocalWorker(self._plan.step, self._plan.settings, log, place, self._plan.jobs)
