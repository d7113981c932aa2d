"""The spaCy config to train: ours, a user's, or an earlier model's, with the step's parameters filled in."""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path

import spacy
from spacy.language import DEFAULT_CONFIG, Language
from spacy.schemas import ConfigSchemaInit, ConfigSchemaTraining
from spacy.util import load_config, load_model_from_config, registry, resolve_dot_names
from thinc.api import Config

from twinner.errors import BadInput
from twinner.frameworks.spacy.encoder import WITH_ENCODER
from twinner.frameworks.spacy.rare_words import SECTION, SETTING
from twinner.frameworks.spacy.vectors import vectors_folder

OUR_CONFIG = Path(__file__).with_name("default.cfg")
SMALL_CONFIG = Path(__file__).with_name("small.cfg")  # `config=small`
SMALL = "small"
LINEAR_DECAY = "warmup_linear.v1"  # a schedule of learning rates
GROWTH = "compounding.v1"  # a schedule of batch sizes
READER = "spacy.Corpus.v1"


def training_config(
    overrides: Mapping[str, object],
    paths: Mapping[str, Path],
    config: str = "",
    vectors: str = "",
    init: str = "",
    embeddings: str = "",
) -> Config:
    """Return the complete config to train, after the checks of `spacy debug config`.

    overrides: values by dotted name, such as `training.dropout`; that of the learning rate is the peak of a schedule
    `warmup_linear.v1`, and batch sizes of a schedule `compounding.v1` keep its growth. paths: where the corpora `train`
    and `dev` will be. config: `small` or a user's file, used instead of our default. vectors: `en_md`, a package or a
    folder. init: a folder with a spaCy model, whose pipeline is trained further. embeddings: an encoder's name, for our
    configs or one with the same layers.
    Raises BadInput for a config that spaCy can't build or that trains no NER, for vectors or a model that can't be had,
    and for init together with what it brings itself. Warns about vectors of another language, and about a file `small`
    that is not used.
    """
    if init and (given := "config" if config else "vectors" if vectors else "embeddings" if embeddings else ""):
        raise BadInput(f"{given} and init are both given", f"leave {given} empty: init brings its own")
    source = (
        _load_model(init, "init", "name a run's model (runs:/ID/model) or a folder with a spaCy model")
        if init
        else None
    )
    file = Path(init, "config.cfg") if init else _config_file(config)
    if not file.is_file():
        raise BadInput(
            f"the config {str(file)!r} is not a file", "name a spaCy config, as `spacy init config` writes it"
        )
    try:
        # Fill in spaCy's defaults, like `spacy init fill-config`.
        filled = Config(DEFAULT_CONFIG).merge(load_config(file))
        for name, value in overrides.items():
            _set_value(filled, name, value)
        _use_our_corpora(filled, paths)
        if vectors:
            folder = vectors_folder(vectors)
            filled["paths"]["vectors"] = filled["initialize"]["vectors"] = folder
            _check_vectors(vectors, folder, filled["nlp"]["lang"])
            if file in (OUR_CONFIG, SMALL_CONFIG):
                _set_value(filled, "components.tok2vec.model.embed.include_static_vectors", True)
        if embeddings:
            _add_encoder(filled, embeddings, file)
        if source is not None:
            _use_components_of(source, init, filled)
        names = filled["nlp"]["pipeline"]
        frozen = filled["training"]["frozen_components"]
        if "ner" in names and "ner" not in frozen:
            _check_buildable(filled)
    except BadInput:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise BadInput(f"not a spaCy config: {reason}", "write one with `spacy init config`", file) from None
    hidden = filled.get(SECTION, {}).get(SETTING, 0)
    if not (isinstance(hidden, int | float) and 0 <= hidden < math.inf):
        raise BadInput(f"{SECTION}.{SETTING} is {hidden!r}", "set it to a number from 0, which hides no words", file)
    if "ner" not in names:
        raise BadInput(f"the pipeline {names} has no ner", "add the component ner to nlp.pipeline", file)
    if "ner" in frozen:
        raise BadInput(f"ner is one of the frozen components {frozen}", "unfreeze it", file)
    return filled


def config_language(config: str) -> str:
    """Return the language of a user's config, such as `de`; `auto` if it can't be read (`training_config` says why)."""
    if config == SMALL:  # a config of ours has the language of the corpus
        return "auto"
    try:
        return str(load_config(config).interpolate()["nlp"]["lang"])
    except Exception:
        return "auto"


def _config_file(config: str) -> Path:
    if config != SMALL:
        return Path(config) if config else OUR_CONFIG
    if Path(config).exists():
        problem = f"config={SMALL} is spacy_train's own small config, not the file {SMALL!r} in {Path.cwd()}"
        warnings.warn(f"{problem}; write ./{SMALL} for the file", UserWarning, stacklevel=3)
    return SMALL_CONFIG


def _set_value(config: Config, dotted_name: str, value: object) -> None:
    section = config
    *sections, name = dotted_name.split(".")
    for part in sections:
        section = section.setdefault(part, {})
    schedule = old.get("@schedules") if isinstance(old := section.get(name), dict) else None
    if schedule == LINEAR_DECAY:
        section, name = old, "initial_rate"
    elif schedule == GROWTH and isinstance(value, dict):
        value = value | {"compound": old["compound"]}
    section[name] = value


def _use_our_corpora(config: Config, paths: Mapping[str, Path]) -> None:
    """Make the config read our corpora; other options of spaCy's own reader stay as they are."""
    for split, path in paths.items():
        _set_value(config, f"paths.{split}", str(path))
        reader = config["corpora"].get(split, {})
        options = reader if reader.get("@readers") == READER else DEFAULT_CONFIG["corpora"][split]
        config["corpora"][split] = options | {"path": f"${{paths.{split}}}"}
        config["training"][f"{split}_corpus"] = f"corpora.{split}"


def _add_encoder(config: Config, encoder: str, file: Path) -> None:
    """Mix an encoder's vectors into what the layer `embed` of the component tok2vec gives."""
    model = config.get("components", {}).get("tok2vec", {}).get("model", {})
    if not {"embed", "encode"} <= model.keys() or "width" not in model["encode"]:
        raise BadInput(
            "embeddings needs a component tok2vec with the layers embed and encode",
            f"leave embeddings empty, and name {WITH_ENCODER} where the config embeds words",
            file,
        )
    width = "${components.tok2vec.model.encode.width}"
    model["embed"] = {"@architectures": WITH_ENCODER, "encoder": encoder, "width": width, "embed": model["embed"]}


def _use_components_of(source: Language, folder: str, config: Config) -> None:
    """Source every component from a model, with its weights, and its vectors if it has any."""
    config["components"] = {name: {"source": folder} for name in source.pipe_names}
    if config["nlp"]["lang"] == "xx":  # the corpus does not say its language
        config["nlp"]["lang"] = source.lang
    config["nlp"]["pipeline"] = list(source.pipe_names)
    config["paths"]["vectors"] = folder if source.vocab.vectors_length else None
    config["initialize"] |= {"vectors": config["paths"]["vectors"], "init_tok2vec": None, "components": {}}


def _check_buildable(config: Config) -> None:
    """Build everything that the config names, like `spacy debug config`, so that errors come before the training."""
    load_model_from_config(config, auto_fill=True)
    interpolated = config.interpolate()
    registry.resolve(interpolated["initialize"], schema=ConfigSchemaInit)
    training = registry.resolve(interpolated["training"], schema=ConfigSchemaTraining)
    resolve_dot_names(interpolated, [training["train_corpus"], training["dev_corpus"]])


def _check_vectors(name: str, folder: str, lang: str) -> None:
    other = _load_model(folder, "vectors", "use en_md, install the package or name a folder").lang
    if other != lang:
        warnings.warn(
            f"the vectors {name!r} have the language {other!r}, the corpus has {lang!r}; set lang if that is wrong",
            UserWarning,
            stacklevel=3,
        )


def _load_model(name: str, parameter: str, remedy: str) -> Language:
    try:
        return spacy.load(name)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{parameter}={name!r} can't be loaded by spaCy: {reason}", remedy) from None
