"""Embeddings of models that are there already; the tests of training hold those of word2vec."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from spark_cache import spark_cache  # type: ignore[import-not-found]  # noqa: F401
from sparknlp.annotator import BertEmbeddings, NerDLModel
from twinner.corpus import Sentence
from twinner.errors import BadInput
from twinner.frameworks.sparknlp.batches import documents_of_a_length
from twinner.frameworks.sparknlp.embedding_cache import EmbeddingCache
from twinner.frameworks.sparknlp.embeddings import Embedder, _parts, check_name
from twinner.frameworks.sparknlp.minilm import minilm_folder

from .conftest import SmallTask, Trained

STEP = Path(__file__).parents[3] / "steps" / "sparknlp_train.py"
LONG = Sentence.from_tokens(["Anna"] * 700, ["B-PER"] * 700)

Make = Callable[[str], Embedder]


@pytest.fixture
def make(spark: SparkSession, tmp_path: Path) -> Iterator[Make]:
    """Makes an embedder by name, which keeps what it computes in `tmp_path`/kept."""
    kept, work = (EmbeddingCache(tmp_path / name, limit=1000) for name in ("kept", "work"))
    yield lambda name: Embedder(spark, name, "de", 0, kept, work, Path.as_uri)
    kept.close()
    work.close()


def vectors(rows: DataFrame) -> dict[int, list[list[float]]]:
    return {row.id: row.vectors for row in rows.selectExpr("id", "embeddings.embeddings as vectors").collect()}


def test_minilm_is_set_as_its_files_say(make: Make) -> None:
    embedder = make("minilm")
    assert embedder.dimension == 384
    assert embedder.annotator.getCaseSensitive() is True  # with a vocabulary that has its pieces in capitals, too
    assert embedder.annotator.getMaxSentenceLength() == 512


def test_an_uncased_model_embeds_capitals_as_small_letters_but_leaves_them_in_the_tokens(make: Make) -> None:
    tokens = ("Köln", "and", "BRUSSELS", "are", "Far", "from", "Ulm")
    sentences = [Sentence.from_tokens(words, ["O"] * 7) for words in (tokens, [token.lower() for token in tokens])]
    ((annotations,),) = make("minilm").embedded(sentences).select("embeddings").collect()
    capitals, small = np.array([annotation.embeddings for annotation in annotations]).reshape(2, 7, -1)
    assert capitals == pytest.approx(small, abs=1e-6)
    assert tuple(annotation.metadata["token"] for annotation in annotations[:7]) == tokens


def test_every_token_has_a_vector_and_what_it_means_depends_on_the_sentence(make: Make, task: SmallTask) -> None:
    found = vectors(make("minilm").embedded(task.dev))
    documents = documents_of_a_length(task.dev)
    assert sorted(found) == list(range(len(documents)))
    by_word: dict[str, set[tuple[float, ...]]] = {}
    for number, document in enumerate(documents):
        tokens = [token for i in document for token in task.dev[i].tokens]
        for token, vector in zip(tokens, found[number], strict=True):
            by_word.setdefault(token, set()).add(tuple(vector))
    assert len(by_word["wohnt"]) > 1


def test_what_is_kept_is_known_as_the_same_models_when_that_is_loaded_again(make: Make) -> None:
    assert make("minilm").annotator.getStorageRef() == make("minilm").annotator.getStorageRef()


def test_a_sentence_that_is_too_long_is_cut_with_its_labels(make: Make) -> None:
    (row,) = make("minilm").embedded([LONG]).select("token", "label", "embeddings").collect()
    assert len(row.token) == 700
    assert 400 < len(row.embeddings) < 512  # a name may be several pieces of words
    assert [label.begin for label in row.label] == [embedding.begin for embedding in row.embeddings]


def test_a_sentence_that_is_cut_takes_nothing_from_those_of_its_document(make: Make, task: SmallTask) -> None:
    short = task.dev[:2]
    (row,) = make("minilm").embedded([LONG, *short]).select("token", "label", "embeddings").collect()
    embedded = [(embedding.metadata["sentence"], embedding.begin) for embedding in row.embeddings]
    tokens = [(token.metadata["sentence"], token.begin) for token in row.token]
    cut = sum(number == "2" for number, _ in embedded)  # the longest comes last
    assert embedded == tokens[: sum(len(sentence.tokens) for sentence in short) + cut]
    assert 400 < cut < 512
    assert [label.begin for label in row.label] == [begin for _, begin in embedded]


def test_a_saved_model_and_an_export_of_it_give_the_same(make: Make, task: SmallTask, tmp_path: Path) -> None:
    export = make("minilm")
    export.annotator.write().save((tmp_path / "saved").as_uri())
    saved = make(str(tmp_path / "saved"))
    assert isinstance(saved.annotator, BertEmbeddings)
    assert (saved.dimension, saved.annotator.getCaseSensitive()) == (384, True)
    assert vectors(saved.embedded(task.dev)) == vectors(export.embedded(task.dev))


def test_a_vocabulary_with_capitals_makes_a_model_cased(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "cased"
    shutil.copytree(minilm_folder(), folder)
    words = (folder / "assets" / "vocab.txt").read_text(encoding="utf-8").splitlines()
    words[words.index("berlin")] = "Berlin"
    (folder / "assets" / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "max_position_embeddings": 64}))
    embedder = make(str(folder))
    assert embedder.annotator.getCaseSensitive() is True
    assert embedder.annotator.getMaxSentenceLength() == 64


def test_a_cache_that_cannot_be_written_is_done_without(
    make: Make, task: SmallTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embedder = make("minilm")
    shutil.rmtree(tmp_path / "kept")
    (tmp_path / "kept").write_text("a file where the folder was")
    assert len(vectors(embedder.embedded(task.dev))) == len(documents_of_a_length(task.dev))
    warning = capsys.readouterr().err
    assert warning.startswith("warning: the embedding cache can't be used (")
    assert warning.endswith("going on without\n")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "embeddings is empty; use word2vec, minilm, a name of Spark NLP's hub, or a folder"),
        ("./nowhere", "embeddings=./nowhere: there is no such folder in "),
        ("/nowhere", "embeddings=/nowhere: there is no such folder; name a folder that holds a model"),
        (os.path.dirname(__file__), "this folder is no model; name embeddings that Spark NLP saved"),
    ],
)
def test_names_that_can_be_no_model_are_bad_input_before_spark_starts(name: str, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_name(name)
    assert problem in str(caught.value)


def test_a_saved_model_that_embeds_nothing_is_bad_input(make: Make, trained: Trained) -> None:
    assert NerDLModel.load((trained.folder / "ner_model").as_uri())
    with pytest.raises(BadInput, match="a NerDLModel gives no embeddings of words; name a model that does"):
        make(str(trained.folder / "ner_model"))


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("config.json", "{", "config.json: this is no JSON; export the model again"),
        ("config.json", '{"model_type": "gpt2"}', "model_type 'gpt2' is not known; use one of albert, bert,"),
        ("assets/vocab.txt", None, "it can't be loaded"),
    ],
)
def test_a_broken_export_is_bad_input(file: str, content: str | None, problem: str, make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(minilm_folder(), folder)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(BadInput) as caught:
        make(str(folder))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("documents", [0, 1, 3, 4, 5, 64, 65, 375])
def test_parts_hold_each_document_once_and_are_alike(documents: int) -> None:
    parts = _parts(documents)
    assert sorted(i for part in parts for i in part) == list(range(documents))
    assert len(parts) == -(-documents // 64)
    sizes = [len(part) for part in parts]
    assert not sizes or max(sizes) - min(sizes) <= 4


def test_a_step_with_a_model_that_is_none_ends_in_one_line(tmp_path: Path, spark_cache: Path) -> None:  # noqa: F811
    # In a process of its own: a session hands out but one model.onnx, and this one is not to reach the other tests.
    folder = tmp_path / "broken"
    shutil.copytree(minilm_folder(), folder)
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
