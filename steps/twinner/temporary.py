"""Temporary folders that do not outlive a killed process for long: they may hold text of corpora."""

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

_locks: dict[Path, FileLock] = {}  # by folder; the system releases them when the process dies, however it dies


def temporary_folder(prefix: str) -> Path:
    """Make a folder `twinner-<prefix>-…` for this process, and remove those of our dead processes.

    Only the user can read it. The folder's lock is a file beside it, held until `remove_folder` or the end of the
    process: process ids would not do, since they are reused, and containers may share a temporary folder.
    """
    parent = Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    while True:
        handle, name = tempfile.mkstemp(prefix=f"twinner-{prefix}-", suffix=".lock", dir=parent)
        os.close(handle)
        lock, folder = FileLock(name, mode=0o600), Path(name).with_suffix("")
        try:
            lock.acquire(blocking=False)
        except Timeout:  # another process is just removing this lock as abandoned
            continue
        folder.mkdir(mode=0o700)
        _locks[folder] = lock
        return folder


def remove_folder(folder: Path) -> None:
    """Remove a folder that `temporary_folder` made, as far as the system lets us."""
    shutil.rmtree(folder, ignore_errors=True)
    lock = _locks.pop(folder, None)
    if lock is not None:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders whose lock nobody holds, if both are this user's; links are not followed."""
    for file in parent.glob("twinner-*.lock"):
        folder = file.with_suffix("")
        with contextlib.suppress(OSError):  # Timeout is one: a live process holds the lock; or another has removed it
            if not _is_ours(file.lstat(), stat.S_IFREG):
                continue
            with FileLock(file, mode=0o600).acquire(blocking=False):
                if os.path.lexists(folder):
                    if not _is_ours(folder.lstat(), stat.S_IFDIR):
                        continue
                    shutil.rmtree(folder)
                file.unlink()


def _is_ours(status: os.stat_result, kind: int) -> bool:
    """Whether a file or folder is of this kind and this user's (Windows has a temporary folder for each user)."""
    return stat.S_IFMT(status.st_mode) == kind and (os.name == "nt" or status.st_uid == os.getuid())
