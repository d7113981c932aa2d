"""Checkpoints: the state of a training after its last finished epoch, kept on disk so that a stopped run can resume."""

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from twinner.cache import CacheUnusable, cache_folder
from twinner.errors import BadInput, Undelivered
from twinner.frameworks.contract import Epoch

Arrays = Mapping[str, NDArray[Any]]  # by name


@dataclass(frozen=True)
class State:
    """A training after its last finished epoch.

    config: the config being trained, as text. epochs: the finished epochs, from the first. best: number of the best
    epoch. training: weights and optimizer state now. best_weights: the weights after the best epoch.
    """

    config: str
    epochs: tuple[Epoch, ...]
    best: int
    training: Arrays
    best_weights: Arrays


class Checkpoint:
    """The checkpoint folder of one run, below the cache; it exists from the start of training until the run finishes.

    One process at a time trains a run: it holds a file lock, which the system releases when the process ends, however
    it ends.
    """

    def __init__(self, run_id: str) -> None:
        """run_id: MLflow's id of the run. Raises CacheUnusable if there is no cache folder."""
        self.run_id = run_id
        self.folder = cache_folder("checkpoints") / run_id
        self._state = self.folder / "state"
        # Beside the folder, so that the folder's existence can be checked under the lock. Without flock, filelock's
        # other kind of lock would outlive a killed process.
        self._lock_file = self.folder.with_name(f"{run_id}.lock")
        self._lock = FileLock(self._lock_file, timeout=0, fallback_to_soft=False)

    def claim(self, create: bool = False) -> None:
        """Lock the checkpoint until `release`, `remove` or the end of this process; create: make its folder.

        Raises BadInput if another process holds it or if there is no folder, CacheUnusable if it can't be written to.
        """
        try:
            if create or self.folder.is_dir():
                self._lock.acquire()
            if create:
                self.folder.mkdir(exist_ok=True)
        except Timeout:
            problem = f"resume={self.run_id}: that run is still training"
            raise BadInput(problem, "wait for its end, or stop it first") from None
        except (OSError, NotImplementedError) as error:
            self._lock.release()
            reason = getattr(error, "strerror", None) or error
            problem = f"the checkpoint folder {self.folder} can't be written to ({reason})"
            raise CacheUnusable(problem, "make it writable, or set TWINNER_CACHE to another folder") from None
        if not self.folder.is_dir():  # checked under the lock: the run may just have finished
            self.remove()
            problem = f"resume={self.run_id}: there is no checkpoint {self.folder}"
            raise BadInput(problem, "resume on the machine that trained the run, with the same TWINNER_CACHE")

    def release(self) -> None:
        """Let other processes claim the checkpoint."""
        self._lock.release()

    def remove(self) -> None:
        """Remove the folder and release it: the run can't be resumed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock.is_locked:
            self._lock_file.unlink(missing_ok=True)
            self._lock.release()

    @property
    def is_saved(self) -> bool:
        """Whether there is a state to resume from."""
        return self._state.exists()

    def save(self, state: State) -> None:
        """Replace the saved state atomically: after a crash at any moment, the old or the new one is there whole."""
        epochs = [vars(epoch) | {"scores": dict(epoch.scores)} for epoch in state.epochs]
        record = json.dumps({"config": state.config, "best": state.best, "epochs": epochs}).encode()
        arrays: dict[str, Any] = {"record": np.frombuffer(record, dtype=np.uint8)}
        arrays |= {f"training/{name}": array for name, array in state.training.items()}
        arrays |= {f"best/{name}": array for name, array in state.best_weights.items()}
        new = self._state.with_name("state.new")
        try:
            with new.open("wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            new.unlink(missing_ok=True)  # a full disk needs the space
            raise
        new.replace(self._state)
        with contextlib.suppress(OSError):  # not every file system can sync a folder
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def load(self) -> State | None:
        """Return the saved state, or None before the end of the first epoch.

        Raises BadInput for a file that is not a checkpoint or is damaged. Loading runs no code from the file.
        """
        if not self._state.exists():
            return None
        try:
            with np.load(self._state, allow_pickle=False) as file:
                arrays = dict(file.items())
            record = json.loads(arrays.pop("record").tobytes())
            epochs = tuple(Epoch(**epoch) for epoch in record["epochs"])
            training, best_weights = (_with_prefix(arrays, prefix) for prefix in ("training/", "best/"))
            return State(record["config"], epochs, record["best"], training, best_weights)
        except Exception as error:  # numpy, zipfile and json raise a dozen types for damaged files
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise BadInput(f"not a checkpoint, or damaged: {reason}", "start a new run", self._state) from None


@contextmanager
def new_checkpoint(run_id: str, keep: bool = False) -> Iterator[Checkpoint | None]:
    """Create the checkpoint of a new run and hold it for the block; a run that ends well leaves none.

    keep: leave it even then, since the run will be resumed.
    Yields None, after a warning, if the cache can't be used.
    """
    try:
        checkpoint = Checkpoint(run_id)
        checkpoint.claim(create=True)
    except CacheUnusable as error:
        warnings.warn(f"no checkpoints: {error}; the run can't be resumed", UserWarning, stacklevel=1)
        yield None
        return
    try:
        yield checkpoint
    except BadInput:
        if checkpoint.load() is None:  # refused before its first epoch: nothing to resume
            checkpoint.remove()
        raise
    except Undelivered:
        checkpoint.remove()
        raise
    else:
        if not keep:
            checkpoint.remove()
    finally:
        checkpoint.release()


@contextmanager
def resumed_checkpoint(run_id: str, keep: bool = False) -> Iterator[Checkpoint]:
    """Hold the checkpoint of a stopped run for the block; a run that ends well leaves none, unless `keep` is set.

    Raises BadInput if another process is training the run, or if the run has no checkpoint in this cache.
    """
    checkpoint = Checkpoint(run_id)
    checkpoint.claim()
    try:
        yield checkpoint
        if not keep:
            checkpoint.remove()
    except Undelivered:
        checkpoint.remove()
        raise
    finally:
        checkpoint.release()


def _with_prefix(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
