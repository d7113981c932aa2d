"""A training as a trial of a sweep: watched after each epoch, and scored on dev alone."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from twinner.corpus import Corpus, read_corpus
from twinner.frameworks.contract import Epoch

_CORPUS = ("corpus", "test", "lang", "dev_fraction", "test_fraction", "tag_column")


class Pruned(KeyboardInterrupt):
    """The trial is not worth continuing: its run ends as KILLED, like one that the user stops."""


@dataclass(frozen=True)
class Trial:
    """How a sweep takes part in a training.

    go_on: called after each epoch; returns whether to train another one. corpora: those read by trials before it.
    """

    go_on: Callable[[Epoch], bool]
    corpora: dict[tuple[Any, ...], Corpus] = field(default_factory=dict)


_current: ContextVar[Trial | None] = ContextVar("trial", default=None)


def current_trial() -> Trial | None:
    """Return the trial that the present training is, or None."""
    return _current.get()


@contextmanager
def as_trial(trial: Trial) -> Iterator[None]:
    """Make the trainings within the block trials."""
    token = _current.set(trial)
    try:
        yield
    finally:
        _current.reset(token)


def read_corpus_of(settings: Mapping[str, Any]) -> Corpus:
    """Read the corpus that the settings of a training name, or return the one that an earlier trial has read."""
    given = {name: settings[name] for name in _CORPUS if name in settings}
    trial = current_trial()
    if trial is None:
        return read_corpus(**given)
    key = tuple(given.values())
    if key not in trial.corpora:
        trial.corpora[key] = read_corpus(**given)
    return trial.corpora[key]
