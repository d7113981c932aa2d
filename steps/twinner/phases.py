"""Where the time of a run goes."""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar


class Phases:
    """A stopwatch of several hands: each second belongs to the innermost phase that is entered, or to none."""

    def __init__(self) -> None:
        """Start with no phase."""
        self.seconds: dict[str, float] = {}
        self._entered: list[str] = []
        self._since = time.perf_counter()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time until the block ends for `name`, but for that of the phases entered within."""
        self._turn()
        self._entered.append(name)
        try:
            yield
        finally:
            self._turn()
            self._entered.pop()

    def __str__(self) -> str:
        """The phases in the order in which they began, as `read 0.9 s, train 57.7 s`."""
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._entered:
            self.seconds[self._entered[-1]] = self.seconds.get(self._entered[-1], 0.0) + now - self._since
        self._since = now


_current: ContextVar[Phases | None] = ContextVar("phases", default=None)


@contextlib.contextmanager
def timed_phases() -> Iterator[Phases]:
    """Let the calls of `phase` within the block count, here and in what is called."""
    phases = Phases()
    token = _current.set(phases)
    try:
        yield phases
    finally:
        _current.reset(token)


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """Count the time of the block for a phase of the run that is being timed, if there is one."""
    phases = _current.get()
    with phases.phase(name) if phases is not None else contextlib.nullcontext():
        yield
