import time

import pytest
from twinner.phases import phase, timed_phases


class Clock:
    """A clock that moves only when advanced."""

    def __init__(self) -> None:
        self.now = 100.0

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def test_time_counts_for_the_innermost_phase(clock: Clock) -> None:
    with timed_phases() as phases:
        clock.advance(1)  # no phase is open
        with phase("train"):
            clock.advance(2)
            with phase("embed"):
                clock.advance(4)
            with phase("train"):
                clock.advance(8)
            clock.advance(16)
    assert phases.seconds == {"train": 26, "embed": 4}


def test_phase_ends_with_an_error(clock: Clock) -> None:
    def fail() -> None:
        clock.advance(1)
        raise ValueError("oops")

    with timed_phases() as phases:
        with pytest.raises(ValueError, match="oops"), phase("read"):
            fail()
        clock.advance(2)
        with phase("log"):
            clock.advance(4)
    assert phases.seconds == {"read": 1, "log": 4}


def test_phase_outside_timed_phases_is_not_counted() -> None:
    with phase("read"), timed_phases() as phases:
        pass
    assert phases.seconds == {}


def test_summary_lists_phases_in_order(clock: Clock) -> None:
    with timed_phases() as phases:
        with phase("train"):
            clock.advance(57.72)
            with phase("read"):
                clock.advance(0.94)
        with phase("log"):
            pass
    assert str(phases) == "train 57.7 s, read 0.9 s, log 0.0 s"
