"""The one folder for downloads, embeddings, checkpoints and the outputs of runs that are still going."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import platformdirs
from filelock import FileLock

from twinner.errors import BadInput


class CacheUnusable(BadInput):
    """The cache folder can't be made or written to."""


def cache_root() -> Path:
    """Return the cache folder, which may not exist yet: TWINNER_CACHE, by default the platform's user cache.

    Raises CacheUnusable if there is no home folder to keep it in.
    """
    try:
        return Path(os.environ.get("TWINNER_CACHE") or platformdirs.user_cache_dir("twinner")).expanduser().absolute()
    except RuntimeError:
        raise CacheUnusable("there is no home folder to keep the cache in", "set TWINNER_CACHE to a folder") from None


def cache_folder(*parts: str) -> Path:
    """Return a folder below the cache, and make it if need be.

    Only the user can read a cache that is made here: it holds text of corpora, and what it holds is trusted.
    Raises CacheUnusable if the folder is missing and can't be made.
    """
    root = cache_root()
    folder = root.joinpath(*parts)
    try:
        if not root.exists():
            root.parent.mkdir(parents=True, exist_ok=True)
            root.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"the cache folder {folder} can't be made ({error.strerror})"
        raise CacheUnusable(problem, "set TWINNER_CACHE to a folder that can be written to") from None
    return folder


def writable_cache_folder(*parts: str) -> Path:
    """Return a folder below the cache that files can be written to, and make it if need be.

    Raises CacheUnusable if that can't be done, as in a read-only cache.
    """
    folder = cache_folder(*parts)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        problem = f"the cache folder {folder} can't be written to ({error.strerror})"
        raise CacheUnusable(problem, "set TWINNER_CACHE to a folder that can") from None
    return folder


def filled_folder(fill: Callable[[Path], None], *parts: str) -> Path:
    """Return a folder below the cache, and call `fill` with an empty one that takes its place if it is not there.

    It is there whole or not at all. Of several processes that need it, one fills it and the others wait.
    Raises CacheUnusable if it can't be written, as on a full disk; other errors of `fill` pass.
    """
    *above, name = parts
    folder = cache_folder(*above) / name
    if folder.exists():
        return folder  # without the lock: the cache may be read-only
    parent = writable_cache_folder(*above)
    part = parent / f".{name}.part"
    try:
        with FileLock(parent / f".{name}.lock"):
            if not folder.exists():  # another process may have filled it meanwhile
                shutil.rmtree(part, ignore_errors=True)  # of a killed process
                part.mkdir()
                try:
                    fill(part)
                    part.rename(folder)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        problem = f"the folder {folder} can't be written to the cache ({error.strerror or error})"
        raise CacheUnusable(problem, "free space, or set TWINNER_CACHE to a folder that has some") from error
    return folder


def folder_size(folder: Path) -> int:
    """Return the bytes of all files in a folder; files may vanish meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total
