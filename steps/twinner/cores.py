"""Give each of several processes that compute at once its own share of the machine's cores.

Two trainings that both use every core slow each other down more than if each had half of them.
"""

import os
from contextlib import suppress

from filelock import FileLock, Timeout

from twinner.cache import CacheUnusable, cache_folder
from twinner.errors import BadInput

JOBS = "TWINNER_JOBS"  # how many steps the user lets run at once
_held: list[FileLock] = []  # as long as this process lives


def job_count() -> int:
    """Return how many trainings share the machine. Raises BadInput unless TWINNER_JOBS is a whole number above 0."""
    return parse_count(JOBS, os.environ.get(JOBS) or "1", "set it to how many steps run at once, such as 2")


def parse_count(name: str, text: str, remedy: str) -> int:
    """Return a whole number above 0. Raises BadInput for another text: `NAME is 'TEXT'; REMEDY`."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise BadInput(f"{name} is {text!r}", remedy)
    return int(text)


def available_cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def take_share(place: int, places: int) -> None:
    """Keep this process, and those that it will start, to one of several equal shares of the cores.

    place: from 0 to places - 1. With more places than cores, several share one. Only Linux can do this.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = available_cores()
        os.sched_setaffinity(
            0, cores[place % len(cores) :: places] if places <= len(cores) else [cores[place % len(cores)]]
        )


def take_free_share() -> None:
    """Take a share of the cores that no other step has taken, if TWINNER_JOBS says that several run at once.

    If all are taken, or the cache can't be used, the process keeps all cores.
    """
    places = job_count()
    if places == 1:
        return
    with suppress(CacheUnusable, OSError):
        folder = cache_folder("cores")
        for place in range(places):
            lock = FileLock(folder / f"{place}-of-{places}.lock", timeout=0, thread_local=False)
            with suppress(Timeout):
                lock.acquire()
                _held.append(lock)
                take_share(place, places)
                return
