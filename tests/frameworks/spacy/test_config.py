"""What a config may be, checked before anything is trained."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.cli import init_config
from twinner.errors import BadInput
from twinner.frameworks.spacy.config import OURS, language_of, training_config
from twinner.frameworks.spacy.trainer import SpacyTrainer


def refuse(config: Path | str, **parameters: str) -> str:
    with pytest.raises(BadInput) as caught:
        made(str(config), **parameters)
    return str(caught.value)


def made(config: str = "", lang: str = "xx", **parameters: str) -> Any:
    paths = {"train": Path("train.spacy"), "dev": Path("dev.spacy")}
    return training_config({"nlp.lang": lang}, paths, config, **parameters)


def test_a_config_that_is_no_file_is_refused() -> None:
    assert refuse("nowhere.cfg").startswith("the config 'nowhere.cfg' is no file; name a spaCy config")


def test_a_broken_config_is_refused_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "broken.cfg"
    file.write_text("[nlp\nlang = ", encoding="utf-8")
    own = tmp_path / "temporary"
    own.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    with pytest.raises(BadInput) as caught:
        SpacyTrainer("xx", 0.2, 1, 0.001, 100, 0, 0, str(file))
    assert str(caught.value).startswith(f"{file}: not a spaCy config: ")
    assert list(own.iterdir()) == []


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
    told = refuse("", vectors="xx_no_such_package")
    assert told.startswith("vectors='xx_no_such_package' can't be loaded by spaCy: ")


def test_a_config_whose_ner_is_frozen_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "frozen.cfg"
    file.write_text(OURS.read_text(encoding="utf-8").replace("[training]", '[training]\nfrozen_components = ["ner"]'))
    assert refuse(file) == f"{file}: ner is among the frozen components ['ner']; take it out of them"


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
def test_what_debug_config_would_find_is_refused_in_one_line(
    tmp_path: Path, right: str, wrong: str, named: str
) -> None:
    file = tmp_path / "wrong.cfg"
    file.write_text(OURS.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    told = refuse(file)
    assert told.startswith(f"{file}: not a spaCy config: ")
    assert named in told
    assert "\n" not in told


def test_our_corpora_take_the_place_of_a_configs_but_how_they_are_read_stays(tmp_path: Path) -> None:
    config = init_config(lang="en", pipeline=["ner"], optimize="efficiency")
    config["corpora"]["train"] |= {"path": "elsewhere.spacy", "max_length": 30}
    config["corpora"]["dev"] = {"@readers": "spacy.JsonlCorpus.v1", "path": "elsewhere.jsonl"}
    config.to_disk(tmp_path / "mine.cfg")
    corpora = made(str(tmp_path / "mine.cfg")).interpolate()["corpora"]
    assert (corpora["train"]["path"], corpora["train"]["max_length"]) == ("train.spacy", 30)
    assert (corpora["dev"]["@readers"], corpora["dev"]["path"]) == ("spacy.Corpus.v1", "dev.spacy")


def test_vectors_of_a_config_stay_unless_others_are_given(tmp_path: Path) -> None:
    spacy.blank("xx").to_disk(tmp_path / "own")
    file = tmp_path / "mine.cfg"
    own = str(tmp_path / "own")
    file.write_text(OURS.read_text(encoding="utf-8").replace("vectors = null", f'vectors = "{own}"'), encoding="utf-8")
    assert made(str(file)).interpolate()["initialize"]["vectors"] == own
    spacy.blank("xx").to_disk(tmp_path / "others")
    others = str(tmp_path / "others")
    assert made(str(file), vectors=others).interpolate()["initialize"]["vectors"] == others


def test_the_language_of_a_config_is_found_and_auto_if_there_is_none(tmp_path: Path) -> None:
    init_config(lang="de", pipeline=["ner"]).to_disk(tmp_path / "mine.cfg")
    assert language_of(str(tmp_path / "mine.cfg")) == "de"
    (tmp_path / "none.cfg").write_text("[nlp\n", encoding="utf-8")
    assert language_of(str(tmp_path / "none.cfg")) == "auto"
    assert language_of("nowhere.cfg") == "auto"


def test_vectors_of_another_language_are_warned_of(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    nlp = spacy.blank("de")
    nlp.vocab.set_vector("Ulm", np.array([1, 2, 3], dtype="float32"))
    nlp.to_disk(tmp_path / "vectors")
    made(lang="de", vectors=str(tmp_path / "vectors"))
    assert [str(told.message) for told in recwarn if "vectors" in str(told.message)] == []
    made(lang="en", vectors=str(tmp_path / "vectors"))
    [told] = [str(told.message) for told in recwarn if "vectors" in str(told.message)]
    folder = str(tmp_path / "vectors")
    assert told == (
        f"the vectors {folder!r} are of the language 'de', the corpus is read as 'en'; say lang if that is wrong"
    )


def test_a_model_to_start_from_that_is_none_is_refused(tmp_path: Path) -> None:
    assert refuse("", init=str(tmp_path)).startswith(f"init={str(tmp_path)!r} can't be loaded by spaCy: ")
    assert refuse("", init="nowhere").endswith("name a run's model (runs:/ID/model) or a folder with a spaCy model")


def test_a_model_to_start_from_without_ner_is_refused(tmp_path: Path) -> None:
    spacy.blank("de").to_disk(tmp_path)
    assert "the pipeline [] has no ner" in refuse("", init=str(tmp_path))


def test_a_model_to_start_from_brings_its_own_config_and_vectors() -> None:
    assert refuse("my.cfg", init="x") == "config and init are both given; leave config empty: init brings its own"
    assert (
        refuse("", vectors="v", init="x") == "vectors and init are both given; leave vectors empty: init brings its own"
    )
