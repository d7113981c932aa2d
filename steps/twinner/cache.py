"""The one folder that downloads and embeddings are kept in."""

import contextlib
import os
from pathlib import Path

import platformdirs


def cache_folder(*parts: str) -> Path:
    """A folder below the cache, made if need be: TWINNER_CACHE, by default the platform's user cache."""
    root = os.environ.get("TWINNER_CACHE") or platformdirs.user_cache_dir("twinner")
    folder = Path(root).expanduser().joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def folder_size(folder: Path) -> int:
    """The bytes of all that is in a folder, in which files may vanish while it is read."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total
