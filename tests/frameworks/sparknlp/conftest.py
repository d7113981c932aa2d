"""Fixtures of the tests with Spark NLP: one session for all, a generated corpus, trained models."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from spark_cache import spark, spark_cache  # type: ignore[import-not-found]  # noqa: F401
from twinner.corpus import Sentence
from twinner.frameworks.contract import Epoch, Prediction
from twinner.frameworks.sparknlp.trainer import SparkNlpTrainer

NAMES = [
    "Anna",
    "Béla",
    "Chris",
    "Dora",
    "Emil",
    "Frida",
    "Georg",
    "Hana",
    "Ivo",
    "Jutta",
    "Karl",
    "Lena",
    "Max",
    "Nora",
]
PLACES = ["Ulm", "New York", "Köln", "Bad Aibling", "Oslo", "Graz", "San José", "Wien", "Rom", "Sankt Gallen"]
FRAMES = ["{n} wohnt in {p} .", "In {p} traf {n} niemanden .", "Dr. {n} und {m} fuhren nach {p} .", "Heute regnet es ."]


def sentence(rule: random.Random) -> Sentence:
    """Make a sentence from a frame, with names (PER) and places (LOC)."""
    people = rule.sample(NAMES, 2)
    values = {"n": (people[0], "PER"), "m": (people[1], "PER"), "p": (rule.choice(PLACES), "LOC")}
    tokens: list[str] = []
    tags: list[str] = []
    for word in rule.choice(FRAMES).split():
        text, label = values[word[1]] if word[0] == "{" else (word, "")
        for i, part in enumerate(text.split()):
            tokens.append(part)
            tags.append("O" if not label else f"B-{label}" if i == 0 else f"I-{label}")
    return Sentence.from_tokens(tokens, tags)


@dataclass
class Trained:
    """A trained model: its epochs with the time (seconds) of their callback, and the end of the training."""

    trainer: SparkNlpTrainer
    best: int
    callbacks: list[tuple[float, Epoch]]
    ended: float
    folder: Path
    predictions: list[Prediction] = field(default_factory=list)

    @property
    def epochs(self) -> list[Epoch]:
        return [epoch for _, epoch in self.callbacks]


class SmallTask:
    """A generated corpus, and a way to train on it."""

    def __init__(self, folders: Callable[[str], Path]) -> None:
        rule = random.Random(7)
        self.train = tuple(sentence(rule) for _ in range(160))
        self.dev = tuple(sentence(rule) for _ in range(40))
        self.trainers: list[SparkNlpTrainer] = []
        self._folders = folders

    def fit(
        self,
        *,
        drop_rate: float = 0.3,
        epochs: int = 3,
        seed: int = 0,
        embeddings: str = "word2vec",
        embedding_cache: bool = True,
        dev: Sequence[Sentence] = (),
    ) -> Trained:
        """Train, save, load, and predict dev (by default the task's own)."""
        dev = dev or self.dev
        trainer = SparkNlpTrainer(
            drop_rate=drop_rate,
            epochs=epochs,
            seed=seed,
            batch_size=16,
            lr=0.01,
            embeddings=embeddings,
            embedding_cache=embedding_cache,
        )
        self.trainers.append(trainer)
        callbacks: list[tuple[float, Epoch]] = []
        best = trainer.train(self.train, dev, lambda epoch: callbacks.append((time.monotonic(), epoch)))
        ended = time.monotonic()
        folder = self._folders("model")
        trainer.save(folder)
        trainer.load(folder)
        return Trained(trainer, best, callbacks, ended, folder, trainer.predict(dev))


@pytest.fixture(scope="session")
def task(
    spark: SparkSession,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SmallTask]:
    small = SmallTask(tmp_path_factory.mktemp)
    yield small
    for trainer in small.trainers:
        trainer.close()


@pytest.fixture(scope="session")
def trained(task: SmallTask) -> Trained:
    """A model of the generated corpus, trained once for all tests."""
    return task.fit()
