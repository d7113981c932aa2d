"""Embeddings that are kept for later runs on this machine."""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import ReadWriteLock, Timeout

from twinner.cache import CacheUnusable, cache_folder, folder_size
from twinner.errors import BadInput
from twinner.phases import phase

LIMIT = 20_000  # megabytes, unless TWINNER_EMBEDDINGS_MB says otherwise


class Embeddings:
    """Folders of computed embeddings, by key: from the cache, or computed now."""

    def __init__(self, cache: "EmbeddingCache | None", scratch: Path) -> None:
        """scratch: a folder for what is not cached, made if missing."""
        self._cache = cache
        self._scratch = scratch

    def get(self, key: str, compute: Callable[[Path], None], size: int = 0) -> Path:
        """Return the folder that `compute` fills with about `size` bytes, from the cache if it is there.

        It is computed in the scratch folder and then moved to the cache, so that a failure of the computation is told
        from one of the cache, which costs nothing but a warning.
        Raises BadInput if the disk of the scratch folder does not have that many bytes left.
        """
        scratch = self._scratch / key

        def compute_in_scratch() -> Path:
            scratch.mkdir(parents=True)
            try:
                _check_room(scratch, size)
                compute(scratch)
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
            return scratch

        with phase("embed"):
            if self._cache is not None:
                try:
                    return self._cache.get(key, compute_in_scratch)
                except CacheUnusable as error:
                    warn_of_unusable_cache(error)
                    self._cache = None
            return scratch if scratch.exists() else compute_in_scratch()

    def close(self) -> None:
        """Release the cache's entries."""
        if self._cache is not None:
            self._cache.close()


def digest_of(*parts: Any) -> str:
    """Return a digest of what JSON can hold, as a key of embeddings: 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()[:32]


class EmbeddingCache:
    """Entries, each a folder that is made once under a key and never changed.

    Several processes may share a cache: entries appear complete, processes wait for an entry that is being made, and
    entries in use are not evicted. When the cache outgrows its limit, the least recently used entries are evicted.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        """folder: of the entries, made if missing. limit: their total size in megabytes."""
        self._folder = folder
        self._limit = (_limit() if limit is None else limit) * 1_000_000
        self._held: list[ReadWriteLock] = []
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str, make: Callable[[], Path]) -> Path:
        """Return the folder of an entry; if it is missing, call `make` and move the folder that it returns here.

        The entry stays until `close`. Raises what `make` raises, and CacheUnusable for a failure of the cache itself,
        which loses nothing: the folder of `make` is then left where it was.
        """
        entry = self._folder / key
        with self._own_failures():
            lock = self._lock(key)
        while True:
            with self._own_failures():
                lock.acquire_read()
                if entry.exists():
                    os.utime(entry)  # mark it as used
                    self._held.append(lock)
                    return entry
                lock.release()
                lock.acquire_write()
            try:
                if not entry.exists():  # another process may have made it meanwhile
                    made = make()
                    with self._own_failures():
                        self._move(made, entry)
            finally:
                lock.release()
            with self._own_failures():
                self._evict(but=key)

    def close(self) -> None:
        """Release the entries that this object has returned."""
        while self._held:
            lock = self._held.pop()
            lock.release(force=True)
            lock.close()

    @contextlib.contextmanager
    def _own_failures(self) -> Iterator[None]:
        """Raise CacheUnusable for errors of the file system and of the locks, which are SQLite databases."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            problem = f"the cache folder {self._folder} can't be used ({getattr(error, 'strerror', '') or error})"
            raise CacheUnusable(problem, "set TWINNER_CACHE to a folder that can be written to") from error

    def _move(self, made: Path, entry: Path) -> None:
        with tempfile.TemporaryDirectory(prefix=f"{entry.name}.", dir=self._folder) as temporary:
            new = Path(temporary, "entry")
            shutil.move(made, new)  # a copy where the cache is on another disk, so not directly to its final name
            new.rename(entry)

    def _evict(self, but: str) -> None:
        """Remove half-made entries of killed processes, then the oldest unused ones above the limit."""
        folders = [path for path in self._folder.iterdir() if path.is_dir()]
        for abandoned in (path for path in folders if "." in path.name):
            self._remove(abandoned, abandoned.name.split(".")[0])
        entries = [path for path in folders if "." not in path.name]
        with contextlib.suppress(FileNotFoundError):  # another process evicts too
            entries.sort(key=lambda path: path.stat().st_mtime)
        sizes = {path: folder_size(path) for path in entries}
        excess = sum(sizes.values()) - self._limit
        for path in entries:
            if excess <= 0:
                break
            if path.name != but and self._remove(path, path.name):
                excess -= sizes[path]

    def _remove(self, folder: Path, key: str) -> bool:
        """Remove a folder unless some process is using or making that entry; return whether it was removed."""
        lock = self._lock(key)
        try:
            with lock.write_lock(blocking=False):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, RuntimeError):  # held by another process, or by this one
            return False
        return True

    def _lock(self, key: str) -> ReadWriteLock:
        return ReadWriteLock(self._folder / f"{key}.db", is_singleton=False)


def open_cache() -> EmbeddingCache | None:
    """Open the user's cache of embeddings; if it can't be used, warn and return None."""
    try:
        return EmbeddingCache(cache_folder("embeddings"))
    except CacheUnusable as error:
        warn_of_unusable_cache(error)
        return None


def warn_of_unusable_cache(error: CacheUnusable) -> None:
    """Warn that embeddings are not kept, and why."""
    warnings.warn(f"embeddings are not kept for later runs: {error}", stacklevel=2)


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise BadInput(
            f"the embeddings of this corpus take {size / 1e9:.1f} GB, and the disk of {folder.parent} has"
            f" {free / 1e9:.1f} GB left",
            "set TMPDIR to a folder on a larger disk, or train on less",
        )


def _limit() -> int:
    text = os.environ.get("TWINNER_EMBEDDINGS_MB", "").strip()
    if not text:
        return LIMIT
    if not text.isdecimal():
        raise BadInput(f"TWINNER_EMBEDDINGS_MB is {text!r}", "set it to a whole number of megabytes")
    return int(text)
