"""What the outline asks of a framework, and what a framework answers with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from twinner.corpus import Sentence

SAMPLE = 100  # sentences; see `sample_of`


@dataclass(frozen=True)
class Epoch:
    """One finished pass over the training data.

    number: epochs finished so far, from 1. loss: summed over the epoch.
    seconds: the whole epoch; update_seconds: without the evaluation.
    scores: the scores on dev by the name of their metric (`dev_token_f1`, …), made by `evaluation`.
    """

    number: int
    loss: float
    seconds: float
    update_seconds: float
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Prediction:
    """What a model says of one sentence of n tokens.

    tags: n BIO tags. confidence: n confidences of the predicted tag, from 0 to 1, where the framework gives them.
    scores: for each token the confidence of every tag, where the framework gives them.
    """

    tags: tuple[str, ...]
    confidence: tuple[float, ...] | None = None
    scores: tuple[Mapping[str, float], ...] | None = None


def sample_of(train: Sequence[Sentence], dev: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """The sentences on which a model that was loaded back is compared with the trained one: of dev, then of train."""
    return (*dev[:SAMPLE], *train[: max(0, SAMPLE - len(dev))])


def check_reloaded(sample: Sequence[Sentence], saved: Sequence[Prediction], loaded: Sequence[Prediction]) -> None:
    """Raise RuntimeError if a model predicts otherwise since it was loaded back; a prediction a sentence."""
    for sentence, before, after in zip(sample, saved, loaded, strict=True):
        if before.tags != after.tags:
            raise RuntimeError(
                f"the model that was loaded back predicts {after.tags} for {sentence.text!r},"
                f" the one that was saved {before.tags}"
            )


class Trainer(Protocol):
    """A framework, as the outline drives it: train, save, load, predict, in this order."""

    framework: str  # its key in `FRAMEWORKS`, and the value of the tag twinner.framework

    @property
    def versions(self) -> Mapping[str, str]:
        """What takes part -> its version, logged as params."""
        ...

    @property
    def save_options(self) -> Mapping[str, Any]:
        """More keyword arguments of its MLflow flavor's `save_model`."""
        ...

    def train(self, train: Sequence[Sentence], dev: Sequence[Sentence], on_epoch: Callable[[Epoch], None]) -> int:
        """Train, calling `on_epoch` after each epoch and before the next ends; return the number of the best epoch."""
        ...

    def save(self, folder: Path) -> None:
        """Write the best epoch's model and what else the framework leaves (its log, its config) below `folder`.

        Each file or folder directly below becomes an artifact of that name.
        """
        ...

    def load(self, folder: Path) -> None:
        """Load back what `save` wrote; from now on `predict` asks that model."""
        ...

    def predict(self, sentences: Sequence[Sentence]) -> list[Prediction]:
        """Predict given tokens: one Prediction a sentence, its tags as many as the tokens."""
        ...

    def pipeline(self) -> Any:
        """The loaded model from raw text to entities, as `flavor` logs it."""
        ...

    def tokens(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The tokens that the pipeline splits raw texts into."""
        ...

    def close(self) -> None:
        """Free what the framework holds (a session, processes)."""
        ...
