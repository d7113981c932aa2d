import itertools
import re

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F
from twinner.corpus import Sentence
from twinner.training.annotations import sentences_frame
from twinner.training.batches import ROWS_IN_A_BATCH, grouped_rows

from .conftest import SmallTask, Trained

BATCH_SIZE = 16
IN_A_ROW = BATCH_SIZE // ROWS_IN_A_BATCH


def rows_of(spark: SparkSession, sentences: tuple[Sentence, ...]) -> list[Row]:
    embedded = sentences_frame(spark, sentences).withColumn("embeddings", F.expr("slice(token, 1, 3)"))
    return sorted(grouped_rows(embedded, sentences, BATCH_SIZE).collect())


def sentences_in(row: Row) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The tokens and tags of each sentence of a row, told apart by their number, as NerDLApproach does."""
    found = []
    for document in row.document:
        number = document.metadata["sentence"]
        tokens = [token for token in row.token if token.metadata["sentence"] == number]
        tags = {label.begin: label.result for label in row.label}
        for token in tokens:
            at = token.begin - document.begin
            assert document.result[at : at + len(token.result)] == token.result
            assert token.end - token.begin + 1 == len(token.result)
        found.append((tuple(token.result for token in tokens), tuple(tags[token.begin] for token in tokens)))
    return found


def test_every_sentence_is_in_one_row_with_its_tokens_and_tags(spark: SparkSession, task: SmallTask) -> None:
    rows = rows_of(spark, task.train)
    found = [sentence for row in rows for sentence in sentences_in(row)]
    assert sorted(found) == sorted((sentence.tokens, sentence.tags) for sentence in task.train)
    assert [len(row.document) for row in rows] == [IN_A_ROW] * (len(task.train) // IN_A_ROW)
    for row in rows:
        assert [document.metadata["sentence"] for document in row.document] == [str(i) for i in range(IN_A_ROW)]
        assert [(e.begin, e.result) for e in row.embeddings] == [
            (token.begin, token.result)
            for document in row.document
            for token in [t for t in row.token if document.begin <= t.begin <= document.end][:3]
        ]


def test_no_offset_is_that_of_two_sentences(spark: SparkSession, task: SmallTask) -> None:
    for row in rows_of(spark, task.train):
        for before, after in itertools.pairwise(row.document):
            assert before.end < after.begin
        assert len({token.begin for token in row.token}) == len(row.token)


def test_no_sentence_is_longer_than_those_of_the_next_row(spark: SparkSession, task: SmallTask) -> None:
    lengths = [[len(tokens) for tokens, _ in sentences_in(row)] for row in rows_of(spark, task.train)]
    for shorter, longer in itertools.pairwise(lengths):
        assert max(shorter) <= min(longer)


def test_what_is_left_over_makes_a_smaller_row(spark: SparkSession, task: SmallTask) -> None:
    assert [len(row.document) for row in rows_of(spark, task.train[:11])] == [4, 4, 3]
    assert rows_of(spark, ()) == []


def test_the_training_sees_every_sentence_and_batches_as_large_as_asked(trained: Trained, task: SmallTask) -> None:
    log = (trained.folder / "ner.log").read_text(encoding="utf-8")
    assert f"training examples: {len(task.train)}\n" in log
    full, classes = len(task.train) // BATCH_SIZE, 5  # NerDLApproach keeps five classes of length apart
    assert all(full <= int(batches) <= full + classes for batches in re.findall(r"- batches: (\d+)", log))
