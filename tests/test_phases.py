import time

import pytest
from twinner.phases import phase, timed_phases


def test_each_second_belongs_to_the_innermost_phase() -> None:
    with timed_phases() as phases:
        began = time.perf_counter()
        with phase("train"):
            time.sleep(0.02)
            with phase("embed"):
                time.sleep(0.03)
            with phase("train"):
                time.sleep(0.01)
        whole = time.perf_counter() - began
    assert list(phases.seconds) == ["train", "embed"]
    assert sum(phases.seconds.values()) == pytest.approx(whole, abs=0.005)
    assert phases.seconds["train"] >= 0.03
    assert phases.seconds["embed"] >= 0.03


def test_a_phase_ends_with_an_error_too() -> None:
    with timed_phases() as phases:
        with pytest.raises(ValueError, match="oops"), phase("read"):
            raise ValueError("oops")
        time.sleep(0.05)
        with phase("log"):
            pass
    assert sum(phases.seconds.values()) < 0.05


def test_without_a_run_a_phase_counts_nowhere() -> None:
    with phase("read"), timed_phases() as phases:
        pass
    assert phases.seconds == {}


def test_phases_are_told_in_order() -> None:
    with timed_phases() as phases:
        with phase("read"):
            pass
        with phase("train"):
            pass
    assert str(phases) == "read 0.0 s, train 0.0 s"
