"""Identify the code that a run was made with, committed or not."""

import functools
import hashlib
from pathlib import Path

STEPS = Path(__file__).resolve().parent.parent
SUFFIXES = (".py", ".cfg", ".lock")  # what a training depends on


@functools.cache
def code_digest() -> str:
    """Return a digest of this project's code and of its pinned dependencies: 16 hexadecimal digits."""
    found = hashlib.sha256()
    files = [path for path in STEPS.rglob("*") if path.suffix in SUFFIXES and path.is_file()]
    for path in [*sorted(files), STEPS.parent / "constraints.txt"]:
        content = path.read_bytes() if path.is_file() else b""
        found.update(f"{path.relative_to(STEPS.parent).as_posix()} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()[:16]
