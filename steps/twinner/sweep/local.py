"""Worker processes on this machine."""

from collections.abc import Container

from twinner.sweep.plan import Plan
from twinner.sweep.pool import Pool
from twinner.sweep.worker import LocalWorker, Worker
from twinner.temporary import remove_folder, temporary_folder


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

    def dismiss(self) -> None:
        """Let the processes end side by side: Java takes a second."""
        for worker in self._workers:
            worker.dismiss()

    def stop(self) -> None:
        """End all processes."""
        self.dismiss()
        for worker in self._workers:
            worker.stop()
        remove_folder(self._logs)

    def _start(self, place: int) -> LocalWorker:
        log = self._logs / f"worker-{place}.log"
        return LocalWorker(self._plan.step, self._plan.settings, log, place, self._plan.jobs)
