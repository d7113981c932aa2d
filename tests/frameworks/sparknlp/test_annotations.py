import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from twinner.corpus import Sentence
from twinner.frameworks.sparknlp.annotations import collect_predictions, documents_frame

PLAIN = Sentence(("Ulm", ",", "ja"), ("B-LOC", "O", "O"), (0, 3, 5), "Ulm, ja")
ODD = Sentence.from_tokens(["😀", "ü\nb", '"q"', "\\", "New"], ["O", "O", "O", "O", "B-big city"])


def test_a_sentence_becomes_a_row_of_annotations(spark: SparkSession) -> None:
    frame = documents_frame(spark, [[PLAIN], [ODD]])
    assert [frame.schema[name].metadata["annotatorType"] for name in ("document", "token", "label")] == [
        "document",
        "token",
        "named_entity",
    ]
    rows = {row.id: row for row in frame.collect()}
    assert [(d.begin, d.end, d.result) for d in rows[0].document] == [(0, 6, "Ulm, ja")]
    assert [(t.begin, t.end, t.result) for t in rows[0].token] == [(0, 2, "Ulm"), (3, 3, ","), (5, 6, "ja")]
    assert [(t.begin, t.end, t.result) for t in rows[0].label] == [(0, 2, "B-LOC"), (3, 3, "O"), (5, 6, "O")]
    assert {t.metadata["sentence"] for t in rows[0].token} == {"0"}


def test_keeps_unusual_characters(spark: SparkSession) -> None:
    (row,) = documents_frame(spark, [[ODD]]).collect()
    assert tuple(token.result for token in row.token) == ODD.tokens
    assert tuple(label.result for label in row.label) == ODD.tags


def test_matches_predictions_by_offset_and_fills_gaps_with_o(spark: SparkSession) -> None:
    # All tokens have an annotation except the first of each document; rows are reordered, and one is missing.
    output = (
        documents_frame(spark, [[PLAIN], [PLAIN], [ODD, PLAIN]])
        .where("id != 1")
        .orderBy(F.desc("id"))
        .withColumn("ner", F.expr("filter(label, n -> n.begin > 0)"))
        .withColumn(
            "ner",
            F.expr(
                "transform(ner, n -> struct(n.begin, 'B-LOC' as result,"
                " map('B-LOC', '0.75', 'O', '0.25', 'word', 'x', 'sentence', '0') as metadata))"
            ),
        )
    )
    (first,), (lost,), (odd, last) = collect_predictions(output, [[PLAIN], [PLAIN], [ODD, PLAIN]])
    assert last.tags == ("B-LOC", "B-LOC", "B-LOC")
    assert odd.tags == ("O", "B-LOC", "B-LOC", "B-LOC", "B-LOC")
    assert first.tags == ("O", "B-LOC", "B-LOC")
    assert first.confidence == (0.0, 0.75, 0.75)
    assert first.scores == ({}, {"B-LOC": 0.75, "O": 0.25}, {"B-LOC": 0.75, "O": 0.25})
    assert lost.tags == ("O", "O", "O")


@pytest.mark.parametrize("count", [0, 1, 300])
def test_makes_a_row_per_document(spark: SparkSession, count: int) -> None:
    assert documents_frame(spark, [[PLAIN]] * count).count() == count
