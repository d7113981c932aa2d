"""Measure the memory use of a run over all its processes."""

import threading
from types import TracebackType
from typing import Self

import psutil


class PeakMemory:
    """Context manager that samples the resident memory of this process and its children, such as Spark's JVM.

    Shared pages count once per process; a peak shorter than the sampling interval may be missed.
    """

    def __init__(self, interval: float = 0.25) -> None:
        """interval: seconds between two samples."""
        self.megabytes = 0.0
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_stopped, daemon=True)

    def __enter__(self) -> Self:
        """Start sampling."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sampling; `megabytes` holds the peak."""
        self._stop.set()
        self._thread.join()

    def _sample_until_stopped(self) -> None:
        own = psutil.Process()
        while True:
            total = 0
            for process in [own, *own.children(recursive=True)]:
                try:
                    total += process.memory_info().rss
                except psutil.Error:  # the process ended after it was listed
                    continue
            self.megabytes = max(self.megabytes, total / 1e6)
            if self._stop.wait(self._interval):
                return
