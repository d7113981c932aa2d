"""Encoders of the Hugging Face hub as exports: `config.json`, `model.onnx` and a vocabulary in `assets/`."""

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import onnx
from onnx.external_data_helper import uses_external_data

from twinner.cache import CacheUnusable, cache_folder, filled_folder
from twinner.encoders.hub_client import ATTEMPTS, Hub, HubFile, Unreachable

# Where exports put the encoder, the most exact first. Half precision is left out: Spark NLP can't read its vectors.
ONNX_FILES = (
    "onnx/model.onnx",
    "model.onnx",
    "onnx/model_O1.onnx",
    "onnx/model_O2.onnx",
    "model_optimized.onnx",
    "onnx/model_quantized.onnx",
    "model_quantized.onnx",
    "onnx/model_int8.onnx",
    "onnx/model_uint8.onnx",
    "onnx/model_quint8_avx2.onnx",
    "onnx/model_qint8_avx512.onnx",
)
SENTENCEPIECE_FILES = (
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.model",
    "tokenizer.model",
)
# `model_type` -> the name under which Spark NLP reads the SentencePiece model, where it reads one at all.
SENTENCEPIECE_ASSETS = {
    "albert": "spiece.model",
    "camembert": "sentencepiece.bpe.model",
    "deberta-v2": "spm.model",
    "xlm-roberta": "sentencepiece.bpe.model",
    "xlnet": "spiece.model",
}
BPE_TYPES = ("longformer", "roberta")
_LARGEST_FILE = 2**31 - 1  # bytes of an ONNX file that holds its own weights


@dataclass(frozen=True)
class HubModel:
    """An export in the cache. revision: its commit, 40 hexadecimal digits, which names the same files for ever."""

    folder: Path
    revision: str


def hub_folder(name: str, known: Collection[str] = ()) -> HubModel:
    """Return the export of an encoder of the hub, and fetch it into the cache if it is not there.

    name: `ORG/MODEL` or `ORG/MODEL@REVISION`, a branch, a tag or a commit; else the branch `main`. known: the values of
    `model_type` in config.json that the caller can use; empty: any.
    The environment has the address of a mirror in HF_ENDPOINT and the token for private models in HF_TOKEN, which is
    sent and neither kept nor shown. Without a network, the revision of the last time serves. Of several processes that
    need an encoder, one fetches it and the others wait.
    Raises BadInput for a name that the hub has not or does not give us, for a model without an ONNX file or a
    vocabulary that Spark NLP reads, for another architecture, and if the files do not arrive.
    """
    hub = Hub(name)
    root = ("models", "hf", hub.repo.replace("/", "--"))
    noted = cache_folder(*root) / "refs" / f"{quote(hub.revision, safe='')}.commit"
    if re.fullmatch("[0-9a-f]{40}", hub.revision) and (cache_folder(*root) / hub.revision).exists():
        folder = cache_folder(*root) / hub.revision
    else:
        cached = _cached(noted)
        try:
            revision, files = hub.listing(attempts=1 if cached else ATTEMPTS)
        except Unreachable as error:
            if cached is None:
                raise
            print(f"{error.problem}: using its revision {cached.name} from the cache", file=sys.stderr)
            folder = cached
        else:
            folder = filled_folder(lambda empty: _fill(empty, hub, revision, files, known), *root, revision)
            _note(noted, revision)
    _check_architecture(hub, _read_json(folder / "config.json", hub), known)
    return HubModel(folder, folder.name)


def _cached(noted: Path) -> Path | None:
    """The folder of the revision that a branch or tag had last time, if it is there."""
    try:
        folder = noted.parent.parent / noted.read_text(encoding="utf-8")
    except OSError:
        return None
    return folder if folder.exists() else None


def _note(noted: Path, revision: str) -> None:
    """Note the commit of a branch or tag for a time without a network, where the cache lets us."""
    with contextlib.suppress(OSError):
        noted.parent.mkdir(exist_ok=True)
        part = noted.with_name(f".{noted.name}.{os.getpid()}")
        part.write_text(revision, encoding="utf-8")
        part.replace(noted)


def _fill(folder: Path, hub: Hub, revision: str, files: Mapping[str, HubFile], known: Collection[str]) -> None:
    """Fetch the export: what can turn out wrong first, the large file last."""
    model = next((name for name in ONNX_FILES if name in files), None)
    if model is None:
        raise hub.error(
            f"it has no ONNX file (as {', '.join(ONNX_FILES[:3])}, …)",
            f"use a model that has one, or a folder made by `optimum-cli export onnx --model {hub.repo} FOLDER`",
        )
    if "config.json" not in files:
        raise hub.error("it has no config.json", "use a model of the transformers library")
    downloads = folder / ".downloads"

    def fetch(name: str) -> Path:
        return hub.fetch(name, files[name], revision, downloads)

    def place(name: str, target: str) -> None:
        (folder / target).parent.mkdir(exist_ok=True)
        fetch(name).rename(folder / target)

    place("config.json", "config.json")
    config = _read_json(folder / "config.json", hub)
    _check_architecture(hub, config, known)
    for name in ("tokenizer_config.json", "tokenizer.json"):
        if name in files:
            place(name, name)
    _place_vocabulary(folder, hub, str(config.get("model_type", "bert")), files, place)
    size = sum(file.size for name, file in files.items() if name.startswith(model))
    print(f"Fetching hf:{hub.repo}, {model} ({-(-size // 10**6)} MB), once, to the cache", file=sys.stderr)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise CacheUnusable(
            f"hf:{hub.repo} takes {-(-size // 10**6)} MB, and the disk of the cache has {free // 10**6} MB free",
            "free space, or set TWINNER_CACHE to a folder that has some",
        )
    place(model, "model.onnx")
    _place_weights(folder, hub, PurePosixPath(model).parent, files, place)
    shutil.rmtree(downloads)


def _check_architecture(hub: Hub, config: Mapping[str, Any], known: Collection[str]) -> None:
    kind = config.get("model_type", "bert")
    if known and kind not in known:
        raise hub.error(f"its model_type {kind!r} is not known", f"use one of {', '.join(sorted(known))}")


def _place_vocabulary(
    folder: Path, hub: Hub, kind: str, files: Mapping[str, HubFile], place: Callable[[str, str], None]
) -> None:
    """Fetch the vocabulary to the name under which Spark NLP reads it, or make it of tokenizer.json where that has it.

    Models of the type bert have a WordPiece vocabulary, or, as multilingual-e5-small, XLM-RoBERTa's SentencePiece.
    """
    assets = folder / "assets"
    has_tokenizer = (folder / "tokenizer.json").is_file()
    tokenizer = _read_json(folder / "tokenizer.json", hub) if has_tokenizer else {}
    if kind in BPE_TYPES:
        wanted = "vocab.json and merges.txt"
        if {"vocab.json", "merges.txt"} <= files.keys():
            place("merges.txt", "assets/merges.txt")
            place("vocab.json", "vocab.json")
            vocabulary = _by_id(_read_json(folder / "vocab.json", hub))
            (folder / "vocab.json").unlink()
            if vocabulary:
                _write_lines(assets / "vocab.txt", vocabulary)
                return
    elif kind not in SENTENCEPIECE_ASSETS:
        wanted = "WordPiece or SentencePiece vocabulary (vocab.txt, sentencepiece.bpe.model)"
        if "vocab.txt" in files:
            place("vocab.txt", "assets/vocab.txt")
            return
        if vocabulary := _wordpieces(tokenizer):
            _write_lines(assets / "vocab.txt", vocabulary)
            return
    else:
        wanted = f"SentencePiece vocabulary ({', '.join(SENTENCEPIECE_FILES[:3])})"
    name = next((name for name in SENTENCEPIECE_FILES if name in files), None)
    if name and kind not in BPE_TYPES:
        place(name, f"assets/{SENTENCEPIECE_ASSETS.get(kind, 'sentencepiece.bpe.model')}")
        return
    only = ", only a tokenizer.json, which Spark NLP can't read" if has_tokenizer else ""
    raise hub.error(f"it has no {wanted}{only}", "use another model, or a folder with the export and its assets/")


def _wordpieces(tokenizer: Mapping[str, Any]) -> list[str]:
    """The vocabulary in a tokenizer.json of BERT's kind, by id; empty if it is of another kind."""
    model = tokenizer.get("model")
    if not isinstance(model, dict) or model.get("type") != "WordPiece":
        return []
    if model.get("continuing_subword_prefix", "##") != "##":
        return []
    added = {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}
    return _by_id(model.get("vocab", {}) | added)


def _by_id(vocabulary: Mapping[str, Any]) -> list[str]:
    """The tokens in the order of their ids; empty if a file with a token a line can't give them these ids."""
    tokens = sorted(vocabulary, key=lambda token: int(vocabulary[token]))
    in_order = [vocabulary[token] for token in tokens] == list(range(len(tokens)))
    return tokens if in_order and not any(len(token.splitlines()) > 1 for token in tokens) else []


def _write_lines(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _place_weights(
    folder: Path, hub: Hub, above: PurePosixPath, files: Mapping[str, HubFile], place: Callable[[str, str], None]
) -> None:
    """Fetch the files beside an ONNX file that have its weights, and join them if one file can hold all."""
    file = folder / "model.onnx"
    try:
        model = onnx.load(file, load_external_data=False)
    except Exception:  # protobuf's error, of a package that is onnx's own choice
        raise hub.error("its ONNX file can't be read", "use another model") from None
    external = [tensor for tensor in model.graph.initializer if uses_external_data(tensor)]
    names = {entry.value for tensor in external for entry in tensor.external_data if entry.key == "location"}
    for name in sorted(names):
        if PurePosixPath(name).name != name or str(above / name) not in files:
            raise hub.error(f"its weights are in the file {name!r}, which it has not", "use another model")
        place(str(above / name), name)
    if names and sum((folder / name).stat().st_size for name in names) + file.stat().st_size < _LARGEST_FILE:
        joined = onnx.load(file)
        onnx.save(joined, file)
        for name in names:
            (folder / name).unlink()


def _read_json(file: Path, hub: Hub) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise hub.error(f"its {file.name} is not a JSON object", "use another model, or another revision of it")
    return content
