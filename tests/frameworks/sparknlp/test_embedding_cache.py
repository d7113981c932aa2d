import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.errors import BadInput
from twinner.frameworks.sparknlp.embedding_cache import EmbeddingCache

STEPS = Path(__file__).parents[3] / "steps"
NEVER_EVICT = 1000


def kilobytes(count: int, calls: list[int] | None = None) -> Callable[[Path], None]:
    """What makes an entry of a size, and notes that it was called."""

    def make(folder: Path) -> None:
        if calls is not None:
            calls.append(count)
        (folder / "vectors").write_bytes(b"x" * count * 1000)

    return make


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    calls: list[int] = []
    cache = EmbeddingCache(tmp_path, NEVER_EVICT)
    first, there = cache.get("a", kilobytes(1, calls))
    assert (first / "vectors").stat().st_size == 1000
    assert not there
    again, there = EmbeddingCache(tmp_path, NEVER_EVICT).get("a", kilobytes(1, calls))
    assert (again, there, calls) == (first, True, [1])
    cache.close()


def test_what_fails_leaves_nothing_and_can_be_tried_again(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, NEVER_EVICT)

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        cache.get("a", fail)
    assert names(tmp_path) == set()
    assert cache.get("a", kilobytes(1))[0].is_dir()
    cache.close()


def _get(folder: str, log: str) -> None:
    def make(new: Path) -> None:
        with Path(log).open("a") as file:
            file.write("made\n")
        (new / "vectors").touch()

    cache = EmbeddingCache(Path(folder), NEVER_EVICT)
    entry, _ = cache.get("a", make)
    assert (entry / "vectors").exists()
    cache.close()


def test_of_several_processes_one_makes_the_entry_and_the_others_wait(tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_get, args=(str(tmp_path / "cache"), str(log))) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert log.read_text() == "made\n"


def test_the_entries_that_were_used_longest_ago_go_first(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, limit=2)  # megabytes
    for key in ("a", "b", "c"):
        cache.get(key, kilobytes(600))
        os.utime(tmp_path / key, (1, {"a": 10, "b": 20, "c": 30}[key]))
    cache.get("a", kilobytes(600))  # used again
    cache.close()
    cache.get("d", kilobytes(600))
    assert names(tmp_path) == {"a", "c", "d"}
    cache.close()


HOLD = """
import sys
from collections.abc import Callable
from pathlib import Path
from twinner.frameworks.sparknlp.embedding_cache import EmbeddingCache
cache = EmbeddingCache(Path(sys.argv[1]), 1000)
cache.get("held", lambda folder: (folder / "vectors").write_bytes(b"x" * 900_000))
print("held", flush=True)
sys.stdin.read()
"""


def test_an_entry_in_use_by_another_process_is_not_evicted(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(STEPS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    cache = EmbeddingCache(tmp_path, limit=1)
    cache.get("a", kilobytes(500))
    cache.close()
    assert names(tmp_path) == {"held", "a"}
    holder.kill()  # its lock goes with it
    holder.communicate()
    cache.get("b", kilobytes(400))
    assert names(tmp_path) == {"a", "b"}
    cache.close()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a.k1ll3d" / "entry").mkdir(parents=True)
    cache = EmbeddingCache(tmp_path, NEVER_EVICT)
    cache.get("b", kilobytes(1))
    assert names(tmp_path) == {"b"}
    cache.close()


def test_the_limit_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINNER_EMBEDDINGS_MB", "1")
    cache = EmbeddingCache(tmp_path)
    cache.get("a", kilobytes(600))
    cache.close()
    cache.get("b", kilobytes(600))
    assert names(tmp_path) == {"b"}
    cache.close()
    monkeypatch.setenv("TWINNER_EMBEDDINGS_MB", "lots")
    with pytest.raises(BadInput, match="TWINNER_EMBEDDINGS_MB is 'lots'; set it to a whole number of megabytes"):
        EmbeddingCache(tmp_path)
