"""Measure how long each phase of a run takes."""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar


class Phases:
    """A stopwatch for nested phases: time counts towards the innermost open phase only."""

    def __init__(self) -> None:
        """Start with no phase open."""
        self.seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._last_change = time.perf_counter()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the duration of the block to `name`, without that of phases nested in it."""
        self._charge_open_phase()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge_open_phase()
            self._open.pop()

    def __str__(self) -> str:
        """The phases in the order in which they started, such as `read 0.9 s, train 57.7 s`."""
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())

    def _charge_open_phase(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._last_change
        self._last_change = now


_current: ContextVar[Phases | None] = ContextVar("phases", default=None)


@contextlib.contextmanager
def timed_phases() -> Iterator[Phases]:
    """Collect the times of all `phase` blocks entered within this block, including in called functions."""
    phases = Phases()
    token = _current.set(phases)
    try:
        yield phases
    finally:
        _current.reset(token)


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """Add the duration of the block to the phase `name` of the enclosing `timed_phases`, if there is one."""
    phases = _current.get()
    with phases.phase(name) if phases is not None else contextlib.nullcontext():
        yield
