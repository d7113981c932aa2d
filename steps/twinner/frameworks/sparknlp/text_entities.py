"""Entities in raw text with a saved Spark NLP pipeline; imported where the model is served."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from pyspark.ml import PipelineModel
from sparknlp.base import LightPipeline

from twinner.frameworks.sparknlp.confidence import entity_confidence
from twinner.frameworks.sparknlp.long_sentences import with_sentence_ends
from twinner.spark.session import spark_path, spark_session

FIRST_OF_TWO_UNITS = 0x10000  # a character
Annotations = Sequence[Mapping[str, Any]]


def load(path: Path) -> Callable[[Sequence[str]], list[list[dict[str, Any]]]]:
    """Load a pipeline saved by MLflow's Spark flavor.

    Starts a Spark session if there is none. Returns a function from n texts to n lists of entities, each with `start`,
    `end` (exclusive, in characters of the text), `label` and `score`.
    """
    return TextEntities(PipelineModel.load(spark_path(path)))


class TextEntities:
    """Finds the entities of texts without a Spark job.

    It calls the Java part of Spark NLP's light pipeline. Its Python part asks Java for each number of each annotation,
    which takes ten times as long, and reads a text that is the path of a file as an image.
    """

    def __init__(self, pipeline: PipelineModel) -> None:
        """pipeline: of `SparkNlpTrainer.pipeline`."""
        self._pipeline = LightPipeline(pipeline)._lightPipeline  # see above
        jvm = spark_session()._jvm
        self._new_list = jvm.java.util.ArrayList
        jackson = jvm.com.fasterxml.jackson
        self._mapper = jackson.databind.ObjectMapper()
        self._mapper.registerModule(getattr(getattr(jackson.module.scala, "DefaultScalaModule$"), "MODULE$"))

    def __call__(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        """Return the entities of each text."""
        listed = self._new_list()
        for text in texts:
            listed.add(with_sentence_ends(text))
        found = self._pipeline.fullAnnotateJava(listed)
        # By number: an iterator over Java's list ends with an exception there, which takes 20 ms.
        answers = [found[number] for number in range(len(texts))]
        return [
            _entities(text, self._read(answer, "entities"), self._read(answer, "ner"))
            for text, answer in zip(texts, answers, strict=True)
        ]

    def _read(self, answer: Any, column: str) -> Annotations:
        annotations: Annotations = json.loads(self._mapper.writeValueAsString(answer.get(column)))
        return annotations


def _entities(text: str, chunks: Annotations, tags: Annotations) -> list[dict[str, Any]]:
    place = _character_places(text)
    begins = [tag["begin"] for tag in tags]
    confidence = [float(tag["metadata"].get(tag["result"], 0.0)) for tag in tags]
    entities = []
    for chunk in chunks:
        begin, end = chunk["begin"], chunk["end"]
        score = entity_confidence(confidence[bisect_left(begins, begin) : bisect_right(begins, end)])
        label = chunk["metadata"]["entity"]
        entities.append({"start": place(begin), "end": place(end + 1), "label": label, "score": score})
    return entities


def _character_places(text: str) -> Callable[[int], int]:
    """Return a function from an offset in UTF-16 units, as Java counts, to one in characters."""
    if not text or ord(max(text)) < FIRST_OF_TWO_UNITS:
        return int
    begins = list(accumulate((1 + (ord(character) >= FIRST_OF_TWO_UNITS) for character in text), initial=0))
    return lambda offset: bisect_left(begins, offset)
