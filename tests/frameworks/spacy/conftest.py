"""What the tests of trainings with spaCy share."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from twinner.corpus import Corpus, read_corpus
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy.checkpoint import Checkpoint
from twinner.frameworks.spacy.config import OUR_CONFIG
from twinner.frameworks.spacy.trainer import SpacyTrainer

DEFAULTS: dict[str, Any] = {"lang": "xx", "drop_rate": 0.2, "epochs": 2, "lr": 0.005, "batch_size": 100}
DEFAULTS |= {"patience": 0, "seed": 0}


@pytest.fixture(scope="session")
def corpus(small_corpus: Path) -> Corpus:
    return read_corpus(str(small_corpus))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary folder of each test, which must be empty at its end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def trainer_with(**parameters: Any) -> "closing[SpacyTrainer]":
    return closing(SpacyTrainer(**(DEFAULTS | parameters)))


def ignore(epoch: Epoch) -> None:
    """Take an epoch and do nothing."""


def train(
    corpus: Corpus, size: int = 60, on_epoch: Callable[[Epoch], None] = ignore, **parameters: Any
) -> tuple[int, list[Epoch], list[tuple[str, ...]]]:
    """Train on the first sentences; return the best epoch, all epochs, and the kept model's predictions on dev."""
    epochs: list[Epoch] = []

    def collect(epoch: Epoch) -> None:
        epochs.append(epoch)
        on_epoch(epoch)

    with trainer_with(**parameters) as trainer, tempfile.TemporaryDirectory() as folder:
        best = trainer.train(corpus.train[:size], corpus.dev, collect)
        trainer.save(Path(folder))
        trainer.load(Path(folder))
        return best, epochs, [prediction.tags for prediction in trainer.predict(corpus.dev)]


def curves(epochs: Sequence[Epoch]) -> list[tuple[float, dict[str, float]]]:
    return [(epoch.loss, dict(epoch.scores)) for epoch in epochs]


def changed_config(file: Path, old: str, new: str) -> str:
    file.write_text(OUR_CONFIG.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return str(file)


@pytest.fixture
def checkpoint() -> Iterator[Checkpoint]:
    """A claimed checkpoint of `a-run`."""
    claimed = Checkpoint("a-run")
    claimed.claim(create=True)
    yield claimed
    claimed.release()
