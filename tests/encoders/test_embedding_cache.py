import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.cache import CacheUnusable
from twinner.encoders.embedding_cache import EmbeddingCache, Embeddings, open_cache
from twinner.errors import BadInput

STEPS = Path(__file__).parents[2] / "steps"
NEVER_EVICT = 1000

Make = Callable[[], Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a cache."""
    return tmp_path / "cache"


@pytest.fixture
def kilobytes(tmp_path: Path) -> Callable[..., Make]:
    """Returns a `make` for entries of a size, which notes its calls."""

    def of_size(count: int, calls: list[int] | None = None) -> Make:
        def make() -> Path:
            if calls is not None:
                calls.append(count)
            made = tmp_path / "made"
            made.mkdir()
            (made / "vectors").write_bytes(b"x" * count * 1000)
            return made

        return make

    return of_size


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_makes_an_entry_once(folder: Path, kilobytes: Callable[..., Make]) -> None:
    calls: list[int] = []
    cache = EmbeddingCache(folder, NEVER_EVICT)
    first = cache.get("a", kilobytes(1, calls))
    assert (first / "vectors").stat().st_size == 1000
    again = EmbeddingCache(folder, NEVER_EVICT).get("a", kilobytes(1, calls))
    assert (again, calls) == (first, [1])
    cache.close()


def test_a_failing_make_leaves_nothing_and_can_be_repeated(folder: Path, kilobytes: Callable[..., Make]) -> None:
    cache = EmbeddingCache(folder, NEVER_EVICT)

    def fail() -> Path:
        raise OSError("no space left for the job")

    with pytest.raises(OSError, match="no space left for the job"):
        cache.get("a", fail)
    assert names(folder) == set()
    assert cache.get("a", kilobytes(1)).is_dir()
    cache.close()


def test_an_unusable_cache_leaves_what_was_made(folder: Path, kilobytes: Callable[..., Make]) -> None:
    cache = EmbeddingCache(folder, NEVER_EVICT)

    def replace_cache_by_file() -> Path:
        shutil.rmtree(folder)
        folder.touch()
        return kilobytes(1)()

    with pytest.raises(
        CacheUnusable, match=rf"^the cache folder {folder} can't be used \(Not a directory\); set TWINN"
    ):
        cache.get("a", replace_cache_by_file)
    assert (folder.parent / "made" / "vectors").exists()
    with pytest.raises(CacheUnusable, match=rf"^the cache folder {folder} can't be used \("):
        cache.get("a", lambda: pytest.fail("it must not be made for a cache that can't be used"))


FILL = """
import sys
from pathlib import Path
from twinner.cache import CacheUnusable
from twinner.encoders.embedding_cache import EmbeddingCache
made = Path(sys.argv[2])
made.mkdir()
(made / "vectors").write_bytes(b"x" * 2_000_000)
try:
    EmbeddingCache(Path(sys.argv[1]), 1000).get("a", lambda: made)
except CacheUnusable as error:
    print(error)
print((made / "vectors").stat().st_size)
"""


def test_a_full_disk_leaves_what_was_made(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"', str(folder)]
    if shutil.which("unshare") is None or subprocess.run([*mount, "true"], check=False).returncode:
        pytest.skip("mounting a folder takes unshare and its rights")
    done = subprocess.run(
        [*mount, sys.executable, "-c", FILL, folder, tmp_path / "made"],
        env=os.environ | {"PYTHONPATH": str(STEPS)},
        capture_output=True,
        text=True,
        check=True,
    )
    problem, size = done.stdout.splitlines()
    assert problem.startswith(f"the cache folder {folder} can't be used (")
    assert "No space left on device" in problem
    assert size == "2000000"


def test_a_cache_path_that_is_a_file_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TWINNER_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match=r"^embeddings are not kept for later runs: the cache folder .* can't be made"):
        assert open_cache() is None


def _get(folder: str, log: str) -> None:
    def make() -> Path:
        with Path(log).open("a") as file:
            file.write("made\n")
        made = Path(f"{log}.made")
        made.mkdir()
        (made / "vectors").touch()
        return made

    cache = EmbeddingCache(Path(folder), NEVER_EVICT)
    entry = cache.get("a", make)
    assert (entry / "vectors").exists()
    cache.close()


def test_one_of_several_processes_makes_the_entry(tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_get, args=(str(tmp_path / "cache"), str(log))) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert log.read_text() == "made\n"


def test_evicts_the_least_recently_used_entries(folder: Path, kilobytes: Callable[..., Make]) -> None:
    cache = EmbeddingCache(folder, limit=2)  # megabytes
    for key in ("a", "b", "c"):
        cache.get(key, kilobytes(600))
        os.utime(folder / key, (1, {"a": 10, "b": 20, "c": 30}[key]))
    cache.get("a", kilobytes(600))  # used again
    cache.close()
    cache.get("d", kilobytes(600))
    assert names(folder) == {"a", "c", "d"}
    cache.close()


HOLD = """
import sys
from pathlib import Path
from twinner.encoders.embedding_cache import EmbeddingCache
cache = EmbeddingCache(Path(sys.argv[1]), 1000)
made = Path(sys.argv[2])
made.mkdir()
(made / "vectors").write_bytes(b"x" * 900_000)
cache.get("held", lambda: made)
print("held", flush=True)
sys.stdin.read()
"""


def test_keeps_an_entry_in_use_by_another_process(folder: Path, tmp_path: Path, kilobytes: Callable[..., Make]) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder, tmp_path / "held"],
        env=os.environ | {"PYTHONPATH": str(STEPS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    cache = EmbeddingCache(folder, limit=1)
    cache.get("a", kilobytes(500))
    cache.close()
    assert names(folder) == {"held", "a"}
    holder.kill()  # which releases its lock
    holder.communicate()
    cache.get("b", kilobytes(400))
    assert names(folder) == {"a", "b"}
    cache.close()


def test_removes_half_made_entries_of_killed_processes(folder: Path, kilobytes: Callable[..., Make]) -> None:
    (folder / "a.k1ll3d" / "entry").mkdir(parents=True)
    cache = EmbeddingCache(folder, NEVER_EVICT)
    cache.get("b", kilobytes(1))
    assert names(folder) == {"b"}
    cache.close()


def test_the_limit_is_configurable(
    folder: Path, kilobytes: Callable[..., Make], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINNER_EMBEDDINGS_MB", "1")
    cache = EmbeddingCache(folder)
    cache.get("a", kilobytes(600))
    cache.close()
    cache.get("b", kilobytes(600))
    assert names(folder) == {"b"}
    cache.close()
    monkeypatch.setenv("TWINNER_EMBEDDINGS_MB", "lots")
    with pytest.raises(BadInput, match="TWINNER_EMBEDDINGS_MB is 'lots'; set it to a whole number of megabytes"):
        EmbeddingCache(folder)


def test_too_small_a_disk_is_told_before_embedding(tmp_path: Path) -> None:
    def compute(_: Path) -> None:
        raise AssertionError("computed all the same")

    embeddings = Embeddings(None, tmp_path / "scratch")
    with pytest.raises(BadInput, match=r"take 1000000000\.0 GB, and the disk of .*scratch has \d+\.\d GB left"):
        embeddings.get("key", compute, size=10**18)
    assert not (tmp_path / "scratch" / "key").exists()
