"""The memory that a run takes, over all its processes."""

import threading
from types import TracebackType
from typing import Self

import psutil


class PeakMemory:
    """Samples the resident memory of this process and its children (Spark's JVM is one) while it is entered.

    Shared pages count once for each process, and a peak shorter than the interval may be missed.
    """

    def __init__(self, interval: float = 0.25) -> None:
        """Sample every `interval` seconds."""
        self.megabytes = 0.0
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Start to sample."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; `megabytes` holds the peak."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while True:
            total = 0
            for process in [own, *own.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:  # it ended between the listing and the question
                    continue
            self.megabytes = max(self.megabytes, total / 1e6)
            if self._stop.wait(self._interval):
                return
