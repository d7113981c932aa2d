"""Spark finds the same entities in a DataFrame as a served model in single texts."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from twinner.frameworks.sparknlp import frame_entities, text_entities

from .conftest import Trained

TEXTS = [
    "Anna wohnt in Köln .",
    "😀 Anna 🧑‍⚕️ wohnt 😀 in Bad Aibling 😀 , sagte Béla .",
    "",
    " \t\n\u2028\x00 ",
    "<b>Anna</b> &amp; Béla wohnen in New York.",
    "\u202eUlm\u200b \ufeffKöln",
    "Dr. Anna und Béla fuhren nach Ulm . " * 40,
    "/etc/hostname",
    "Anna 😀 wohnt in\nKöln und " * 200,
    "x" * 3000 + " Anna wohnt in Ulm",
]


def test_a_frame_gets_the_entities_of_single_texts(spark: SparkSession, trained: Trained, tmp_path: Path) -> None:
    trained.trainer.pipeline().save(str(tmp_path / "model"))
    expected = text_entities.load(tmp_path / "model")(TEXTS)
    frame = spark.createDataFrame([(n, text) for n, text in enumerate(TEXTS)], "id int, text string")
    found = frame_entities.load(spark, tmp_path / "model", "found")(frame)
    assert found.columns == ["id", "text", "found"]
    rows = {row.id: [entity.asDict() for entity in row.found] for row in found.collect()}
    for number, (text, entities) in enumerate(zip(TEXTS, expected, strict=True)):
        assert len(rows[number]) == len(entities)
        for of_frame, alone in zip(rows[number], entities, strict=True):
            # NerDL computes texts in batches, padded to the longest, which changes the scores a little.
            assert of_frame.pop("score") == pytest.approx(alone.pop("score"), abs=0.05)
            assert of_frame == alone | {"text": text[alone["start"] : alone["end"]]}
    assert all(rows[number] for number in (0, 1, 4, 6, 8, 9))
