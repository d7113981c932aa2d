"""Entities in raw text with a saved Spark NLP pipeline; imported where the model is served."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.ml import PipelineModel
from sparknlp.annotation import Annotation
from sparknlp.base import LightPipeline

from twinner.frameworks.sparknlp.confidence import entity_confidence
from twinner.spark.session import spark_path


def load(path: Path) -> Callable[[Sequence[str]], list[list[dict[str, Any]]]]:
    """Load a pipeline saved by MLflow's Spark flavor; return `text_entities` for it.

    Starts a Spark session if there is none.
    """
    return partial(text_entities, PipelineModel.load(spark_path(path)))


def text_entities(pipeline: PipelineModel, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Find the entities of n texts with a pipeline of `SparkNlpTrainer.pipeline`, without a Spark job.

    Returns n lists of entities, each with `start`, `end` (exclusive, in characters of the text), `label` and `score`.
    """
    answers = LightPipeline(pipeline).fullAnnotate(list(texts)) if texts else []
    return [
        [_entity(text, chunk, answer["ner"]) for chunk in answer["entities"]]
        for text, answer in zip(texts, answers, strict=True)
    ]


def _entity(text: str, chunk: Annotation, tags: Sequence[Annotation]) -> dict[str, Any]:
    confidence = [
        float(tag.metadata.get(tag.result, 0.0)) for tag in tags if chunk.begin <= tag.begin and tag.end <= chunk.end
    ]
    return {
        "start": _character_offset(text, chunk.begin),
        "end": _character_offset(text, chunk.end + 1),
        "label": chunk.metadata["entity"],
        "score": entity_confidence(confidence),
    }


def _character_offset(text: str, utf16_offset: int) -> int:
    """Convert an offset in UTF-16 units, as Java counts, to one in characters."""
    return len(text.encode("utf-16-le", "surrogatepass")[: 2 * utf16_offset].decode("utf-16-le", "surrogatepass"))
