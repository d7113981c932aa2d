import os
import subprocess
import sys
from pathlib import Path

import pytest
from twinner import cores
from twinner.errors import BadInput

STEPS = Path(cores.__file__).resolve().parents[1]
TAKE = """
import sys
from twinner import cores
cores.take_free_share()
print(*cores.available_cores(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=[(4, 2), (4, 3), (2, 2), (1, 2)])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[int, set[int]], int]:
    """Take every share of a machine with some cores; return the shares by place."""
    count, places = request.param
    shares: dict[int, set[int]] = {}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))
    for place in range(places):
        monkeypatch.setattr(os, "sched_setaffinity", lambda _, taken, place=place: shares.update({place: set(taken)}))
        cores.take_share(place, places)
    return shares, count


def test_shares_cover_the_machine(machine: tuple[dict[int, set[int]], int]) -> None:
    shares, count = machine
    assert set().union(*shares.values()) == set(range(count))
    assert all(shares.values())
    if count >= len(shares):
        assert sum(map(len, shares.values())) == count  # no core is in two shares


def test_steps_at_once_keep_to_cores_of_their_own(tmp_path: Path) -> None:
    environment = os.environ | {"TWINNER_JOBS": "2", "TWINNER_CACHE": str(tmp_path), "PYTHONPATH": str(STEPS)}
    started: list[subprocess.Popen[str]] = []
    taken = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", TAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        started.append(process)
        assert process.stdout is not None
        taken.append(set(map(int, process.stdout.readline().split())))
    everything = set(cores.available_cores())
    assert taken[0] | taken[1] == everything
    assert taken[2] == everything  # one more than was said
    if len(everything) > 1 and hasattr(os, "sched_setaffinity"):
        assert not taken[0] & taken[1]
    started[0].kill()
    started[0].wait()
    again = subprocess.run(
        [sys.executable, "-c", TAKE], input="", stdout=subprocess.PIPE, text=True, env=environment, check=True
    )
    assert set(map(int, again.stdout.split())) == taken[0]  # what a process held is free when it has ended
    for process in started[1:]:
        process.kill()
        process.wait()


@pytest.mark.parametrize("jobs", ["0", "-1", "two", "1.5", "²"])
def test_a_wrong_number_of_jobs_is_refused(jobs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINNER_JOBS", jobs)
    with pytest.raises(BadInput, match="set it to how many steps run at once"):
        cores.take_free_share()


def test_one_job_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWINNER_JOBS", raising=False)
    before = cores.available_cores()
    cores.take_free_share()
    assert cores.available_cores() == before
