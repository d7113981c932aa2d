"""Configs are checked before anything is trained."""

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.cli import init_config
from twinner.errors import BadInput
from twinner.frameworks.spacy.config import OUR_CONFIG, SMALL_CONFIG, config_language, training_config
from twinner.frameworks.spacy.trainer import SpacyTrainer


def error_for(config: Path | str, **parameters: str) -> str:
    with pytest.raises(BadInput) as caught:
        config_for(str(config), **parameters)
    return str(caught.value)


def config_for(config: str = "", lang: str = "xx", **parameters: str) -> Any:
    paths = {"train": Path("train.spacy"), "dev": Path("dev.spacy")}
    return training_config({"nlp.lang": lang}, paths, config, **parameters)


def test_rejects_missing_file() -> None:
    assert error_for("nowhere.cfg").startswith("the config 'nowhere.cfg' is not a file; name a spaCy config")


def test_rejects_broken_config_and_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "broken.cfg"
    file.write_text("[nlp\nlang = ", encoding="utf-8")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(BadInput) as caught:
        SpacyTrainer("xx", 0.2, 1, 0.001, 100, 0, 0, str(file))
    assert str(caught.value).startswith(f"{file}: not a spaCy config: ")
    assert list(temporary.iterdir()) == []


def test_rejects_config_without_ner(tmp_path: Path) -> None:
    file = tmp_path / "other.cfg"
    file.write_text('[nlp]\nlang = "en"\npipeline = ["tagger"]\n\n[components]\n', encoding="utf-8")
    assert error_for(file) == f"{file}: the pipeline ['tagger'] has no ner; add the component ner to nlp.pipeline"


def test_rejects_config_that_spacy_cannot_build(tmp_path: Path) -> None:
    file = tmp_path / "unknown.cfg"
    file.write_text(OUR_CONFIG.read_text(encoding="utf-8").replace("MaxoutWindowEncoder.v2", "NoSuchEncoder.v9"))
    message = error_for(file)
    assert message.startswith(f"{file}: not a spaCy config: ")
    assert "NoSuchEncoder.v9" in message


def test_rejects_missing_vectors() -> None:
    message = error_for("", vectors="xx_no_such_package")
    assert message.startswith("vectors='xx_no_such_package' can't be loaded by spaCy: ")


def test_rejects_frozen_ner(tmp_path: Path) -> None:
    file = tmp_path / "frozen.cfg"
    file.write_text(
        OUR_CONFIG.read_text(encoding="utf-8").replace("[training]", '[training]\nfrozen_components = ["ner"]')
    )
    assert error_for(file) == f"{file}: ner is one of the frozen components ['ner']; unfreeze it"


@pytest.mark.parametrize(
    ("right", "wrong", "named"),
    [
        ("hidden_width = 64", "hidden_width = 64\nhidden_breadth = 1", "hidden_breadth"),
        ("max_epochs = 20", 'max_epochs = 20\naccumulate_gradient = "many"', "accumulate_gradient"),
        ('@optimizers = "Adam.v1"', '@optimizers = "Eve.v1"', "Eve.v1"),
        ("vectors = ${paths.vectors}", "vectors = ${paths.vectors}\ntokenizer = 1", "tokenizer"),
        ("vectors = ${paths.vectors}", "vectors = ${paths.nowhere}", "nowhere"),
        ('factory = "ner"', 'factory = "nir"', "nir"),
    ],
)
def test_rejects_in_one_line_what_debug_config_would_find(tmp_path: Path, right: str, wrong: str, named: str) -> None:
    file = tmp_path / "wrong.cfg"
    file.write_text(OUR_CONFIG.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    message = error_for(file)
    assert message.startswith(f"{file}: not a spaCy config: ")
    assert named in message
    assert "\n" not in message


def test_our_corpora_replace_a_configs_but_reader_options_stay(tmp_path: Path) -> None:
    config = init_config(lang="en", pipeline=["ner"], optimize="efficiency")
    config["corpora"]["train"] |= {"path": "elsewhere.spacy", "max_length": 30}
    config["corpora"]["dev"] = {"@readers": "spacy.JsonlCorpus.v1", "path": "elsewhere.jsonl"}
    config.to_disk(tmp_path / "mine.cfg")
    corpora = config_for(str(tmp_path / "mine.cfg")).interpolate()["corpora"]
    assert (corpora["train"]["path"], corpora["train"]["max_length"]) == ("train.spacy", 30)
    assert (corpora["dev"]["@readers"], corpora["dev"]["path"]) == ("spacy.Corpus.v1", "dev.spacy")


def test_vectors_parameter_overrides_a_configs_vectors(tmp_path: Path) -> None:
    spacy.blank("xx").to_disk(tmp_path / "own")
    file = tmp_path / "mine.cfg"
    own = str(tmp_path / "own")
    file.write_text(
        OUR_CONFIG.read_text(encoding="utf-8").replace("vectors = null", f'vectors = "{own}"'), encoding="utf-8"
    )
    assert config_for(str(file)).interpolate()["initialize"]["vectors"] == own
    spacy.blank("xx").to_disk(tmp_path / "others")
    others = str(tmp_path / "others")
    assert config_for(str(file), vectors=others).interpolate()["initialize"]["vectors"] == others


def test_config_language_a_config_or_auto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    init_config(lang="de", pipeline=["ner"]).to_disk(tmp_path / "mine.cfg")
    assert config_language(str(tmp_path / "mine.cfg")) == "de"
    (tmp_path / "none.cfg").write_text("[nlp\n", encoding="utf-8")
    assert config_language(str(tmp_path / "none.cfg")) == "auto"
    assert config_language("nowhere.cfg") == "auto"
    monkeypatch.chdir(tmp_path)
    init_config(lang="de", pipeline=["ner"]).to_disk("small")
    assert (config_language("small"), config_language("./small")) == ("auto", "de")


def test_warns_about_vectors_of_another_language(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    nlp = spacy.blank("de")
    nlp.vocab.set_vector("Ulm", np.array([1, 2, 3], dtype="float32"))
    nlp.to_disk(tmp_path / "vectors")
    config_for(lang="de", vectors=str(tmp_path / "vectors"))
    assert [str(warning.message) for warning in recwarn if "vectors" in str(warning.message)] == []
    config_for(lang="en", vectors=str(tmp_path / "vectors"))
    [message] = [str(warning.message) for warning in recwarn if "vectors" in str(warning.message)]
    folder = str(tmp_path / "vectors")
    assert message == (f"the vectors {folder!r} have the language 'de', the corpus has 'en'; set lang if that is wrong")


def test_rejects_init_that_is_not_a_model(tmp_path: Path) -> None:
    assert error_for("", init=str(tmp_path)).startswith(f"init={str(tmp_path)!r} can't be loaded by spaCy: ")
    assert error_for("", init="nowhere").endswith("name a run's model (runs:/ID/model) or a folder with a spaCy model")


def test_rejects_init_model_without_ner(tmp_path: Path) -> None:
    spacy.blank("de").to_disk(tmp_path)
    assert "the pipeline [] has no ner" in error_for("", init=str(tmp_path))


def test_rejects_init_together_with_config_or_vectors() -> None:
    for name, value in (("config", "my.cfg"), ("vectors", "en_md")):
        expected = f"{name} and init are both given; leave {name} empty: init brings its own"
        assert error_for(**{"config": "", name: value}, init="x") == expected


def test_small_is_a_config_of_the_step() -> None:
    small = config_for("small")
    assert small["components"]["tok2vec"]["model"]["encode"]["width"] == 96
    assert small["training"]["optimizer"]["learn_rate"] == 0.001
    assert config_for(str(SMALL_CONFIG)) == small


def test_says_that_a_file_named_small_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = config_for("small")
    file = Path("small")
    file.write_text(OUR_CONFIG.read_text(encoding="utf-8").replace("hidden_width = 64", "hidden_width = 17"))
    expected = f"config=small is spacy_train's own small config, not the file 'small' in {tmp_path}; write ./small for"
    with pytest.warns(UserWarning, match=re.escape(expected)):
        assert config_for("small") == small
    assert config_for("./small")["components"]["ner"]["model"]["hidden_width"] == 17


@pytest.mark.parametrize("config", ["", "small"])
def test_vectors_are_part_of_the_embeddings_of_both_configs(config: str, tmp_path: Path) -> None:
    nlp = spacy.blank("xx")
    nlp.vocab.set_vector("Ulm", np.array([1, 2, 3], dtype="float32"))
    nlp.to_disk(tmp_path / "vectors")
    embed = config_for(config, vectors=str(tmp_path / "vectors"))["components"]["tok2vec"]["model"]["embed"]
    assert embed["include_static_vectors"] is True


def test_parameters_keep_the_schedules_of_a_config(tmp_path: Path) -> None:
    config = init_config(lang="xx", pipeline=["ner"])
    decay = {"@schedules": "warmup_linear.v1", "warmup_steps": 3, "total_steps": 9, "initial_rate": 0.5}
    config["training"]["optimizer"]["learn_rate"] = decay
    growth = {"@schedules": "compounding.v1", "start": 5, "stop": 6, "compound": 1.5}
    config["training"]["batcher"]["size"] = growth
    config.to_disk(tmp_path / "mine.cfg")
    paths = {"train": Path("train.spacy"), "dev": Path("dev.spacy")}
    sizes = {"@schedules": "compounding.v1", "start": 100, "stop": 700, "compound": 1.001}
    overrides = {"training.optimizer.learn_rate": 0.002, "training.batcher.size": sizes}
    training = training_config(overrides, paths, str(tmp_path / "mine.cfg"))["training"]
    assert training["optimizer"]["learn_rate"] == decay | {"initial_rate": 0.002}
    assert training["batcher"]["size"] == sizes | {"compound": 1.5}
