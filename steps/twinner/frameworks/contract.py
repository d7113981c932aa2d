"""The contract between a framework and the rest of the project."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from twinner.corpus import Sentence

# The entities of a text in a Spark DataFrame: places in characters, end exclusive; score: the confidence, from 0 to 1.
ENTITY_COLUMN = "array<struct<start: bigint, end: bigint, label: string, text: string, score: double>>"
SAMPLE = 100  # sentences on which the saved and the reloaded model are compared


@dataclass(frozen=True)
class Epoch:
    """One finished pass over the training data.

    number: counted from 1. loss: summed over the epoch. seconds, update_seconds: with and without the evaluation.
    scores: the scores on dev by metric name (`dev_token_f1`, …), as `twinner.evaluation` names them.
    """

    number: int
    loss: float
    seconds: float
    update_seconds: float
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Prediction:
    """The prediction for one sentence of n tokens.

    tags: n BIO tags. confidence: the confidence in each of them, from 0 to 1, if the framework gives it.
    scores: the confidence in every tag, for each token, if the framework gives it. entity_confidence: the confidence in
    each entity, as a probability, in their order, if the framework gives it.
    """

    tags: tuple[str, ...]
    confidence: tuple[float, ...] | None = None
    scores: tuple[Mapping[str, float], ...] | None = None
    entity_confidence: tuple[float, ...] | None = None


class Trainer(Protocol):
    """One training with a framework. The methods are called in the order in which they stand here.

    The model of a sweep's trial is not loaded again, which would take time: `predict` then uses the one in memory.
    """

    framework: str  # its key in `FRAMEWORKS`, and the value of the tag twinner.framework
    training_data: str  # where `train` keeps its examples, `memory` or `disk`; logged as a param
    processes: int  # how many share the updates of `train`; known once its first epoch has ended

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of the packages that take part, by name; logged as params."""
        ...

    def train(self, train: Sequence[Sentence], dev: Sequence[Sentence], on_epoch: Callable[[Epoch], None]) -> int:
        """Train, calling `on_epoch` after each epoch before the next one ends; return the number of the best epoch."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model of the best epoch and the framework's own files, such as its log and its config, to `folder`.

        Each file or folder directly below becomes an artifact of that name.
        """
        ...

    def load(self, folder: Path) -> None:
        """Load the model that `save` has written; from then on `predict` uses that model.

        Raises RuntimeError if it predicts differently from the model that was saved; see `check_reloaded`.
        """
        ...

    def predict(self, sentences: Sequence[Sentence], confidence: bool = True) -> list[Prediction]:
        """Predict the tags of given tokens: one Prediction a sentence, with as many tags as the sentence has tokens.

        confidence: whether the confidence is wanted; a framework may give it anyway.
        """
        ...

    def tokens(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Tokenize raw texts as the pipeline does."""
        ...

    def pipeline(self) -> Any:
        """The loaded model, from raw text to entities, as its MLflow flavor saves it."""
        ...

    @property
    def requirements(self) -> Sequence[str]:
        """The packages that this model needs where it is served, besides those of its row in `FRAMEWORKS`."""
        ...

    @property
    def save_options(self) -> Mapping[str, Any]:
        """More keyword arguments of the `save_model` of its MLflow flavor."""
        ...

    def close(self) -> None:
        """Free what the framework holds: a session, processes, temporary files."""
        ...


def reload_sample(train: Sequence[Sentence], dev: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """The first sentences of dev, then of train, on which the saved and the reloaded model are compared."""
    return (*dev[:SAMPLE], *train[: max(0, SAMPLE - len(dev))])


def check_reloaded(saved: Sequence[Prediction], loaded: Sequence[Prediction]) -> None:
    """Raise RuntimeError unless a reloaded model predicts the same tags for n sentences as when it was saved."""
    differing = sum(before.tags != after.tags for before, after in zip(saved, loaded, strict=True))
    if differing:
        raise RuntimeError(f"the reloaded model tags {differing} of {len(saved)} sentences unlike the saved one")
