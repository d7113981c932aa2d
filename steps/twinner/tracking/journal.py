"""What a run has to say, kept on disk until MLflow has it: a journal, and the files beside it."""

import json
import os
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from twinner.cache import CacheUnusable, cache_folder
from twinner.errors import BadInput

FORMAT = 1  # of the folder; another version of the project may write another
FILES = "artifacts"  # the kind of the entry that says: everything in `artifacts/` is complete
MODEL = "model"  # … and everything in `model/`
RESUMED = "resumed"  # another process goes on with the run, so an end before does not count


@dataclass(frozen=True)
class About:
    """Which run a folder is of. store: the URI of its tracking store, without password. started: in ms."""

    run_id: str
    experiment_id: str
    step: str
    store: str
    started: int
    format: int = FORMAT


@dataclass(frozen=True)
class Entry:
    """One line of a journal. kind: `params`, `tags`, `metrics`, … time: in milliseconds."""

    number: int
    kind: str
    time: int
    value: Any


class Journal:
    """The folder of one run: `journal.jsonl`, `artifacts/`, `model/`, and what of them was delivered.

    One process at a time holds it, by a file lock beside the folder that the system releases when the process ends,
    however it ends. The methods may be called by several threads.
    """

    def __init__(self, folder: Path) -> None:
        """folder: of a run that `create` made; see `claim`."""
        self.folder = folder
        self.changed = threading.Event()  # set by `add`
        self._lock = FileLock(folder.with_name(f"{folder.name}.lock"), timeout=0, thread_local=False)
        self._guard = threading.RLock()
        self._entries: list[Entry] = []
        self._delivered: set[str] = set()

    @classmethod
    def create(cls, about: About) -> Self:
        """Make the folder of a run, or take over the one that an earlier process has left; claim it.

        Without a usable cache it is below the system's temporary folder.
        Raises BadInput if another process holds it.
        """
        try:
            root = cache_folder("runs")
            tempfile.TemporaryFile(dir=root).close()
        except (CacheUnusable, OSError):
            root = Path(tempfile.mkdtemp(prefix="twinner-run-")) / "runs"
            root.mkdir()
        journal = cls(root / about.run_id)
        if not journal._acquire():
            raise BadInput(f"run {about.run_id} is still going on", "wait for its end, or stop it first")
        if (journal.folder / "run.json").is_file():
            journal._read()
        else:
            journal.folder.mkdir(exist_ok=True)
            journal._write("run.json", json.dumps(asdict(about)))
        journal.artifacts.mkdir(exist_ok=True)
        return journal

    def claim(self, read: bool = True) -> bool:
        """Hold an existing folder and read it; False if another process holds it or it is gone.

        Raises BadInput, unless `read` is False, if another version of the project wrote it or if it is damaged.
        """
        if not self._acquire():
            return False
        if not self.folder.is_dir():
            self.remove()
            return False
        try:
            if read:
                self._read()
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        """Let other processes claim the folder."""
        self._lock.release()

    def remove(self) -> None:
        """Remove the folder and release it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    @property
    def about(self) -> About:
        """Which run it is. Raises BadInput if another version of the project wrote it, or if it is damaged."""
        file = self.folder / "run.json"
        remedy = "deliver it with the version that wrote it, or drop it: `mlflow run . -e sync -P discard=ID`"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise BadInput("another version of this project wrote this run", remedy, file)
            return About(**content)
        except (OSError, ValueError, KeyError, TypeError):
            raise BadInput("this is not a run that waits to be delivered, or it is damaged", remedy, file) from None

    @property
    def artifacts(self) -> Path:
        """The folder of what becomes artifacts."""
        return self.folder / "artifacts"

    @property
    def model(self) -> Path:
        """The model in MLflow's format; missing before it is written."""
        return self.folder / "model"

    @property
    def trained(self) -> Path:
        """What an earlier process saved of a finished training; missing if there was none."""
        return self.folder / "trained"

    def remove_files(self) -> None:
        """Remove what an earlier process has left in `artifacts` and `model`."""
        for folder in (self.artifacts, self.model):
            shutil.rmtree(folder, ignore_errors=True)
        self.artifacts.mkdir()

    def add(self, kind: str, value: Any, at: int | None = None) -> None:
        """Append an entry, safe on disk when this returns. at: its time in milliseconds; default: now.

        On a full disk the entry is kept in memory alone, to be delivered by this process, and a warning tells so.
        """
        with self._guard:
            number = self._entries[-1].number + 1 if self._entries else 0
            entry = Entry(number, kind, at or int(time.time() * 1000), value)
            self._entries.append(entry)
            try:
                _append(self.folder / "journal.jsonl", [astuple(entry)], sync=True)
            except OSError as error:
                problem = f"can't write to {self.folder} ({error.strerror})"
                warnings.warn(f"{problem}: what MLflow does not take is lost with this process", stacklevel=2)
        self.changed.set()

    def entries(self, *kinds: str) -> list[Entry]:
        """The entries of these kinds, in order."""
        with self._guard:
            return [entry for entry in self._entries if entry.kind in kinds]

    def pending(self, *kinds: str) -> list[Entry]:
        """The entries of these kinds that were not delivered."""
        return [entry for entry in self.entries(*kinds) if not self.is_delivered(entry.number)]

    @property
    def end(self) -> Entry | None:
        """The entry that says how the run ended; None while it goes on, and after it was resumed."""
        last = self.entries("end", RESUMED)[-1:]
        return last[0] if last and last[0].kind == "end" else None

    @property
    def is_complete(self) -> bool:
        """Whether the training left everything that it had to leave."""
        return bool(self.entries(MODEL))

    @property
    def is_trained(self) -> bool:
        """Whether the training itself was finished and its model saved."""
        return bool(self.entries("trained"))

    @property
    def last_time(self) -> int:
        """The time of the last entry, in milliseconds."""
        with self._guard:
            return self._entries[-1].time if self._entries else self.about.started

    def mark(self, *what: object) -> None:
        """Remember that an entry (by its number) or a file (by a name) was delivered."""
        with self._guard:
            new = [str(item) for item in what if str(item) not in self._delivered]
            self._delivered.update(new)
            with suppress(OSError):  # on a full disk: it would only be sent once more
                _append(self.folder / "delivered.txt", new, sync=False)

    def is_delivered(self, what: object) -> bool:
        """Whether `mark` was called for it, by this process or an earlier one."""
        with self._guard:
            return str(what) in self._delivered

    def _acquire(self) -> bool:
        try:
            self._lock.acquire()
        except Timeout:
            return False
        return True

    def _read(self) -> None:
        self.about  # noqa: B018  # raises for a folder of another version
        self._entries = [Entry(*values) for values in _whole_lines(self.folder / "journal.jsonl")]
        self._delivered = set(_whole_lines(self.folder / "delivered.txt"))

    def _write(self, name: str, text: str) -> None:
        new = self.folder / f"{name}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(self.folder / name)


def _append(file: Path, values: Sequence[Any], sync: bool) -> None:
    """Append JSON values to a file, a line each, or none of them; sync: see that they reach the disk."""
    size = file.stat().st_size if file.exists() else 0
    try:
        with file.open("a", encoding="utf-8") as out:
            out.writelines(f"{json.dumps(value)}\n" for value in values)
            out.flush()
            if sync:
                os.fsync(out.fileno())
    except OSError:
        with suppress(OSError):
            os.truncate(file, size)
        raise


def _whole_lines(file: Path) -> Iterator[Any]:
    """The JSON values of a file, a line each. Half a line at its end, left by a killed process, is cut off."""
    if not file.exists():
        return
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(file, len(whole))
    yield from map(json.loads, whole.decode("utf-8").splitlines())
