"""The step with spaCy's own parameters, and what it says of input that it can't use or that is out of the common."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from spacy.cli import init_config
from spacy_train import spacy_model, spacy_train
from twinner.errors import BadInput
from twinner.training.run import Result

Train = Callable[..., Result]


@pytest.mark.parametrize("registered", [False, True])
def test_init_takes_a_model_of_a_run_or_a_registered_one(
    registered: bool, spacy_run: Result, train_small: Train, tracked: mlflow.MlflowClient
) -> None:
    init = "models:/small-ner/1" if registered else f"runs:/{spacy_run.run_id}/model"
    result = train_small(init=init, epochs=1, lr=1e-12, limit=10)
    first, again = (tracked.get_run(run_id).data.metrics for run_id in (spacy_run.run_id, result.run_id))
    assert again["test_f1"] == pytest.approx(first["test_f1"])


def test_init_finds_spacys_model_in_what_mlflow_and_export_wrote(exported: Path, tmp_path: Path) -> None:
    model = exported / "model" / "model.spacy"
    assert {spacy_model(str(folder), tmp_path) for folder in (exported, exported / "model", model)} == {str(model)}


def test_init_that_is_no_model_of_spacy_is_refused(train_small: Train, tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"^init='runs:/0123456789abcdef0123456789abcdef/model': there is no such model: "
    ):
        train_small(init="runs:/0123456789abcdef0123456789abcdef/model")
    with pytest.raises(BadInput, match=r"^init='.*' can't be loaded by spaCy: .*; name a run's model"):
        train_small(init=str(tmp_path))


def test_the_language_of_a_config_wins_over_auto(
    train_small: Train, tracked: mlflow.MlflowClient, tmp_path: Path
) -> None:
    config = tmp_path / "mine.cfg"
    init_config(lang="de", pipeline=["ner"]).to_disk(config)

    result = train_small(config=str(config), epochs=1, limit=5)
    assert mlflow.spacy.load_model(f"runs:/{result.run_id}/model").lang == "de"
    assert tracked.get_run(result.run_id).data.tags["twinner.lang"] == "de"


def train_on(corpus: Path, **parameters: Any) -> Result:
    return spacy_train(corpus=str(corpus), epochs=1, **parameters)


def test_a_corpus_of_one_sentence_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.conll"
    file.write_text("Ulm\tB-LOC\n\n", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        train_on(file)
    assert str(caught.value) == f"{file}: 1 sentence is too few to hold out test and dev; give at least 3"


def write(file: Path, *sentences: str) -> Path:
    """A corpus of these sentences, in which Anna is a PER and Ulm a LOC."""
    tags = {"Anna": "B-PER", "Ulm": "B-LOC"}
    blocks = ("".join(f"{word}\t{tags.get(word, 'O')}\n" for word in sentence.split()) for sentence in sentences)
    file.write_text("\n".join(blocks), encoding="utf-8")
    return file


def test_a_corpus_with_all_its_labels_in_one_sentence_is_trained_on(tmp_path: Path) -> None:
    result = train_on(write(tmp_path / "c.conll", "Anna in Ulm", *(f"Heute regnet es {n}" for n in range(40))))
    assert result.metrics["test_f1"] == 0
    assert result.metrics["accuracy"] == 1


def test_a_very_long_sentence_is_trained_on(tmp_path: Path) -> None:
    result = train_on(write(tmp_path / "c.conll", "Anna geht nach Ulm und " * 1000, *["Anna in Ulm"] * 9))
    assert [epoch.number for epoch in result.epochs] == [1]
