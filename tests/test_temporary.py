import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from twinner.temporary import remove_folder, temporary_folder

STEPS = Path(__file__).parents[1] / "steps"
HOLD = """
import sys
from twinner.temporary import temporary_folder
folder = temporary_folder("test")
(folder / "corpus.txt").write_text("text of a corpus")
print(folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of the system, for this test."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def start_holder() -> subprocess.Popen[str]:
    """Start a process that makes a temporary folder and keeps it."""
    environment = os.environ | {"PYTHONPATH": str(STEPS)}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", HOLD], env=environment, stdin=pipe, stdout=pipe, text=True)


def folder_of(process: subprocess.Popen[str]) -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def abandoned(parent: Path, name: str) -> Path:
    """What a killed process leaves: a folder with a file in it, and its lock."""
    folder = parent / name
    folder.mkdir()
    (folder / "corpus.txt").touch()
    folder.with_name(f"{name}.lock").touch()
    return folder


def test_folder_is_private_and_empty(parent: Path) -> None:
    folder = temporary_folder("test")
    assert folder.parent == parent
    assert folder.name.startswith("twinner-test-")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []
    remove_folder(folder)
    assert list(parent.iterdir()) == []


def test_removes_the_folder_of_a_killed_process(parent: Path) -> None:
    process = start_holder()
    folder = folder_of(process)
    kill(process)
    assert (folder / "corpus.txt").exists()
    own = temporary_folder("other")
    assert sorted(parent.iterdir()) == [own, own.with_name(f"{own.name}.lock")]
    remove_folder(own)


def test_keeps_the_folders_of_live_processes() -> None:
    process = start_holder()
    folder = folder_of(process)
    own = temporary_folder("test")
    another = temporary_folder("test")
    assert (folder / "corpus.txt").exists()
    assert own.exists()
    kill(process)
    remove_folder(own)
    remove_folder(another)


def test_a_removed_folder_leaves_only_a_lock_that_the_next_start_removes(parent: Path) -> None:
    process = start_holder()
    folder = folder_of(process)
    shutil.rmtree(folder)
    kill(process)
    remove_folder(temporary_folder("test"))
    assert list(parent.iterdir()) == []


def test_concurrent_starts_keep_their_folders(parent: Path) -> None:
    for number in range(20):
        abandoned(parent, f"twinner-test-{number}")
    processes = [start_holder() for _ in range(6)]
    folders = [folder_of(process) for process in processes]
    assert len(set(folders)) == 6
    assert all((folder / "corpus.txt").exists() for folder in folders)
    assert sorted(path for path in parent.iterdir() if path.is_dir()) == sorted(folders)
    for process in processes:
        kill(process)


def test_does_not_follow_links(parent: Path, tmp_path: Path) -> None:
    precious = abandoned(tmp_path, "precious")
    (parent / "twinner-test-folder").symlink_to(precious)
    (parent / "twinner-test-folder.lock").touch()
    linked_lock = abandoned(parent, "twinner-test-lock")
    (parent / "twinner-test-lock.lock").unlink()
    (parent / "twinner-test-lock.lock").symlink_to(tmp_path / "precious.lock")
    (abandoned(parent, "twinner-test-inside") / "link").symlink_to(precious)
    remove_folder(temporary_folder("test"))
    assert (precious / "corpus.txt").exists()
    assert linked_lock.exists()
    assert not (parent / "twinner-test-inside").exists()


def test_keeps_folders_of_other_users_and_those_without_a_lock(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = abandoned(parent, "twinner-test-theirs")
    (parent / "twinner-notes").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
    remove_folder(temporary_folder("test"))
    assert theirs.exists()
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    remove_folder(temporary_folder("test"))
    assert not theirs.exists()
    assert (parent / "twinner-notes").exists()
