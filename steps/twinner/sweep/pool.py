"""What a sweep asks of those who run its worker processes."""

from abc import ABC, abstractmethod
from collections.abc import Container, Sequence
from multiprocessing.connection import wait
from typing import Self

from twinner.sweep.worker import Worker

LOOK = 1.0  # seconds between two looks at what has changed


class Pool(ABC):
    """Where a sweep gets its workers, for the length of a `with` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

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

    def dismiss(self) -> None:  # noqa: B027  # not every pool gains by it
        """Tell the workers, which are idle, that there is nothing left to do; `stop` will then take less time."""

    @abstractmethod
    def stop(self) -> None:
        """End all workers."""
