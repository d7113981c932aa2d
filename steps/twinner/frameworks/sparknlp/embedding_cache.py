"""Embeddings that were computed once, kept for the next runs on this machine."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import ReadWriteLock, Timeout

from twinner.cache import folder_size
from twinner.errors import BadInput

LIMIT = 20_000  # megabytes, unless TWINNER_EMBEDDINGS_MB says otherwise


class EmbeddingCache:
    """Entries, each a folder that is made once under a key and never changed.

    Several processes may use one cache: an entry appears as a whole, whoever asks for it while it is made waits, and
    one that is in use is not evicted. When the entries have outgrown the limit, those not used for longest go first.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        """folder: of the entries, made if need be. limit: of their size in megabytes."""
        self._folder = folder
        self._limit = (_limit() if limit is None else limit) * 1_000_000
        self._held: list[ReadWriteLock] = []
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
        """The folder of an entry, and whether it was there; `make` fills the new folder that it is given, if not.

        The entry stays until `close`. Raises what `make` raises; nothing is left of the entry then.
        """
        entry, found = self._folder / key, True
        lock = self._lock(key)
        while True:
            lock.acquire_read()
            if entry.exists():
                os.utime(entry)  # used now
                self._held.append(lock)
                return entry, found
            lock.release()
            with lock.write_lock():
                if not entry.exists():  # another process may have made it meanwhile
                    found = False
                    self._make(entry, make)
            self._evict(but=key)

    def close(self) -> None:
        """Let the entries go that this object has given out."""
        while self._held:
            lock = self._held.pop()
            lock.release(force=True)
            lock.close()

    def _make(self, entry: Path, make: Callable[[Path], None]) -> None:
        with tempfile.TemporaryDirectory(prefix=f"{entry.name}.", dir=self._folder) as temporary:
            new = Path(temporary, "entry")
            new.mkdir()
            make(new)
            new.rename(entry)

    def _evict(self, but: str) -> None:
        """Remove what killed processes left half made, then the oldest entries above the limit that nobody uses."""
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
        """Remove a folder of the cache unless a process is using or making that entry; whether it did."""
        lock = self._lock(key)
        try:
            with lock.write_lock(blocking=False):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, RuntimeError):  # another process holds it, or this one
            return False
        return True

    def _lock(self, key: str) -> ReadWriteLock:
        return ReadWriteLock(self._folder / f"{key}.db", is_singleton=False)


def _limit() -> int:
    text = os.environ.get("TWINNER_EMBEDDINGS_MB", "").strip()
    if not text:
        return LIMIT
    if not text.isdecimal():
        raise BadInput(f"TWINNER_EMBEDDINGS_MB is {text!r}", "set it to a whole number of megabytes")
    return int(text)
