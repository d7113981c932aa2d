import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.cli import init_config
from twinner.corpus import Corpus, read_corpus
from twinner.errors import BadInput
from twinner.training.spacy import OURS, SpacyTrainer
from twinner.training.trainer import Epoch


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
        trainer.load(Path("nowhere"))
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
        trainer.load(tmp_path)
        trainer.save(tmp_path)
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


def refuse(config: Path | str, **parameters: str) -> str:
    with pytest.raises(BadInput) as caught:
        SpacyTrainer("xx", 0.2, 1, 0.001, 100, 0, 0, str(config), **parameters)
    return str(caught.value)


def test_a_config_that_is_no_file_is_refused() -> None:
    assert refuse("nowhere.cfg").startswith("the config 'nowhere.cfg' is no file; name a spaCy config")


def test_a_broken_config_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "broken.cfg"
    file.write_text("[nlp\nlang = ", encoding="utf-8")
    assert refuse(file).startswith(f"{file}: not a spaCy config: ")


def test_a_config_without_ner_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.cfg"
    file.write_text('[nlp]\nlang = "en"\npipeline = ["tagger"]\n\n[components]\n', encoding="utf-8")
    assert refuse(file) == f"{file}: the pipeline ['tagger'] has no ner; add the component ner to nlp.pipeline"


def test_a_config_that_spacy_cannot_build_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "unknown.cfg"
    file.write_text(OURS.read_text(encoding="utf-8").replace("MaxoutWindowEncoder.v2", "NoSuchEncoder.v9"))
    told = refuse(file)
    assert told.startswith(f"{file}: not a spaCy config: ")
    assert "NoSuchEncoder.v9" in told


def test_vectors_that_are_not_there_are_refused() -> None:
    assert refuse("", vectors="xx_no_such_package").startswith("the vectors 'xx_no_such_package' can't be loaded: ")


def test_vectors_reach_the_model(corpus: Corpus, tmp_path: Path) -> None:
    nlp = spacy.blank("xx")
    nlp.vocab.set_vector("Ulm", np.array([1, 2, 3], dtype="float32"))
    nlp.to_disk(tmp_path / "vectors")
    trainer = SpacyTrainer("xx", 0.2, 1, 0.001, 100, 0, 0, vectors=str(tmp_path / "vectors"))
    try:
        trainer.train(corpus.train[:5], corpus.dev, lambda epoch: None)
        trainer.load(tmp_path)
        assert trainer.pipeline().vocab.get_vector("Ulm").tolist() == [1.0, 2.0, 3.0]
    finally:
        trainer.close()
