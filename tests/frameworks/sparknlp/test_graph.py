from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from twinner.corpus import Sentence
from twinner.errors import BadInput
from twinner.frameworks.sparknlp.graph import Graph, bundled_graphs, choose_graph, write_seeded

SMALL = Graph(tags=10, characters=120, dimension=100, name="small")
MANY_TAGS = Graph(tags=38, characters=120, dimension=100, name="many tags")
LARGE = Graph(tags=38, characters=200, dimension=100, name="large")
WIDE = Graph(tags=10, characters=120, dimension=768, name="wide")
GRAPHS = [LARGE, WIDE, MANY_TAGS, SMALL]


def corpus(tags: int, characters: int) -> list[Sentence]:
    """Make sentences with this many different tags, including O, and different characters."""
    text = "".join(chr(0x4E00 + i) for i in range(characters))
    return [Sentence.from_tokens([text] * tags, ["O", *(f"B-{i}" for i in range(tags - 1))])]


@pytest.mark.parametrize(
    ("tags", "characters", "graph"),
    [
        (10, 119, SMALL),
        (11, 119, MANY_TAGS),
        (10, 120, LARGE),  # 120 characters and one row for unknown ones
        (38, 199, LARGE),
    ],
)
def test_chooses_the_smallest_fitting_graph(tags: int, characters: int, graph: Graph) -> None:
    assert choose_graph(GRAPHS, corpus(tags, characters), 100) == graph


@pytest.mark.parametrize(
    ("tags", "characters", "dimension", "problem"),
    [
        (39, 50, 100, "has 39 different tags, and NerDLApproach takes at most 38; merge labels"),
        (3, 200, 100, "has 200 different characters, and NerDLApproach takes at most 199; replace the rare ones"),
        (3, 50, 99, "no graph of NerDLApproach takes embeddings of dimension 99; use embeddings of dimension 100, 768"),
    ],
)
def test_names_what_is_too_large_for_any_graph(tags: int, characters: int, dimension: int, problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        choose_graph(GRAPHS, corpus(tags, characters), dimension)


def test_counts_an_emoji_as_two_characters_as_java_does() -> None:
    two_halves = [Sentence.from_tokens(["😀"], ["O"])]
    assert choose_graph([Graph(1, 3, 100, "fits")], two_halves, 100).name == "fits"
    with pytest.raises(BadInput, match="has 2 different characters"):
        choose_graph([Graph(1, 2, 100, "too small")], two_halves, 100)


def test_bundled_graphs_have_the_known_sizes(spark: SparkSession) -> None:
    graphs = bundled_graphs(spark)
    assert {graph.dimension for graph in graphs} == {100, 128, 256, 300, 384, 512, 768, 1024, 2048, 4096}
    assert {graph.tags for graph in graphs} == {10, 38}


def test_seeds_every_random_operation_differently(spark: SparkSession, tmp_path: Path) -> None:
    graph = next(graph for graph in bundled_graphs(spark) if graph.dimension == 100)
    assert write_seeded(spark, graph, 0, tmp_path) == 38
    parser = spark._jvm.org.tensorflow.proto.framework.GraphDef
    seeded = parser.parseFrom((tmp_path / graph.name).read_bytes())
    seeds = set()
    for index in range(seeded.getNodeCount()):
        node = seeded.getNode(index)
        if node.containsAttr("seed2"):
            assert node.getAttrOrThrow("seed").getI() == 0
            seeds.add(node.getAttrOrThrow("seed2").getI())
    assert len(seeds) == 38
    assert 0 not in seeds

    other = tmp_path / "other"
    other.mkdir()
    write_seeded(spark, graph, 1, other)
    same = tmp_path / "same"
    same.mkdir()
    write_seeded(spark, graph, 0, same)
    assert (same / graph.name).read_bytes() == (tmp_path / graph.name).read_bytes()
    assert (other / graph.name).read_bytes() != (tmp_path / graph.name).read_bytes()
