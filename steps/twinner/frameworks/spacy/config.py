"""The spaCy config that is trained: ours, a user's, or an earlier model's, with the step's parameters filled in."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import spacy
from spacy.language import DEFAULT_CONFIG, Language
from spacy.schemas import ConfigSchemaInit, ConfigSchemaTraining
from spacy.util import load_config, load_model_from_config, registry, resolve_dot_names
from thinc.api import Config

from twinner.errors import BadInput

OURS = Path(__file__).with_name("default.cfg")
READER = "spacy.Corpus.v1"


def training_config(
    overrides: Mapping[str, object], paths: Mapping[str, Path], config: str = "", vectors: str = "", init: str = ""
) -> Config:
    """The config to train, whole but for spaCy's own defaults, and checked like `spacy debug config` does.

    overrides: values by their place, such as `training.dropout`. paths: where the corpora `train` and `dev` will be.
    config: a user's file that takes the place of ours. vectors: a package or folder. init: a folder with a spaCy
    model; its pipeline is trained on.
    Errors: BadInput for a config that is none or trains no NER, for vectors or a model that can't be loaded, and for
    two of the three together that exclude each other. Warns of vectors of another language.
    """
    if init and (config or vectors):
        given = "config" if config else "vectors"
        raise BadInput(f"{given} and init are both given", f"leave {given} empty: init brings its own")
    source = _load(init, "init", "name a run's model (runs:/ID/model) or a folder with a spaCy model") if init else None
    file = Path(init, "config.cfg") if init else Path(config) if config else OURS
    if not file.is_file():
        raise BadInput(f"the config {str(file)!r} is no file", "name a spaCy config, as `spacy init config` writes it")
    try:
        # A user's config may leave out what has a default, as `spacy init fill-config` would fill it in.
        filled = Config(DEFAULT_CONFIG).merge(load_config(file))
        for place, value in overrides.items():
            _set(filled, place, value)
        _read_from(filled, paths)
        if vectors:
            filled["paths"]["vectors"] = filled["initialize"]["vectors"] = _vectors(vectors, filled["nlp"]["lang"])
            if file == OURS:
                _set(filled, "components.tok2vec.model.embed.include_static_vectors", True)
        if source is not None:
            _start_from(filled, source, init)
        names = filled["nlp"]["pipeline"]
        frozen = filled["training"]["frozen_components"]
        if "ner" in names and "ner" not in frozen:
            _check(filled)
    except BadInput:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise BadInput(f"not a spaCy config: {reason}", "write one with `spacy init config`", file) from None
    if "ner" not in names:
        raise BadInput(f"the pipeline {names} has no ner", "add the component ner to nlp.pipeline", file)
    if "ner" in frozen:
        raise BadInput(f"ner is among the frozen components {frozen}", "take it out of them", file)
    return filled


def language_of(config: str) -> str:
    """The language of a spaCy config, such as `de`; `auto` where it can't be read, for `training_config` to refuse."""
    try:
        return str(load_config(config).interpolate()["nlp"]["lang"])
    except Exception:
        return "auto"


def _set(config: Config, place: str, value: object) -> None:
    section = config
    *path, name = place.split(".")
    for part in path:
        section = section.setdefault(part, {})
    section[name] = value


def _read_from(config: Config, paths: Mapping[str, Path]) -> None:
    """Let the config read our corpora, whatever it read; what else a reader of spaCy's kind was told stays."""
    for split, path in paths.items():
        _set(config, f"paths.{split}", str(path))
        reader = config["corpora"].get(split, {})
        kept = reader if reader.get("@readers") == READER else DEFAULT_CONFIG["corpora"][split]
        config["corpora"][split] = kept | {"path": f"${{paths.{split}}}"}
        config["training"][f"{split}_corpus"] = f"corpora.{split}"


def _start_from(config: Config, source: Language, folder: str) -> None:
    """Take every component from a model, with its weights, and its vectors if it has any."""
    config["components"] = {name: {"source": folder} for name in source.pipe_names}
    if config["nlp"]["lang"] == "xx":  # the corpus says nothing of its language
        config["nlp"]["lang"] = source.lang
    config["nlp"]["pipeline"] = list(source.pipe_names)
    config["paths"]["vectors"] = folder if source.vocab.vectors_length else None
    config["initialize"] |= {"vectors": config["paths"]["vectors"], "init_tok2vec": None, "components": {}}


def _check(config: Config) -> None:
    """Build what the config names, to meet what it lacks before any training; as `spacy debug config` does."""
    load_model_from_config(config, auto_fill=True)
    whole = config.interpolate()
    registry.resolve(whole["initialize"], schema=ConfigSchemaInit)
    training = registry.resolve(whole["training"], schema=ConfigSchemaTraining)
    resolve_dot_names(whole, [training["train_corpus"], training["dev_corpus"]])


def _vectors(name: str, lang: str) -> str:
    other = _load(name, "vectors", "install the package or name a folder").lang
    if other != lang:
        warnings.warn(
            f"the vectors {name!r} are of the language {other!r}, the corpus is read as {lang!r};"
            " say lang if that is wrong",
            UserWarning,
            stacklevel=3,
        )
    return name


def _load(name: str, parameter: str, advice: str) -> Language:
    try:
        return spacy.load(name)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{parameter}={name!r} can't be loaded by spaCy: {reason}", advice) from None
