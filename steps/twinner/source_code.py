"""Identify the code that a run was made with, committed or not."""

import functools
import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]  # the folder that holds steps/
STEPS = PROJECT / "steps"
CONSTRAINTS = "constraints.txt"
SUFFIXES = (".py", ".cfg", ".lock")  # what a training depends on


@functools.cache
def code_digest() -> str:
    """Return a digest of this project's code and of its pinned dependencies: 16 hexadecimal digits."""
    found = hashlib.sha256()
    files = [path for path in STEPS.rglob("*") if path.suffix in SUFFIXES and path.is_file()]
    for path in [*sorted(files), PROJECT / CONSTRAINTS]:
        content = path.read_bytes() if path.is_file() else b""
        found.update(f"{path.relative_to(PROJECT).as_posix()} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()[:16]


def archive_code(folder: Path) -> Path:
    """Pack the steps, with all that they need but their corpora and their environment, to a file in a folder."""
    return zip_files(folder / "code.zip", [*STEPS.rglob("*"), PROJECT / CONSTRAINTS], PROJECT)


def zip_files(archive: Path, paths: Iterable[Path], root: Path) -> Path:
    """Pack files, named from a folder on; return the archive. paths: folders and hidden files are left out."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(paths):
            name = path.relative_to(root)
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in name.parts):
                file.write(path, name)
    return archive


def uncommitted_files() -> list[str]:
    """Return the files of `code_digest` that differ from the commit, each with git's letters for how: `M steps/x.py`.

    Empty too where git is missing, or the project is not in a repository.
    """
    try:
        from git import Git, GitError  # fails where there is no git
    except ImportError:
        return []
    try:
        status = Git(PROJECT).status("--porcelain", "--untracked-files=all", "--", STEPS.name, CONSTRAINTS)
    except (GitError, OSError):
        return []
    changed = [line.strip() for line in status.splitlines()]
    return [line for line in changed if line.strip('"').endswith((*SUFFIXES, CONSTRAINTS))]
