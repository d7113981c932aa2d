"""Long sentences get ends at white space, in Python and in Java alike; other texts stay as they are."""

import re

import pytest
from pyspark.sql import SparkSession
from twinner.frameworks.sparknlp.long_sentences import (
    LONGEST,
    SENTENCE_END,
    column_with_sentence_ends,
    with_sentence_ends,
)

SENTENCE = "Anna wohnt in Köln . "
UNCHANGED = [
    "",
    SENTENCE * 1000,
    "x" * 200_000,
    "x " * 400 + "y" * 200_000,
    "Ulm " * (LONGEST // 4),
    "Ulm\f" * 1000,
]
CHANGED = [
    "Ulm " * 1000,
    "Ulm\n" * 1000,
    "\t " * 1000,
    "😀 Bad Aibling 🧑‍⚕️ " * 300,
    "x" * 5000 + " " + "y" * 5000 + " z",
    SENTENCE * 100 + "und noch mehr " * 100 + SENTENCE * 100,
]


@pytest.mark.parametrize("text", UNCHANGED)
def test_other_texts_are_unchanged(text: str) -> None:
    assert with_sentence_ends(text) == text


@pytest.mark.parametrize("text", CHANGED)
def test_only_white_space_changes(text: str) -> None:
    ended = with_sentence_ends(text)
    assert len(ended) == len(text)
    assert SENTENCE_END in ended
    changed = [before for before, now in zip(text, ended, strict=True) if now != before]
    assert set(changed) <= set(" \t\n")
    assert ended.count(SENTENCE_END) == len(changed)
    longest_word = max(map(len, text.split()), default=0)
    assert max(map(len, re.split(f"[.{SENTENCE_END}]", ended))) <= LONGEST + longest_word


def test_java_ends_the_same_sentences(spark: SparkSession) -> None:
    texts = [*UNCHANGED, *CHANGED]
    rows = spark.createDataFrame(list(enumerate(texts)), "n int, text string")
    ended = rows.select("n", column_with_sentence_ends("text").alias("ended")).collect()
    assert {row.n: row.ended for row in ended} == {n: with_sentence_ends(text) for n, text in enumerate(texts)}
