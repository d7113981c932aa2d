"""Embeddings of pretrained models; `test_trainer.py` covers word2vec."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hub_server import HubServer, Model
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.sql import DataFrame, SparkSession
from spark_cache import spark_cache  # type: ignore[import-not-found]  # noqa: F401
from sparknlp.annotator import BertEmbeddings, NerDLModel
from tiny_encoder import write_encoder
from twinner.corpus import Sentence
from twinner.encoders.e5 import sentencepiece_model
from twinner.encoders.embedding_cache import EmbeddingCache
from twinner.encoders.find import find_encoder
from twinner.encoders.run import Encoder
from twinner.errors import BadInput
from twinner.frameworks.sparknlp.batches import group_by_length
from twinner.frameworks.sparknlp.embeddings import Embedder, _parts, check_name
from twinner.spark.session import java_cause

from .conftest import SmallTask, Trained

STEP = Path(__file__).parents[3] / "steps" / "sparknlp_train.py"
LONG = Sentence.from_tokens(["Anna"] * 700, ["B-PER"] * 700)

Make = Callable[[str], Embedder]


@pytest.fixture
def make(spark: SparkSession, tmp_path: Path) -> Iterator[Make]:
    """Makes an embedder by name, with its cache in `tmp_path`/cached."""
    cache = EmbeddingCache(tmp_path / "cached", limit=1000)
    yield lambda name: Embedder(spark, name, "de", 0, cache, tmp_path / "scratch")
    cache.close()


def vectors(rows: DataFrame) -> dict[int, list[list[float]]]:
    return {row.id: row.vectors for row in rows.selectExpr("id", "embeddings.embeddings as vectors").collect()}


def test_reads_minilms_settings_from_its_files(make: Make) -> None:
    embedder = make("minilm")
    assert embedder.dimension == 768
    assert embedder.annotator.getCaseSensitive() is True  # with a vocabulary that has capitalized pieces too
    assert embedder.annotator.getMaxSentenceLength() == 512


def test_an_uncased_model_ignores_case_but_keeps_it_in_the_tokens(make: Make) -> None:
    tokens = ("Köln", "and", "BRUSSELS", "are", "Far", "from", "Ulm")
    sentences = [Sentence.from_tokens(words, ["O"] * 7) for words in (tokens, [token.lower() for token in tokens])]
    ((annotations,),) = make("minilm").embedded(sentences).select("embeddings").collect()
    capitals, small = np.array([annotation.embeddings for annotation in annotations]).reshape(2, 7, -1)
    assert capitals == pytest.approx(small, abs=1e-6)
    assert tuple(annotation.metadata["token"] for annotation in annotations[:7]) == tokens


def test_every_token_has_a_vector_that_depends_on_its_context(make: Make, task: SmallTask) -> None:
    found = vectors(make("minilm").embedded(task.dev))
    documents = group_by_length(task.dev)
    assert sorted(found) == list(range(len(documents)))
    by_word: dict[str, set[tuple[float, ...]]] = {}
    for number, document in enumerate(documents):
        tokens = [token for i in document for token in task.dev[i].tokens]
        for token, vector in zip(tokens, found[number], strict=True):
            by_word.setdefault(token, set()).add(tuple(vector))
    assert len(by_word["wohnt"]) > 1


def test_a_model_that_has_run_before_is_loaded_only_to_embed(make: Make, spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(find_encoder("minilm", ["bert"]).folder, folder)
    make(str(folder))
    assert jobs_of(spark, lambda: make(str(folder))) == 0
    embedder = make(str(folder))
    assert embedder.dimension == 768
    with (folder / "assets" / "vocab.txt").open("a", encoding="utf-8") as vocabulary:
        vocabulary.write("Berlin\n")
    with pytest.raises(BadInput, match=r"encoder have changed meanwhile; start a new run$"):
        embedder.embedded([Sentence.from_tokens(["Berlin"], ["O"])])


def test_each_loading_of_a_model_has_the_same_storage_ref(make: Make) -> None:
    assert make("minilm").annotator.getStorageRef() == make("minilm").annotator.getStorageRef()


def test_truncates_the_labels_of_a_long_sentence_and_counts_the_rest(make: Make, task: SmallTask) -> None:
    embedder = make("minilm")
    (row,) = embedder.embedded([LONG]).select("token", "label", "embeddings").collect()
    assert len(row.token) == 700
    assert 400 < len(row.embeddings) < 512  # a name may be several word pieces
    assert [label.begin for label in row.label] == [embedding.begin for embedding in row.embeddings]
    assert embedder.truncated_tags([LONG, *task.dev]) == {"B-PER": 700 - len(row.embeddings)}
    assert embedder.truncated_tags(task.dev) == {}


def test_truncation_leaves_other_sentences_of_a_document_alone(make: Make, task: SmallTask) -> None:
    short = task.dev[:2]
    (row,) = make("minilm").embedded([LONG, *short]).select("token", "label", "embeddings").collect()
    embedded = [(embedding.metadata["sentence"], embedding.begin) for embedding in row.embeddings]
    tokens = [(token.metadata["sentence"], token.begin) for token in row.token]
    kept = sum(number == "2" for number, _ in embedded)  # the longest comes last
    assert embedded == tokens[: sum(len(sentence.tokens) for sentence in short) + kept]
    assert 400 < kept < 512
    assert [label.begin for label in row.label] == [begin for _, begin in embedded]


def test_a_saved_model_and_its_export_give_equal_vectors(make: Make, task: SmallTask, tmp_path: Path) -> None:
    export = make("minilm")
    export.annotator.write().save((tmp_path / "saved").as_uri())
    saved = make(str(tmp_path / "saved"))
    assert isinstance(saved.annotator, BertEmbeddings)
    assert (saved.dimension, saved.annotator.getCaseSensitive()) == (768, True)
    assert vectors(saved.embedded(task.dev)) == vectors(export.embedded(task.dev))


def test_a_model_is_cased_if_its_vocabulary_is(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "cased"
    shutil.copytree(find_encoder("minilm", ["bert"]).folder, folder)
    words = (folder / "assets" / "vocab.txt").read_text(encoding="utf-8").splitlines()
    words[words.index("berlin")] = "Berlin"
    (folder / "assets" / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "max_position_embeddings": 64}))
    embedder = make(str(folder))
    assert embedder.annotator.getCaseSensitive() is True
    assert embedder.annotator.getMaxSentenceLength() == 64


def jobs_of(spark: SparkSession, call: Callable[[], object]) -> int:
    """Return the number of Spark jobs that a call starts, whether it fails or not."""
    context, group = spark.sparkContext, str(uuid.uuid4())
    context.setJobGroup(group, "")
    with contextlib.suppress(Exception):
        call()
    context._jsc.clearJobGroup()
    return len(context.statusTracker().getJobIdsForGroup(group))


def test_continues_without_an_unusable_cache_and_warns_once(
    make: Make, task: SmallTask, spark: SparkSession, tmp_path: Path
) -> None:
    embedder = make("minilm")
    shutil.rmtree(tmp_path / "cached")
    (tmp_path / "cached").write_text("a file where the folder was")
    with pytest.warns(UserWarning, match=r"^embeddings are not kept for later runs: the cache folder .* can't be used"):
        rows = embedder.embedded(task.dev)
    assert len(vectors(rows)) == len(group_by_length(task.dev))
    with warnings.catch_warnings(action="error"):
        embedder.embedded(task.train)
        assert jobs_of(spark, lambda: embedder.embedded_file(task.dev)) == 0


def test_a_failing_job_is_not_a_failing_cache(make: Make, task: SmallTask, spark: SparkSession, tmp_path: Path) -> None:
    embedder = make("minilm")
    embedder.annotator.setBatchSize(0)
    with warnings.catch_warnings(action="error"), pytest.raises(Py4JJavaError) as caught:
        embedder.embedded(task.dev)
    assert "size=0" in java_cause(caught.value)
    assert jobs_of(spark, lambda: embedder.embedded(task.dev)) == 1
    assert list((tmp_path / "scratch").iterdir()) == []

    embedder.annotator.setBatchSize(32)
    embedder.embedded(task.dev)
    assert [path.is_dir() for path in (tmp_path / "cached").glob("*/rows")] == [True]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "embeddings is empty; use word2vec, minilm, e5, hf:ORG/MODEL, or a folder"),
        ("./nowhere", "embeddings=./nowhere: there is no such folder in "),
        ("/nowhere", "embeddings=/nowhere: there is no such folder; name a folder that holds a model"),
        (os.path.dirname(__file__), "this folder is not a model; name embeddings that Spark NLP saved"),
    ],
)
def test_rejects_impossible_names(name: str, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_name(name)
    assert problem in str(caught.value)


def test_rejects_a_saved_model_without_embeddings(make: Make, trained: Trained) -> None:
    assert NerDLModel.load((trained.folder / "ner_model").as_uri())
    with pytest.raises(BadInput, match="a NerDLModel gives no word embeddings; name a model that does"):
        make(str(trained.folder / "ner_model"))


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("config.json", "{", "config.json: this is not JSON; export the model again"),
        ("config.json", '{"model_type": "gpt2"}', "model_type 'gpt2' is not known; use an encoder of one of albert,"),
        ("assets/vocab.txt", None, "it can't be loaded"),
    ],
)
def test_rejects_a_broken_export(file: str, content: str | None, problem: str, make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(find_encoder("minilm", ["bert"]).folder, folder)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(BadInput) as caught:
        make(str(folder))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("documents", [0, 1, 3, 4, 5, 64, 65, 375])
def test_parts_have_each_document_once_and_equal_sizes(documents: int) -> None:
    parts = _parts(documents)
    assert sorted(i for part in parts for i in part) == list(range(documents))
    assert len(parts) == -(-documents // 64)
    sizes = [len(part) for part in parts]
    assert not sizes or max(sizes) - min(sizes) <= 4


def test_step_with_a_broken_model_ends_in_one_line(tmp_path: Path, spark_cache: Path) -> None:  # noqa: F811
    # In a new process: a session distributes one model.onnx only, and other tests must not get this one.
    folder = tmp_path / "broken"
    shutil.copytree(find_encoder("minilm", ["bert"]).folder, folder)
    (folder / "model.onnx").write_text("no model")
    process = subprocess.run(
        [sys.executable, STEP, "--embeddings", folder, "--limit", "10", "--driver-memory", "1g"],
        cwd=tmp_path,
        env=os.environ | {"TWINNER_CACHE": str(spark_cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2, process.stderr
    assert process.stderr.splitlines()[-1].startswith(f"error: embeddings={folder}: it can't be loaded (")


EMBED = """
import json, sys
from pathlib import Path
from twinner.corpus import Sentence
from twinner.frameworks.sparknlp.embeddings import Embedder
from twinner.spark.session import spark_session

name, scratch, *texts = sys.argv[1:]
embedder = Embedder(spark_session("local[1]", "2g"), name, "xx", 0, None, Path(scratch))
tokens = [text.split() for text in texts]
rows = embedder.embedded([Sentence.from_tokens(words, ["O"] * len(words)) for words in tokens])
embeddings = rows.selectExpr("explode(embeddings) as e").selectExpr("e.metadata.sentence", "e.begin", "e.embeddings")
print(json.dumps([embedder.dimension, [row.embeddings for row in embeddings.sort("sentence", "begin").collect()]]))
"""


def embed(name: str, texts: list[str], scratch: Path, **environment: str) -> tuple[int, np.ndarray]:
    """Embed texts in a new process; return the dimension, and the vectors, those of the shortest text first."""
    process = subprocess.run(
        [sys.executable, "-c", EMBED, name, str(scratch), *texts],
        env=os.environ | {"PYTHONPATH": str(STEP.parent)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    dimension, vectors = json.loads(process.stdout.splitlines()[-1])
    return dimension, np.array(vectors)


@pytest.mark.parametrize(("name", "dimension"), [("minilm:4", 384), ("e5", 768)])
def test_vectors_are_those_that_spacy_gets(
    name: str,
    dimension: int,
    spark_cache: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    texts = [
        "Anna O'Neill wohnt seit 3.5. in der Königstraße 12-14 , Ulm .",
        "The U.N. met in NEW YORK on Monday ; why ?",
    ]
    found, vectors = embed(name, texts, tmp_path / "scratch", TWINNER_CACHE=str(spark_cache))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWINNER_CACHE", str(spark_cache))
        encoder = Encoder(find_encoder(name, ["bert", "xlm-roberta"]).folder)
    assert found == encoder.dimension == dimension
    expected = np.concatenate(encoder.vectors(sorted((text.split() for text in texts), key=len)))
    # Ours are rounded to 16 bits; and minilm's weights are in 8 bits, whose rounding depends on the batch.
    np.testing.assert_allclose(vectors, expected, atol=0.05)


def test_reads_bert_with_the_vocabulary_of_xlm_roberta_from_the_hub(
    spark_cache: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁Anna", "▁wohnt", "▁in", "▁Ulm", "x"]
    # Spark NLP tries ids of XLM-RoBERTa's own vocabulary when it loads a model.
    export = write_encoder(tmp_path / "encoder", pieces, dimension=4, rows=250_000)
    words = [(piece, -float(place)) for place, piece in enumerate(pieces)]
    server = HubServer()
    server.models["org/small"] = Model(
        {
            "onnx/model.onnx": (export / "model.onnx").read_bytes(),
            "config.json": (export / "config.json").read_bytes(),
            "sentencepiece.bpe.model": sentencepiece_model(words),
        }
    )
    texts = ["Anna wohnt in Ulm", "Anna"]  # the second one is padded
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", server.url)
        patch.setenv("TWINNER_CACHE", str(spark_cache))
        dimension, vectors = embed("hf:org/small", texts, tmp_path / "scratch")
        encoder = Encoder(find_encoder("hf:org/small", ["bert"]).folder)
    server.stop()
    assert dimension == 4
    np.testing.assert_allclose(vectors, np.concatenate(encoder.vectors([["Anna"], texts[0].split()])), atol=0.01)
