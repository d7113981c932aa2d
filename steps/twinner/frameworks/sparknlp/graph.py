"""The TensorFlow graphs that NerDLApproach trains: choose the one that fits a corpus, and seed it.

Spark NLP's jar has graphs of several sizes, named `blstm_{tags}_{dimension}_{LSTM size}_{characters}.pb`.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from twinner.corpus import Sentence
from twinner.errors import BadInput

FOLDER = "ner-dl"  # in the jar


@dataclass(frozen=True, order=True)
class Graph:
    """The capacity of a graph: tags, characters, and the dimension of the embeddings; ordered by size."""

    tags: int
    characters: int
    dimension: int
    name: str


def fitting_graph(spark: SparkSession, train: Sequence[Sentence], dimension: int) -> Graph:
    """Return the smallest bundled graph that has room for the tags and characters of the training data.

    Raises BadInput if there is none, and names what is too large.
    """
    return choose_graph(bundled_graphs(spark), train, dimension)


def choose_graph(graphs: Iterable[Graph], train: Sequence[Sentence], dimension: int) -> Graph:
    """Return the smallest of these graphs that fits; see `fitting_graph`."""
    of_dimension = [graph for graph in graphs if graph.dimension == dimension]
    tags = len({tag for sentence in train for tag in sentence.tags})
    characters = len(_characters(train)) + 1  # one is reserved for unknown characters
    fitting = [graph for graph in of_dimension if tags <= graph.tags and characters <= graph.characters]
    if fitting:
        return min(fitting)
    if not of_dimension:
        raise BadInput(
            f"no graph of NerDLApproach takes embeddings of dimension {dimension}",
            f"use embeddings of dimension {', '.join(map(str, sorted({graph.dimension for graph in graphs})))}",
        )
    most_tags = max(graph.tags for graph in of_dimension)
    if tags > most_tags:
        raise BadInput(
            f"the training data has {tags} different tags, and NerDLApproach takes at most {most_tags}",
            f"merge labels ({most_tags // 2} labels with B- and I-, and O, fit), or train with spaCy",
        )
    most_characters = max(graph.characters for graph in of_dimension)
    raise BadInput(
        f"the training data has {characters - 1} different characters, and NerDLApproach takes at most"
        f" {most_characters - 1}",
        "replace the rare ones in the corpus, or train with spaCy",
    )


def bundled_graphs(spark: SparkSession) -> list[Graph]:
    """Return the graphs in Spark NLP's jar."""
    listing = _resources(spark).listResourceDirectory(f"/{FOLDER}").mkString("\n")
    return [
        Graph(int(tags), int(characters), int(dimension), name)
        for name, tags, dimension, characters in re.findall(
            r"(blstm_(\d+)_(\d+)_\d+_(\d+)\.pb)$", listing, re.MULTILINE
        )
    ]


def write_seeded(spark: SparkSession, graph: Graph, seed: int, folder: Path) -> int:
    """Write a graph to a folder with seeds in its random operations; return the number of these operations."""
    seeded, random = _seeded(spark, graph.name, seed)
    (folder / graph.name).write_bytes(seeded)
    return random


@functools.lru_cache(maxsize=1)  # the trials of a sweep have it in common
def _seeded(spark: SparkSession, name: str, seed: int) -> tuple[bytes, int]:
    """Return a graph with seeds in its random operations, and the number of these.

    The bundled graphs seed initial weights and dropout with 0 and 0, which TensorFlow takes for a random seed
    (https://www.tensorflow.org/api_docs/python/tf/random/set_seed). NerDLApproach's own seed only orders sentences.
    """
    definition = spark._jvm.org.tensorflow.proto.framework.GraphDef.parseFrom(
        _resources(spark).getResourceStream(f"{FOLDER}/{name}")
    )
    # One call for the whole text: a call for each of the thousands of nodes takes seconds.
    nodes = re.split(r"^node \{$", definition.toString(), flags=re.MULTILINE)[1:]
    if len(nodes) != definition.getNodeCount():
        raise RuntimeError(f"{name} has {definition.getNodeCount()} nodes, but {len(nodes)} were read")
    random = [index for index, text in enumerate(nodes) if 'key: "seed2"' in text]
    builder = definition.toBuilder()
    for index in random:
        node = builder.getNodeBuilder(index)
        node.putAttr("seed", _attribute(spark, seed))
        node.putAttr("seed2", _attribute(spark, index + 1))  # different for each operation, and never 0
    return bytes(builder.build().toByteArray()), len(random)


def _attribute(spark: SparkSession, value: int) -> Any:
    return spark._jvm.org.tensorflow.proto.framework.AttrValue.newBuilder().setI(value).build()


def _resources(spark: SparkSession) -> Any:
    return spark._jvm.com.johnsnowlabs.nlp.util.io.ResourceHelper


def _characters(sentences: Iterable[Sentence]) -> set[bytes]:
    """Return the different characters of the tokens as Java counts them: an emoji is two."""
    text = "".join({token for sentence in sentences for token in sentence.tokens}).encode("utf-16-le", "surrogatepass")
    return {text[at : at + 2] for at in range(0, len(text), 2)}
