"""The one folder that downloads and embeddings are kept in."""

import os
from pathlib import Path

import platformdirs


def cache_folder(*parts: str) -> Path:
    """A folder below the cache, made if need be: TWINNER_CACHE, by default the platform's user cache."""
    root = os.environ.get("TWINNER_CACHE") or platformdirs.user_cache_dir("twinner")
    folder = Path(root).expanduser().joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
