"""Token vectors of a pretrained encoder as input of a spaCy pipeline, beside spaCy's own features.

A config names the layer by its architecture:

    [components.tok2vec.model.embed]
    @architectures = "twinner.WithEncoder.v1"
    encoder = "minilm"
    width = 96

    [components.tok2vec.model.embed.embed]
    @architectures = "spacy.MultiHashEmbed.v2"
    ...

The encoder is frozen. A saved pipeline carries its files, so it needs neither the cache nor the network.
"""

import importlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Maxout, Model, chain, concatenate, with_array
from thinc.types import Floats2d

from twinner.encoders.export import digest_of_files
from twinner.encoders.run import ARCHITECTURES, Encoder, Vectors

WITH_ENCODER = "twinner.WithEncoder.v1"
LAYER = "encoder_vectors"  # the name of the layer that runs the encoder

Tokens = tuple[str, ...]

# By the digest of its files: the encoder of every pipeline in this process, and vectors that need not be computed.
_encoders: dict[str, Encoder] = {}
_known: dict[str, Mapping[Tokens, Vectors]] = {}


@registry.architectures(WITH_ENCODER)
def with_encoder(embed: Model[list[Doc], list[Floats2d]], encoder: str, width: int) -> Model[list[Doc], list[Floats2d]]:
    """Mix the output of an embedding layer with an encoder's vectors.

    embed: from n documents to n arrays (tokens, its width). encoder: a name as `embeddings` of `spacy_train` takes it;
    it is read when the pipeline is initialized. width: of the output.
    """
    mix: Model = Maxout(nO=width, nP=3, dropout=0.0, normalize=True)
    both = concatenate(embed, encoder_vectors(encoder))
    layer: Model[list[Doc], list[Floats2d]] = chain(both, with_array(mix))
    layer.set_dim("nO", width)
    return layer


def encoder_vectors(encoder: str) -> Model[list[Doc], list[Floats2d]]:
    """Return the layer from n documents to n arrays (tokens, dimension) of an encoder's vectors."""
    # thinc saves attributes with a model, and gives them back on loading.
    return Model(
        LAYER,
        _forward,
        init=_initialize,
        dims={"nO": None},
        attrs={"encoder": encoder, "files": {}, "digest": ""},
    )


def load_encoder(folder: Path) -> Encoder:
    """Load the encoder of an export, once in this process. Errors: BadInput if it can't be read."""
    digest = digest_of_files(folder)
    if digest not in _encoders:
        _encoders[digest] = Encoder(folder)
    return _encoders[digest]


def encoder_of(nlp: Language) -> Encoder | None:
    """Return the encoder of a pipeline, if it has one."""
    return next((_encoder(layer) for layer in _layers(nlp)), None)


@contextmanager
def known_vectors(nlp: Language, vectors: Mapping[Tokens, Vectors]) -> Iterator[None]:
    """Within the block, take the vectors of these sentences from here instead of computing them."""
    digests = [layer.attrs["digest"] for layer in _layers(nlp)]
    _known.update(dict.fromkeys(digests, vectors))
    try:
        yield
    finally:
        for digest in digests:
            _known.pop(digest, None)


def _layers(nlp: Language) -> Iterator[Model]:
    for _, pipe in nlp.pipeline:
        if isinstance(model := getattr(pipe, "model", None), Model):
            yield from (layer for layer in model.walk() if layer.name == LAYER)


def _initialize(model: Model, X: Any = None, Y: Any = None) -> None:
    """Read the encoder's files, unless the layer has them from a saved pipeline."""
    if not model.attrs["files"]:
        find = importlib.import_module("twinner.encoders.find")  # not an import: saved models have no copy of it
        folder = find.find_encoder(model.attrs["encoder"], ARCHITECTURES).folder
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        model.attrs["files"] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
        model.attrs["digest"] = load_encoder(folder).digest
    model.set_dim("nO", _encoder(model).dimension, force=True)


def _forward(model: Model, docs: Sequence[Doc], is_train: bool) -> tuple[list[Floats2d], Callable[[Any], list[Doc]]]:
    known = _known.get(model.attrs["digest"], {})
    sentences = [tuple(token.text for token in doc) for doc in docs]
    missing = [sentence for sentence in dict.fromkeys(sentences) if sentence not in known]
    computed = dict(zip(missing, _encoder(model).vectors(missing), strict=True)) if missing else {}
    vectors = [known[sentence] if sentence in known else computed[sentence] for sentence in sentences]
    return [model.ops.asarray2f(np.asarray(array, dtype="f")) for array in vectors], lambda gradient: []


def _encoder(model: Model) -> Encoder:
    digest = model.attrs["digest"]
    if digest not in _encoders:
        with tempfile.TemporaryDirectory() as folder:  # it is in memory once it is loaded
            for name, content in model.attrs["files"].items():
                file = Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            return load_encoder(Path(folder))
    return _encoders[digest]
