import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.cli import init_config
from spacy.util import load_config, registry
from twinner.corpus import Corpus, Sentence
from twinner.errors import BadInput
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy.config import SMALL_CONFIG
from twinner.frameworks.spacy.trainer import SpacyTrainer

from .conftest import changed_config, curves, ignore, train, trainer_with

pytestmark = pytest.mark.usefixtures("temporary")
STEPS = Path(__file__).resolve().parents[3] / "steps"


def test_seed_determines_the_training(corpus: Corpus) -> None:
    first, again, other = train(corpus), train(corpus), train(corpus, seed=1)
    assert curves(first[1]) == curves(again[1])
    assert first[2] == again[2]
    assert [epoch.loss for epoch in other[1]] != [epoch.loss for epoch in first[1]]


def test_drop_rate_is_the_share_dropped(corpus: Corpus) -> None:
    low, high = (
        max(epoch.scores["dev_f1"] for epoch in train(corpus, size=110, epochs=3, drop_rate=rate)[1])
        for rate in (0.05, 0.95)
    )
    assert low > high + 0.2


def test_patience_stops_without_a_better_score(corpus: Corpus) -> None:
    # With a learning rate near 0 nothing changes, so the first epoch stays the best.
    best, epochs, _ = train(corpus, size=5, epochs=10, lr=1e-12, patience=2)
    assert (best, [epoch.number for epoch in epochs]) == (1, [1, 2, 3])
    _, epochs, _ = train(corpus, size=5, epochs=5, lr=1e-12, patience=0)
    assert len(epochs) == 5


def test_keeps_the_model_of_the_best_epoch(corpus: Corpus) -> None:
    best, epochs, predicted = train(corpus, epochs=4, lr=0.02)
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


def test_parameters_override_a_users_config(corpus: Corpus, tmp_path: Path) -> None:
    config = init_config(lang="en", pipeline=["ner"], optimize="efficiency")
    config["components"]["ner"]["model"]["hidden_width"] = 17
    config["training"]["dropout"] = 0.77
    config["training"]["max_epochs"] = 99
    config.to_disk(tmp_path / "mine.cfg")
    with closing(SpacyTrainer("de", 0.3, 1, 0.004, 50, 0, 5, str(tmp_path / "mine.cfg"))) as trainer:
        trainer.train(corpus.train[:10], corpus.dev, ignore)
        trainer.save(tmp_path)
        trainer.load(tmp_path)
        nlp = trainer.pipeline()
    assert nlp.lang == "de"
    used = nlp.config
    assert used["components"]["ner"]["model"]["hidden_width"] == 17
    training = used["training"]
    assert (training["dropout"], training["max_epochs"], training["optimizer"]["learn_rate"]) == (0.3, 1, 0.004)
    assert (training["batcher"]["size"]["start"], training["batcher"]["size"]["stop"]) == (50, 50)
    assert used["system"]["seed"] == 5
    assert (tmp_path / "config.cfg").read_text().startswith("[paths]")


def test_model_uses_the_vectors(corpus: Corpus, tmp_path: Path) -> None:
    nlp = spacy.blank("xx")
    nlp.vocab.set_vector("Ulm", np.array([1, 2, 3], dtype="float32"))
    nlp.to_disk(tmp_path / "vectors")
    with trainer_with(vectors=str(tmp_path / "vectors"), epochs=1) as trainer:
        trainer.train(corpus.train[:5], corpus.dev, ignore)
        trainer.save(tmp_path)
        trainer.load(tmp_path)
        assert trainer.pipeline().vocab.get_vector("Ulm").tolist() == [1.0, 2.0, 3.0]
        layers = {layer.name for layer in trainer.pipeline().get_pipe("tok2vec").model.walk()}
        assert "static_vectors" in layers


def test_load_detects_a_model_that_predicts_otherwise(corpus: Corpus, tmp_path: Path) -> None:
    with trainer_with(lr=0.01) as trainer:
        trainer.train(corpus.train[:60], corpus.dev, ignore)
        trainer.save(tmp_path)
        layers = trainer.pipeline().get_pipe("ner").model.walk()
        for layer in (layer for layer in layers if layer.has_param("W") is True):
            layer.set_param("W", layer.get_param("W") * 0)
        with pytest.raises(RuntimeError, match="saved"):
            trainer.load(tmp_path)


TRAIN = """
import sys
from pathlib import Path
from twinner.corpus import read_corpus
from twinner.frameworks.spacy.trainer import SpacyTrainer
corpus = read_corpus(sys.argv[1])
for seed, size in [(9, 30), (3, 60)] if sys.argv[3] == "twice" else [(3, 60)]:
    trainer = SpacyTrainer("xx", 0.2, 2, 0.005, 100, 0, seed)
    trainer.train(corpus.train[:size], corpus.dev, lambda epoch: None)
    trainer.save(Path(sys.argv[2]))
    trainer.load(Path(sys.argv[2]))
    trainer.predict(corpus.test)
    trainer.pipeline().to_disk(Path(sys.argv[2], "model"))
    trainer.close()
"""


def test_model_bytes_depend_on_nothing_else_in_the_process(small_corpus: Path, tmp_path: Path) -> None:
    processes = []
    for name, hash_seed, trainings in (("a", "1", "once"), ("b", "2", "once"), ("c", "1", "twice")):
        (tmp_path / name).mkdir()
        environment = os.environ | {"PYTHONPATH": str(STEPS), "PYTHONHASHSEED": hash_seed, "TMPDIR": str(tmp_path)}
        command = [sys.executable, "-c", TRAIN, str(small_corpus), str(tmp_path / name), trainings]
        processes.append(subprocess.Popen(command, env=environment))
    assert [process.wait(timeout=300) for process in processes] == [0, 0, 0]
    first, second, after_another = (files_in(tmp_path / name / "model") for name in ("a", "b", "c"))
    assert {"ner/model", "tok2vec/model", "config.cfg", "vocab/strings.json"} <= first.keys()
    assert first == second == after_another


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_updates_equal_spacys_own(corpus: Corpus, tmp_path: Path) -> None:
    # Annotating components are updated by nlp.update; the tensor that tok2vec sets does not affect the NER.
    annotating = '[training]\nannotating_components = ["tok2vec"]'
    config = changed_config(tmp_path / "annotating.cfg", "[training]", annotating)
    assert curves(train(corpus)[1]) == curves(train(corpus, config=config)[1])


@registry.callbacks("tests.learning_rates.v1")
def record_learning_rates(file: str) -> Callable[[Any, dict[str, int]], None]:
    def record(nlp: Any, step: dict[str, int]) -> None:
        rate = nlp.config["training"]["optimizer"]["learn_rate"]
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(f"{step['step']} {rate['total_steps']} {rate['initial_rate']}\n")

    return record


@pytest.mark.parametrize("epochs", [1, 3])
def test_learning_rate_reaches_zero_with_the_last_update(epochs: int, corpus: Corpus, tmp_path: Path) -> None:
    config = load_config(SMALL_CONFIG)
    decay = {"@schedules": "warmup_linear.v1", "warmup_steps": 0, "total_steps": 1, "initial_rate": 1.0}
    config["training"]["optimizer"]["learn_rate"] = decay
    config["training"]["before_update"] = {"@callbacks": "tests.learning_rates.v1", "file": str(tmp_path / "rates")}
    config.to_disk(tmp_path / "decaying.cfg")
    train(corpus, size=110, epochs=epochs, lr=0.003, config=str(tmp_path / "decaying.cfg"))
    updates = [line.split() for line in (tmp_path / "rates").read_text(encoding="utf-8").splitlines()]
    assert len(updates) > 3
    assert updates == [[str(step), str(len(updates)), "0.003"] for step in range(len(updates))]


def test_init_continues_training(corpus: Corpus, tmp_path: Path) -> None:
    epochs: list[Epoch] = []
    with trainer_with(epochs=3, lr=0.01) as trainer:
        best = trainer.train(corpus.train, corpus.dev, epochs.append)
        trainer.save(tmp_path)
        trainer.load(tmp_path)
        trainer.pipeline().to_disk(tmp_path / "model")
    # With a learning rate near 0 the model stays as it was; after few updates, the averages are still too small.
    _, [continued], _ = train(corpus, size=len(corpus.train), epochs=1, lr=1e-12, init=str(tmp_path / "model"))
    _, [untrained], _ = train(corpus, size=20, epochs=1, lr=1e-12)
    assert continued.scores["dev_f1"] == pytest.approx(epochs[best - 1].scores["dev_f1"])
    assert continued.scores["dev_f1"] > 0.5 > untrained.scores["dev_f1"]

    unknown = tuple(Sentence.from_tokens(["Ulm", "ruht"], ["B-ORG", "O"]) for _ in range(3))
    with trainer_with(init=str(tmp_path / "model")) as trainer, pytest.raises(BadInput) as caught:
        trainer.train(unknown, corpus.dev, ignore)
    assert str(caught.value) == (
        "the corpus has the labels ORG, unknown to the `init` model; use a corpus with its labels (LOC, PER), or train"
        " without init"
    )


@pytest.mark.parametrize("config", ["", "small"])
def test_spacy_trains_the_logged_config_on_the_logged_data(config: str, corpus: Corpus, tmp_path: Path) -> None:
    epochs: list[Epoch] = []
    with trainer_with(epochs=6, lr=0.01, patience=5, config=config) as trainer:
        best = trainer.train(corpus.train, corpus.dev, epochs.append)
        trainer.save(tmp_path)
    command = [sys.executable, "-m", "spacy", "train", "config.cfg", "--output", "out"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    theirs = json.loads((tmp_path / "out" / "model-best" / "meta.json").read_text(encoding="utf-8"))
    assert theirs["performance"]["ents_f"] == pytest.approx(epochs[best - 1].scores["dev_f1"], abs=0.05)
    assert theirs["performance"]["ents_f"] > 0.9


def test_log_text_no_writes_no_corpus(corpus: Corpus, tmp_path: Path) -> None:
    with trainer_with(epochs=1, log_text=False) as trainer:
        trainer.train(corpus.train[:5], corpus.dev, ignore)
        trainer.save(tmp_path)
    assert [file.name for file in tmp_path.iterdir() if file.name != "temporary"] == ["config.cfg"]


@pytest.mark.parametrize("log_text", [True, False])
def test_model_keeps_no_strings_of_dev_and_test(log_text: bool, corpus: Corpus, tmp_path: Path) -> None:
    dev = (*corpus.dev, Sentence.from_tokens(["Quäwort", "in", "Ölbröxz"], ["B-PER", "O", "B-LOC"]))
    test = (Sentence.from_tokens(["Zyxkowski,", "§7b"], ["B-PER", "O"]),)

    def strings_after(dev: Sequence[Sentence], test: Sequence[Sentence]) -> set[str]:
        with trainer_with(log_text=log_text) as trainer:
            trainer.train(corpus.train[:10], dev, ignore)
            trainer.save(tmp_path)
            trainer.load(tmp_path)
            trainer.predict(test)
            trainer.tokens([sentence.text for sentence in test])
            trainer.pipeline().to_disk(tmp_path / "model")
        return set(json.loads((tmp_path / "model" / "vocab" / "strings.json").read_text(encoding="utf-8")))

    strings = strings_after(dev, test)
    assert "Frida" in strings
    assert strings == strings_after(corpus.train[:10], corpus.train[:10])
