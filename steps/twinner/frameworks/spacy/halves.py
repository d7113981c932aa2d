"""Updates by two processes, each of which computes the gradients of one half of every batch.

Both go through the same batches side by side. Weights, gradients and what the optimizer keeps are in memory that they
share: at each step, each adds up the two gradients of half of the weights, and updates these. What is computed does not
depend on the number of cores, and so neither do the digits.
"""

import gc
import mmap
import multiprocessing
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.training import Example
from thinc.api import Model, NumpyOps, Optimizer, get_current_ops

from twinner.errors import Failure
from twinner.frameworks.spacy.weights import UNSEEN

ALIGNMENT = 64  # bytes, for vector instructions
END_WITHIN = 10.0  # seconds, for the second process; a step takes far less

Key = tuple[int, str]  # of an array of weights, as the optimizer has it: the layer's id and the parameter's name
Arrays = dict[Key, NDArray[Any]]


def can_share_updates() -> bool:
    """Whether this process can be copied with its arrays: only on Linux is that safe, and not with a GPU's."""
    return sys.platform == "linux" and isinstance(get_current_ops(), NumpyOps)


class Halves:
    """The two processes of a training: each has this object, and computes its `own` half of each batch."""

    def __init__(self, models: Sequence[Model], optimizer: Optimizer, tasks: Mapping[str, Callable[..., Any]]) -> None:
        """Share the weights of these models.

        tasks: what `both` does, by name; they call `own` and `finish_update`, in either process. The second process is
        a copy of the first one at its first task.
        """
        layers = [layer for model in models for layer in model.walk()]
        self._layers = {
            (layer.id, name): layer for layer in layers for name in layer.param_names if layer.has_param(name)
        }
        self._unseen = [layer.attrs[UNSEEN] for layer in layers if UNSEEN in layer.attrs]
        self._optimizer = optimizer
        self._tasks = tasks
        self._parts = self._divide()
        self._gradients = self._share_arrays()
        self._process: BaseProcess | None = None
        self._connection, self._second = multiprocessing.Pipe()
        self.rank = 0  # 1 in the second process

    def both(self, task: str, *arguments: Any) -> tuple[Any, Any]:
        """Do a task in both processes; return what it returned in each.

        Raises Failure if the second process has died.
        """
        if self._process is None:
            self._start()
        self._send((task, arguments))
        return self._tasks[task](*arguments), self._receive()

    def own(self, batch: Sequence[Example]) -> list[Example]:
        """Return this process's half of a batch: about as many words as the other's, in sentences of like lengths."""
        by_length = sorted(batch, key=len, reverse=True)
        return [example for place, example in enumerate(by_length) if (place % 4 in (1, 2)) == bool(self.rank)]

    def finish_update(self) -> None:
        """Update the weights by the gradients of both halves."""
        self._send([sorted(classes) for classes in self._unseen])  # this half's gradients are complete
        for classes, others in zip(self._unseen, self._receive(), strict=True):
            classes.intersection_update(others)
        first, second = self._gradients
        for key in self._parts[1 - self.rank]:
            self._optimizer.nr_update[key] += 1
        for key in self._parts[self.rank]:
            first[key] += second[key]
            self._optimizer(key, self._layers[key].get_param(key[1]), first[key])  # in place; leaves a gradient of 0
            second[key].fill(0)
        self._send(None)  # this part of the weights is complete
        self._receive()

    def close(self) -> None:
        """End the second process, and give the layers weights of their own."""
        self._connection.close()  # the other one ends when it sees this
        self._second.close()
        if self._process:
            self._process.join(END_WITHIN)
            self._process.kill()
            self._process.join()
        for (_, name), layer in self._layers.items():
            layer.set_param(name, layer.get_param(name).copy())

    def _start(self) -> None:
        self._use_gradients()
        process = multiprocessing.get_context("fork").Process(target=self._follow, daemon=True)
        gc.collect()
        gc.freeze()  # or the next collection would write to the memory that both have in common, and so copy it
        try:
            process.start()
        finally:
            gc.unfreeze()
        self._second.close()
        self._process = process

    def _follow(self) -> None:
        """In the second process: do what the first one does, until that one is gone."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first one answers it, and ends this one
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._connection.close()  # or the end of the first one would go unnoticed
        self._connection = self._second
        self.rank = 1
        self._use_gradients()
        while True:
            task, arguments = self._receive()
            self._send(self._tasks[task](*arguments))

    def _send(self, message: object) -> None:
        try:
            self._connection.send(message)
        except OSError:
            self._end_without_other()

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            self._end_without_other()

    def _end_without_other(self) -> None:
        if self.rank:
            sys.exit()
        assert self._process is not None  # it is started before the first message
        self._process.join(END_WITHIN)
        status = self._process.exitcode
        cause = "killed, as when memory runs out" if status == -signal.SIGKILL else f"status {status}"
        raise Failure(f"the second process of the training has ended ({cause})") from None

    def _divide(self) -> tuple[list[Key], list[Key]]:
        """Return which arrays each process updates: about as many weights."""
        sizes = {key: layer.get_param(key[1]).size for key, layer in self._layers.items()}
        parts: tuple[list[Key], list[Key]] = ([], [])
        for key in sorted(sizes, key=sizes.__getitem__, reverse=True):
            min(parts, key=lambda part: sum(sizes[each] for each in part)).append(key)
        return parts

    def _share_arrays(self) -> tuple[Arrays, Arrays]:
        """Move the weights and what the optimizer keeps to shared memory; return the gradients of each half, all 0."""
        weights = _shared({key: layer.get_param(key[1]) for key, layer in self._layers.items()})
        for key, array in weights.items():
            self._layers[key].set_param(key[1], array)
        zeros = {key: np.zeros_like(array) for key, array in weights.items()}
        flat = {key: array.reshape(-1) for key, array in zeros.items()}
        optimizer = self._optimizer
        for kept, initial in ((optimizer.mom1, flat), (optimizer.mom2, flat), (optimizer.averages, zeros)):
            if kept is not None:  # an optimizer may keep no averages
                kept.update(_shared({key: kept.get(key, array) for key, array in initial.items()}))
        return _shared(zeros), _shared(zeros)

    def _use_gradients(self) -> None:
        for key, layer in self._layers.items():
            layer.set_grad(key[1], self._gradients[self.rank][key])


def _shared(arrays: Arrays) -> Arrays:
    """Copy arrays to memory that this process will share with its copies."""
    starts, end = {}, 0
    for key, array in arrays.items():
        starts[key], end = end, end - (-array.nbytes // ALIGNMENT) * ALIGNMENT
    memory = mmap.mmap(-1, max(end, 1))
    copies = {}
    for key, array in arrays.items():
        copies[key] = np.frombuffer(memory, array.dtype, array.size, starts[key]).reshape(array.shape)
        copies[key][...] = array
    return copies
