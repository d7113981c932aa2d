"""The state of a training after its last finished epoch, on disk, so that a training that was killed can go on."""

import contextlib
import json
import os
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from twinner.cache import cache_folder
from twinner.frameworks.contract import Epoch


@dataclass(frozen=True)
class State:
    """What a training needs to go on behind its last finished epoch.

    config: what was trained, as text. epochs: those that are finished, from the first. best: the number of the best
    of them. weights, best_weights: the model now and after the best epoch, by component. optimizer: what the
    framework's optimizer has gathered.
    """

    config: str
    epochs: tuple[Epoch, ...]
    best: int
    weights: Mapping[str, Any]
    best_weights: Mapping[str, Any]
    optimizer: Mapping[str, Any]


class Checkpoint:
    """The state of one run: a folder below the cache that is there from the run's training on until it has finished."""

    def __init__(self, run_id: str) -> None:
        """run_id: MLflow's id of the run, which names the folder."""
        self.folder = cache_folder("checkpoints") / run_id
        self._state = self.folder / "state"
        self._owner = self.folder / "owner.json"

    @property
    def exists(self) -> bool:
        """Whether the run came to train on this machine, and has not finished."""
        return self.folder.is_dir()

    @property
    def in_use(self) -> bool:
        """Whether the process that claimed it last is still alive."""
        try:
            owner = json.loads(self._owner.read_text(encoding="utf-8"))
            process = psutil.Process(owner["pid"])
            return bool(process.create_time() == owner["started"] and process.status() != psutil.STATUS_ZOMBIE)
        except (OSError, ValueError, psutil.Error):
            return False

    def claim(self) -> None:
        """Make the folder and say that this process trains the run."""
        self.folder.mkdir(exist_ok=True)
        own = psutil.Process()
        _replace(self._owner, json.dumps({"pid": own.pid, "started": own.create_time()}).encode())

    def save(self, state: State) -> None:
        """Put a state in the place of the one before; whenever the machine stops, one of the two is there whole."""
        _replace(self._state, pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL))

    def load(self) -> State | None:
        """The last state that was saved, or None before the end of the first epoch."""
        if not self._state.exists():
            return None
        state: State = pickle.loads(self._state.read_bytes())
        return state

    def remove(self) -> None:
        """Remove the folder: the run has finished."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _replace(file: Path, content: bytes) -> None:
    """Write beside the file, down to the disk, and rename."""
    beside = file.with_name(f"{file.name}.new")
    with beside.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    beside.replace(file)
    with contextlib.suppress(OSError):  # Windows can't open a folder
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
