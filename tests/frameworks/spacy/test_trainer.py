import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.cli import init_config
from twinner.corpus import Corpus, Sentence, read_corpus
from twinner.errors import BadInput
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy.config import OURS
from twinner.frameworks.spacy.trainer import SpacyTrainer

STEPS = Path(__file__).resolve().parents[3] / "steps"


@pytest.fixture(scope="session")
def corpus(small_corpus: Path) -> Corpus:
    return read_corpus(str(small_corpus))


@pytest.fixture(autouse=True)
def own_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary folder of this test, which must be empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def fit(corpus: Corpus, size: int = 60, **parameters: Any) -> tuple[int, list[Epoch], list[tuple[str, ...]]]:
    """Train on the first sentences: the best epoch, all epochs, and what the kept model predicts of dev."""
    usual: dict[str, Any] = {"lang": "xx", "drop_rate": 0.2, "epochs": 2, "lr": 0.005, "batch_size": 100}
    trainer = SpacyTrainer(**(usual | {"patience": 0, "seed": 0} | parameters))
    epochs: list[Epoch] = []
    try:
        best = trainer.train(corpus.train[:size], corpus.dev, epochs.append)
        with TemporaryDirectory() as folder:
            trainer.save(Path(folder))
            trainer.load(Path(folder))
        return best, epochs, [prediction.tags for prediction in trainer.predict(corpus.dev)]
    finally:
        trainer.close()


def curves(epochs: list[Epoch]) -> list[tuple[float, dict[str, float]]]:
    return [(epoch.loss, dict(epoch.scores)) for epoch in epochs]


def test_equal_seeds_agree_in_everything_and_another_seed_differs(corpus: Corpus) -> None:
    first, again, other = fit(corpus), fit(corpus), fit(corpus, seed=1)
    assert curves(first[1]) == curves(again[1])
    assert first[2] == again[2]
    assert [epoch.loss for epoch in other[1]] != [epoch.loss for epoch in first[1]]


def test_dropping_little_beats_dropping_nearly_everything(corpus: Corpus) -> None:
    little, nearly_all = (
        max(epoch.scores["dev_f1"] for epoch in fit(corpus, size=110, epochs=3, drop_rate=rate)[1])
        for rate in (0.05, 0.95)
    )
    assert little > nearly_all + 0.2


def test_patience_stops_after_so_many_epochs_without_a_better_score(corpus: Corpus) -> None:
    # With next to no learning rate nothing changes, so the first epoch stays the best.
    best, epochs, _ = fit(corpus, size=5, epochs=10, lr=1e-12, patience=2)
    assert (best, [epoch.number for epoch in epochs]) == (1, [1, 2, 3])
    _, epochs, _ = fit(corpus, size=5, epochs=5, lr=1e-12, patience=0)
    assert len(epochs) == 5


def test_the_kept_model_is_the_best_epochs(corpus: Corpus) -> None:
    best, epochs, predicted = fit(corpus, epochs=4, lr=0.02)
    scores = [epoch.scores["dev_token_f1"] for epoch in epochs]
    entity_scores = [epoch.scores["dev_f1"] for epoch in epochs]
    assert best == entity_scores.index(max(entity_scores)) + 1
    pairs = [
        pair
        for sentence, tags in zip(corpus.dev, predicted, strict=True)
        for pair in zip(sentence.tags, tags, strict=True)
    ]
    hits = sum(gold == tag != "O" for gold, tag in pairs)
    inside = sum((gold != "O") + (tag != "O") for gold, tag in pairs)
    assert scores[best - 1] == pytest.approx(2 * hits / inside)


def test_a_users_config_is_honoured_but_the_parameters_win(corpus: Corpus, tmp_path: Path) -> None:
    config = init_config(lang="en", pipeline=["ner"], optimize="efficiency")
    config["components"]["ner"]["model"]["hidden_width"] = 17
    config["training"]["dropout"] = 0.77
    config["training"]["max_epochs"] = 99
    config.to_disk(tmp_path / "mine.cfg")
    trainer = SpacyTrainer("de", 0.3, 1, 0.004, 50, 0, 5, str(tmp_path / "mine.cfg"))
    try:
        trainer.train(corpus.train[:10], corpus.dev, lambda epoch: None)
        trainer.save(tmp_path)
        trainer.load(tmp_path)
        nlp = trainer.pipeline()
    finally:
        trainer.close()
    assert nlp.lang == "de"
    used = nlp.config
    assert used["components"]["ner"]["model"]["hidden_width"] == 17
    training = used["training"]
    assert (training["dropout"], training["max_epochs"], training["optimizer"]["learn_rate"]) == (0.3, 1, 0.004)
    assert (training["batcher"]["size"]["start"], training["batcher"]["size"]["stop"]) == (50, 50)
    assert used["system"]["seed"] == 5
    assert (tmp_path / "config.cfg").read_text().startswith("[paths]")


def test_vectors_reach_the_model(corpus: Corpus, tmp_path: Path) -> None:
    nlp = spacy.blank("xx")
    nlp.vocab.set_vector("Ulm", np.array([1, 2, 3], dtype="float32"))
    nlp.to_disk(tmp_path / "vectors")
    trainer = SpacyTrainer("xx", 0.2, 1, 0.001, 100, 0, 0, vectors=str(tmp_path / "vectors"))
    try:
        trainer.train(corpus.train[:5], corpus.dev, lambda epoch: None)
        trainer.save(tmp_path)
        trainer.load(tmp_path)
        assert trainer.pipeline().vocab.get_vector("Ulm").tolist() == [1.0, 2.0, 3.0]
        layers = {layer.name for layer in trainer.pipeline().get_pipe("tok2vec").model.walk()}
        assert "static_vectors" in layers
    finally:
        trainer.close()


def test_a_model_that_predicts_otherwise_when_loaded_back_is_an_error(corpus: Corpus, tmp_path: Path) -> None:
    trainer = SpacyTrainer("xx", 0.2, 2, 0.01, 100, 0, 0)
    try:
        trainer.train(corpus.train[:60], corpus.dev, lambda epoch: None)
        trainer.save(tmp_path)
        layers = trainer.pipeline().get_pipe("ner").model.walk()
        for layer in (layer for layer in layers if layer.has_param("W") is True):
            layer.set_param("W", layer.get_param("W") * 0)
        with pytest.raises(RuntimeError, match=r"the model that was loaded back predicts .* the one that was saved"):
            trainer.load(tmp_path)
    finally:
        trainer.close()


TRAIN = """
import sys
from pathlib import Path
from twinner.corpus import read_corpus
from twinner.frameworks.spacy.trainer import SpacyTrainer
corpus = read_corpus(sys.argv[1])
trainer = SpacyTrainer("xx", 0.2, 2, 0.005, 100, 0, seed=3)
trainer.train(corpus.train[:60], corpus.dev, lambda epoch: None)
trainer.save(Path(sys.argv[2]))
trainer.load(Path(sys.argv[2]))
trainer.pipeline().to_disk(Path(sys.argv[2], "model"))
trainer.close()
"""


def test_equal_trainings_write_equal_bytes_in_any_process(small_corpus: Path, tmp_path: Path) -> None:
    processes = []
    for name, hash_seed in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        own = os.environ | {"PYTHONPATH": str(STEPS), "PYTHONHASHSEED": hash_seed, "TMPDIR": str(tmp_path)}
        command = [sys.executable, "-c", TRAIN, str(small_corpus), str(tmp_path / name)]
        processes.append(subprocess.Popen(command, env=own))
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    first, second = (files_of(tmp_path / name / "model") for name in ("a", "b"))
    assert {"ner/model", "tok2vec/model", "config.cfg", "vocab/strings.json"} <= first.keys()
    assert first == second


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_updates_are_those_of_spacy_itself(corpus: Corpus, tmp_path: Path) -> None:
    # What annotates goes through nlp.update; tok2vec's annotation, a tensor, is of no weight for the NER.
    annotating = tmp_path / "annotating.cfg"
    given = OURS.read_text(encoding="utf-8").replace("[training]", '[training]\nannotating_components = ["tok2vec"]')
    annotating.write_text(given, encoding="utf-8")
    assert curves(fit(corpus)[1]) == curves(fit(corpus, config=str(annotating))[1])


def test_a_model_is_trained_on_from_where_it_was(corpus: Corpus, tmp_path: Path) -> None:
    first = SpacyTrainer("xx", 0.2, 3, 0.01, 100, 0, 0)
    told: list[Epoch] = []
    try:
        best = first.train(corpus.train, corpus.dev, told.append)
        first.save(tmp_path)
        first.load(tmp_path)
        first.pipeline().to_disk(tmp_path / "model")
    finally:
        first.close()
    # With next to no learning rate the model stays what it was.
    _, epochs, _ = fit(corpus, size=20, epochs=1, lr=1e-12, init=str(tmp_path / "model"))
    assert epochs[0].scores["dev_f1"] == pytest.approx(told[best - 1].scores["dev_f1"])
    assert epochs[0].scores["dev_f1"] > 0.5 > fit(corpus, size=20, epochs=1, lr=1e-12)[1][0].scores["dev_f1"]

    strange = tuple(Sentence.from_tokens(["Ulm", "ruht"], ["B-ORG", "O"]) for _ in range(3))
    again = SpacyTrainer("xx", 0.2, 1, 0.01, 100, 0, 0, init=str(tmp_path / "model"))
    try:
        with pytest.raises(BadInput) as caught:
            again.train(strange, corpus.dev, told.append)
    finally:
        again.close()
    assert str(caught.value) == (
        "the corpus has the labels ORG, which the model to train on from lacks; give a corpus with its labels (LOC,"
        " PER), or train from nothing"
    )


def test_spacy_itself_trains_the_logged_config_on_the_logged_data(corpus: Corpus, tmp_path: Path) -> None:
    epochs: list[Epoch] = []
    trainer = SpacyTrainer("xx", 0.2, 6, 0.01, 100, patience=5, seed=0)
    try:
        best = trainer.train(corpus.train, corpus.dev, epochs.append)
        trainer.save(tmp_path)
    finally:
        trainer.close()
    command = [sys.executable, "-m", "spacy", "train", "config.cfg", "--output", "out"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    theirs = json.loads((tmp_path / "out" / "model-best" / "meta.json").read_text(encoding="utf-8"))
    assert theirs["performance"]["ents_f"] == pytest.approx(epochs[best - 1].scores["dev_f1"], abs=0.05)
    assert theirs["performance"]["ents_f"] > 0.9


def test_without_text_no_corpus_is_written(corpus: Corpus, tmp_path: Path) -> None:
    trainer = SpacyTrainer("xx", 0.2, 1, 0.01, 100, 0, 0, log_text=False)
    try:
        trainer.train(corpus.train[:5], corpus.dev, lambda epoch: None)
        trainer.save(tmp_path)
    finally:
        trainer.close()
    assert [file.name for file in tmp_path.iterdir() if file.name != "temporary"] == ["config.cfg"]
