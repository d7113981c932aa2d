"""Find the entities of texts in a Spark DataFrame with a saved Spark NLP pipeline, all of it in Spark's own Java."""

from collections.abc import Callable
from pathlib import Path

from pyspark.ml import PipelineModel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from twinner.frameworks.contract import ENTITY_COLUMN
from twinner.frameworks.sparknlp.long_sentences import column_with_sentence_ends
from twinner.spark.session import spark_path

GIVEN_TEXT = "_given_text"
UTF16 = "UTF-16BE"  # in which Java counts characters: two bytes for most, four for the others


def load(session: SparkSession, path: Path, name: str) -> Callable[[DataFrame], DataFrame]:
    """Load a pipeline saved by MLflow's Spark flavor.

    name: of this model in the session, which has Spark NLP. Returns a function that adds the column `name`, an
    `ENTITY_COLUMN`, to a frame with the column `text`.
    """
    pipeline = PipelineModel.load(spark_path(path))

    def add_entities(frame: DataFrame) -> DataFrame:
        found = F.transform("entities", _entity).cast(ENTITY_COLUMN)
        columns = [F.col(GIVEN_TEXT).alias("text") if column == "text" else column for column in frame.columns]
        frame = frame.withColumn(GIVEN_TEXT, F.col("text")).withColumn("text", column_with_sentence_ends("text"))
        return pipeline.transform(frame).select(*columns, found.alias(name))

    return add_entities


def _entity(chunk: Column) -> Column:
    """Return an entity as `twinner.frameworks.sparknlp.text_entities` does. chunk: of the NerConverter."""
    start, end = _characters(chunk["begin"]), _characters(chunk["end"] + 1)
    tags = F.filter("ner", lambda tag: tag["begin"].between(chunk["begin"], chunk["end"]))
    scores = F.transform(tags, lambda tag: tag["metadata"][tag["result"]].cast("double"))
    return F.struct(
        start.alias("start"),
        end.alias("end"),
        chunk["metadata"]["entity"].alias("label"),
        F.substr(F.col("text"), start + 1, end - start).alias("text"),
        F.array_min(scores).alias("score"),  # see `entity_confidence`
    )


def _characters(offset: Column) -> Column:
    """Return an offset in Java's characters as one in characters of the text."""
    encoded = F.encode("text", UTF16)
    before = F.substr(encoded, F.lit(1), offset * 2)
    is_same = F.octet_length(encoded) == F.length("text") * 2
    return F.when(is_same, offset).otherwise(F.length(F.decode(before, UTF16)))
