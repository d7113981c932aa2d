"""Find the entities of texts in a Spark DataFrame with a model's own loader, in Python processes of the executors."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from twinner.frameworks.contract import ENTITY_COLUMN
from twinner.spark.shipping import ship_folder, ship_package, shipped_folder


def load(session: SparkSession, path: Path, name: str, loader: str) -> Callable[[DataFrame], DataFrame]:
    """Bring a model to the executors, which load it once in each process.

    name: of this model in the session. loader: the module that loads it, see `FRAMEWORKS`. Returns a function that adds
    the column `name`, an `ENTITY_COLUMN`, to a frame with the column `text`.
    """
    ship_package(session)
    model = ship_folder(session, path, name)

    def entities(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        from twinner.frameworks.python_frames import find_entities

        for texts in batches:
            yield pd.Series(find_entities(loader, model, list(texts)), dtype=object)

    udf = F.pandas_udf(entities, ENTITY_COLUMN)
    return lambda frame: frame.withColumn(name, udf("text"))


def find_entities(loader: str, model: str, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Return the entities of each text. Runs in an executor. model: see `shipped_folder`."""
    return [
        [{**entity, "text": text[entity["start"] : entity["end"]]} for entity in entities]
        for text, entities in zip(texts, _model(loader, model)(texts), strict=True)
    ]


@cache
def _model(loader: str, place: str) -> Callable[[Sequence[str]], list[list[dict[str, Any]]]]:
    entities_of: Callable[[Sequence[str]], list[list[dict[str, Any]]]]
    entities_of = importlib.import_module(loader).load(shipped_folder(place))
    return entities_of
