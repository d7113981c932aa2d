import itertools
import re

import pytest
from pyspark.sql import Row, SparkSession
from twinner.corpus import Sentence
from twinner.frameworks.sparknlp.annotations import documents_frame
from twinner.frameworks.sparknlp.batches import DOCUMENT_SIZE, group_by_length

from .conftest import SmallTask, Trained

BATCH_SIZE = 16  # of the tests' trainings


def rows_of(spark: SparkSession, sentences: tuple[Sentence, ...]) -> list[Row]:
    documents = [[sentences[i] for i in document] for document in group_by_length(sentences)]
    return sorted(documents_frame(spark, documents).collect())


def sentences_in(row: Row) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return the tokens and tags of each sentence of a row, by sentence number as in NerDLApproach."""
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


def test_keeps_every_sentence_with_its_tokens_and_tags(spark: SparkSession, task: SmallTask) -> None:
    rows = rows_of(spark, task.train)
    found = [sentence for row in rows for sentence in sentences_in(row)]
    assert sorted(found) == sorted((sentence.tokens, sentence.tags) for sentence in task.train)
    assert [len(row.document) for row in rows] == [DOCUMENT_SIZE] * (len(task.train) // DOCUMENT_SIZE)
    for row in rows:
        assert [document.metadata["sentence"] for document in row.document] == [str(i) for i in range(DOCUMENT_SIZE)]


def test_sentences_of_a_document_do_not_overlap(spark: SparkSession, task: SmallTask) -> None:
    for row in rows_of(spark, task.train):
        for before, after in itertools.pairwise(row.document):
            assert before.end < after.begin
        assert len({token.begin for token in row.token}) == len(row.token)


def test_sorts_documents_by_length(task: SmallTask) -> None:
    documents = group_by_length(task.train)
    lengths = [[len(task.train[i].tokens) for i in document] for document in documents]
    for shorter, longer in itertools.pairwise(lengths):
        assert max(shorter) <= min(longer)


@pytest.mark.parametrize("count", [0, 1, 8, 19])
def test_the_rest_makes_a_smaller_document(count: int, task: SmallTask) -> None:
    documents = group_by_length(task.train[:count])
    assert sorted(itertools.chain(*documents)) == list(range(count))
    assert [len(document) for document in documents[:-1]] == [DOCUMENT_SIZE] * (len(documents) - 1)


def test_training_sees_every_sentence_in_batches_of_the_given_size(trained: Trained, task: SmallTask) -> None:
    log = (trained.folder / "ner.log").read_text(encoding="utf-8")
    assert f"training examples: {len(task.train)}\n" in log
    full, classes = len(task.train) // BATCH_SIZE, 5  # NerDLApproach batches five classes of length separately
    assert all(full <= int(batches) <= full + classes for batches in re.findall(r"- batches: (\d+)", log))
