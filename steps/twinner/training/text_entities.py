"""The entities of raw texts by a trained Spark NLP pipeline; apart from training, for where the model is served."""

from collections.abc import Sequence
from typing import Any

from pyspark.ml import PipelineModel
from sparknlp.base import LightPipeline


def text_entities(pipeline: PipelineModel, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """The entities of some texts, by a pipeline of `SparkNlpTrainer.pipeline`, without a Spark job.

    A list for each text, of `start`, `end` (exclusive, in characters of the text), `label` and `text`.
    """
    answers = LightPipeline(pipeline).fullAnnotate(list(texts)) if texts else []
    return [
        [_entity(text, chunk.begin, chunk.end + 1, chunk.metadata["entity"]) for chunk in answer["entities"]]
        for text, answer in zip(texts, answers, strict=True)
    ]


def _entity(text: str, begin: int, end: int, label: str) -> dict[str, Any]:
    start, end = _characters(text, begin), _characters(text, end)
    return {"start": start, "end": end, "label": label, "text": text[start:end]}


def _characters(text: str, utf16_units: int) -> int:
    """How many characters of a text its first UTF-16 units are: Java's offsets count an emoji as two."""
    return len(text.encode("utf-16-le", "surrogatepass")[: 2 * utf16_units].decode("utf-16-le", "surrogatepass"))
