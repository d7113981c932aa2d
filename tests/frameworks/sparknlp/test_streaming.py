import random
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession
from twinner.errors import BadInput
from twinner.frameworks.contract import Epoch
from twinner.frameworks.sparknlp import embeddings, streaming
from twinner.frameworks.sparknlp.streaming import RowFiles
from twinner.frameworks.sparknlp.trainer import SparkNlpTrainer

from .conftest import SmallTask, Trained


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the small task from disk, in several chunks."""
    monkeypatch.setattr(streaming, "HEAP_SHARE", 0)
    monkeypatch.setattr(streaming, "BUFFER", 2_000_000)
    monkeypatch.setattr(embeddings, "PART", 2)


@pytest.fixture
def rows(task: SmallTask, spark: SparkSession, streamed: None) -> Iterator[RowFiles]:
    """The training sentences of the small task, embedded."""
    trainer = SparkNlpTrainer(batch_size=16, epochs=1)
    trainer.train(task.train, task.dev, lambda _: None)
    embedder = trainer._embedder
    assert embedder is not None
    yield RowFiles(spark, embedder.parts(task.train), streaming.rows_memory(task.train, embedder.dimension))
    trainer.close()


def losses(model: Trained) -> list[float]:
    return [float(f"{epoch.loss:.5g}") for epoch in model.epochs]


@pytest.mark.usefixtures("streamed")
def test_learns_and_repeats(task: SmallTask, trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    model = task.fit()
    assert "read from disk again in each epoch" in capsys.readouterr().out
    again, other = task.fit(), task.fit(seed=1)
    assert model.trainer.training_data == "disk"
    assert trained.trainer.training_data == "memory"
    assert max(epoch.scores["dev_token_f1"] for epoch in model.epochs) > 0.8
    assert losses(again) == losses(model)
    assert [p.tags for p in again.predictions] == [p.tags for p in model.predictions]
    assert losses(other) != losses(model)


@pytest.mark.usefixtures("streamed")
def test_logs_the_same_lines_as_in_memory(task: SmallTask, trained: Trained) -> None:
    def kinds(model: Trained) -> list[str]:
        lines = (model.folder / "ner.log").read_text(encoding="utf-8").splitlines()
        return [line.split(":")[0].split(" - ")[0].split("\t")[0] for line in lines]

    assert sorted(kinds(task.fit())) == sorted(kinds(trained))


def test_an_epoch_has_every_row_once_in_an_order_of_its_own(rows: RowFiles, task: SmallTask) -> None:
    def ids(order: random.Random | None) -> list[int]:
        return [row.id for chunk in rows.chunks(order) for row in chunk.select("id").collect()]

    assert len(list(rows.chunks())) > 2
    first, again, second = ids(random.Random(1)), ids(random.Random(1)), ids(random.Random(2))
    assert first == again != second
    for epoch in (first, second, ids(None)):
        assert sorted(epoch) == list(range(len(task.train) // 8))


@pytest.mark.usefixtures("streamed")
def test_too_little_memory_is_told_before_anything_is_embedded(
    task: SmallTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BUFFER", 1 << 40)
    trainer = SparkNlpTrainer(seed=99)
    with pytest.raises(BadInput, match=r"take \d+\.\d GB, and Java has \d+\.\d GB of memory.*driver_memory=2g"):
        trainer.train(task.train, task.dev, lambda _: None)
    trainer.close()


@pytest.mark.usefixtures("streamed")
def test_rows_that_can_not_be_read_are_named(task: SmallTask, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = SparkNlpTrainer(batch_size=16, epochs=3)

    def damage(epoch: Epoch) -> None:
        assert trainer._embedder is not None
        for part in trainer._embedder._embedded_folder(task.train).glob("part-*"):
            part.write_bytes(b"PAR1")

    with pytest.raises(RuntimeError, match=r"Spark NLP failed: .*part-\d+.* is not a Parquet file"):
        trainer.train(task.train, task.dev, damage)
    trainer.close()
