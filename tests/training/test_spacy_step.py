"""The spaCy step: its own parameters, unusual and unusable input, and what a run leaves of a corpus's text."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from spacy.cli import init_config
from spacy_train import spacy_model, spacy_train
from twinner.errors import BadInput
from twinner.training.result import Result

Train = Callable[..., Result]
STEP = Path(__file__).resolve().parents[2] / "steps" / "spacy_train.py"


@pytest.mark.parametrize("registered", [False, True])
def test_init_accepts_run_and_registered_models(
    registered: bool, spacy_run: Result, train_small: Train, tracked: mlflow.MlflowClient
) -> None:
    init = "models:/small-ner/1" if registered else f"runs:/{spacy_run.run_id}/model"
    result = train_small(init=init, epochs=1, lr=1e-12, limit=10)
    first, again = (tracked.get_run(run_id).data.metrics for run_id in (spacy_run.run_id, result.run_id))
    assert again["test_f1"] == pytest.approx(first["test_f1"])


def test_init_accepts_folders_written_by_mlflow_and_export(exported: Path, tmp_path: Path) -> None:
    model = exported / "model" / "model.spacy"
    assert {spacy_model(str(folder), tmp_path) for folder in (exported, exported / "model", model)} == {str(model)}


def test_rejects_init_without_a_spacy_model(train_small: Train, tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"^init='runs:/0123456789abcdef0123456789abcdef/model': there is no such model: "
    ):
        train_small(init="runs:/0123456789abcdef0123456789abcdef/model")
    with pytest.raises(BadInput, match=r"^init='.*' can't be loaded by spaCy: .*; name a run's model"):
        train_small(init=str(tmp_path))


def test_config_language_overrides_auto(train_small: Train, tracked: mlflow.MlflowClient, tmp_path: Path) -> None:
    config = tmp_path / "mine.cfg"
    init_config(lang="de", pipeline=["ner"]).to_disk(config)

    result = train_small(config=str(config), epochs=1, limit=5)
    assert mlflow.spacy.load_model(f"runs:/{result.run_id}/model").lang == "de"
    assert tracked.get_run(result.run_id).data.tags["twinner.lang"] == "de"


def train_on(corpus: Path, **parameters: Any) -> Result:
    return spacy_train(corpus=str(corpus), epochs=1, **parameters)


def test_rejects_a_corpus_of_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "one.conll"
    file.write_text("Ulm\tB-LOC\n\n", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        train_on(file)
    assert str(caught.value) == f"{file}: 1 sentence is too few to hold out test and dev; give at least 3"


def write(file: Path, *sentences: str) -> Path:
    """Write a corpus of these sentences, in which Anna is a PER and Ulm a LOC."""
    tags = {"Anna": "B-PER", "Ulm": "B-LOC"}
    blocks = ("".join(f"{word}\t{tags.get(word, 'O')}\n" for word in sentence.split()) for sentence in sentences)
    file.write_text("\n".join(blocks), encoding="utf-8")
    return file


def test_trains_with_all_entities_in_one_sentence(tmp_path: Path) -> None:
    result = train_on(write(tmp_path / "c.conll", "Anna in Ulm", *(f"Heute regnet es {n}" for n in range(40))))
    assert result.metrics["test_f1"] == 0
    assert result.metrics["accuracy"] == 1


def test_trains_on_a_very_long_sentence(tmp_path: Path) -> None:
    result = train_on(write(tmp_path / "c.conll", "Anna geht nach Ulm und " * 1000, *["Anna in Ulm"] * 9))
    assert [epoch.number for epoch in result.epochs] == [1]


@pytest.fixture
def split_corpus(tmp_path: Path) -> Path:
    """A corpus whose splits each have a word of their own."""
    folder = tmp_path / "split"
    folder.mkdir()
    for split in ("train", "dev", "test"):
        write(folder / f"{split}.conll", *[f"Anna in Ulm {split}-xyzzy-{n}" for n in range(5)])
    return folder


@pytest.mark.parametrize("log_text", ["yes", "no"])
def test_model_keeps_only_training_vocabulary(
    log_text: str, split_corpus: Path, tracked: mlflow.MlflowClient, tmp_path: Path
) -> None:
    result = train_on(split_corpus, log_text=log_text)
    model = Path(mlflow.artifacts.download_artifacts(f"runs:/{result.run_id}/model", dst_path=str(tmp_path / "model")))
    strings = (model / "model.spacy" / "vocab" / "strings.json").read_text(encoding="utf-8")
    found = {split for split in ("train", "dev", "test") if f"{split}-xyzzy" in strings}
    assert found == {"train"}


def test_log_text_no_leaves_no_text_in_artifacts(
    split_corpus: Path, tracked: mlflow.MlflowClient, tmp_path: Path
) -> None:
    result = train_on(split_corpus, log_text="no")
    artifacts = Path(mlflow.artifacts.download_artifacts(run_id=result.run_id, dst_path=str(tmp_path / "artifacts")))
    files = [file for file in artifacts.rglob("*") if file.is_file()]
    assert "config.cfg" in {file.name for file in files}
    assert [file for file in files if b"xyzzy" in file.read_bytes()] == []


def test_trains_without_a_usable_cache(split_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = os.environ | {"TWINNER_CACHE": str(tmp_path / "file")}
    command = [sys.executable, str(STEP), f"--corpus={split_corpus}", "--epochs=2"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    [warning] = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert warning.startswith(f"warning: no checkpoints: the cache folder {tmp_path}/file/checkpoints can't be made (")
    assert warning.endswith("; the run can't be resumed")


def test_refused_run_leaves_no_checkpoint(split_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^the config 'nowhere\.cfg' is not a file"):
        train_on(split_corpus, config="nowhere.cfg")
    assert list((tmp_path / "cache" / "checkpoints").iterdir()) == []
