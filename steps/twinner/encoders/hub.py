"""Encoders of the Hugging Face hub as exports: `config.json`, `model.onnx` and a vocabulary in `assets/`."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import quote

import onnx
from onnx.external_data_helper import uses_external_data

from twinner.cache import CacheUnusable, cache_folder, filled_folder
from twinner.corpus.download import without_password
from twinner.errors import BadInput

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
ATTEMPTS = 3  # of each request, with pauses of 1 and 2 seconds; the library itself retries lost connections
_TIMEOUT = 10  # seconds for an answer
_LARGEST_FILE = 2**31 - 1  # bytes of an ONNX file that holds its own weights
_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True)
class HubModel:
    """An export in the cache. revision: its commit, 40 hexadecimal digits, which names the same files for ever."""

    folder: Path
    revision: str


@dataclass(frozen=True)
class _File:
    """A file as the hub lists it. digest: sha256 of a large file, else git's sha1; empty, and size 0: not listed."""

    size: int
    digest: str


class _Unreachable(BadInput):
    """The hub does not answer; what is cached can be used all the same."""


class _Damaged(Exception):
    """A file did not arrive as the hub lists it."""


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
    hub = _Hub(name)
    root = ("models", "hf", hub.repo.replace("/", "--"))
    noted = cache_folder(*root) / "refs" / f"{quote(hub.revision, safe='')}.commit"
    if re.fullmatch("[0-9a-f]{40}", hub.revision) and (cache_folder(*root) / hub.revision).exists():
        folder = cache_folder(*root) / hub.revision
    else:
        cached = _cached(noted)
        try:
            revision, files = hub.listing(attempts=1 if cached else ATTEMPTS)
        except _Unreachable as error:
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


def _fill(folder: Path, hub: "_Hub", revision: str, files: Mapping[str, _File], known: Collection[str]) -> None:
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


def _check_architecture(hub: "_Hub", config: Mapping[str, Any], known: Collection[str]) -> None:
    kind = config.get("model_type", "bert")
    if known and kind not in known:
        raise hub.error(f"its model_type {kind!r} is not known", f"use one of {', '.join(sorted(known))}")


def _place_vocabulary(
    folder: Path, hub: "_Hub", kind: str, files: Mapping[str, _File], place: Callable[[str, str], None]
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
    folder: Path, hub: "_Hub", above: PurePosixPath, files: Mapping[str, _File], place: Callable[[str, str], None]
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


def _read_json(file: Path, hub: "_Hub") -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise hub.error(f"its {file.name} is not a JSON object", "use another model, or another revision of it")
    return content


class _Hub:
    """One model of the hub, and the requests for it."""

    def __init__(self, name: str) -> None:
        parsed = _NAME.fullmatch(name)
        if parsed is None or ".." in name or "--" in parsed[1]:
            raise BadInput(f"embeddings=hf:{name}: this is no name of the hub", "write hf:ORG/MODEL or …@REVISION")
        self.repo, self.revision = parsed[1], parsed[2] or "main"
        self._endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        self._token = os.environ.get("HF_TOKEN", "").strip() or False  # False: none, not even that of a saved login
        self._api = _library().HfApi(self._endpoint, self._token, library_name="twinner")

    def error(self, problem: str, remedy: str, kind: type[BadInput] = BadInput) -> BadInput:
        """An error of this model."""
        return kind(f"embeddings=hf:{self.repo}: {problem}", remedy)

    def listing(self, attempts: int) -> tuple[str, dict[str, _File]]:
        """Return the commit of the revision and its files by name."""

        def ask() -> Any:
            return self._api.model_info(self.repo, revision=self.revision, timeout=_TIMEOUT, files_metadata=True)

        info = self._asked(ask, attempts)
        if not re.fullmatch("[0-9a-f]{40}", str(info.sha)) or info.siblings is None:
            raise self._strange_answer()
        files = {}
        for file in info.siblings:
            size, digest = (file.lfs.size, file.lfs.sha256) if file.lfs else (file.size or 0, file.blob_id or "")
            files[file.rfilename] = _File(size, digest)
        return info.sha, files

    def fetch(self, name: str, listed: _File, revision: str, folder: Path) -> Path:
        """Download a file below `folder` and check its size and digest."""

        def ask() -> Path:
            places = {"local_dir": folder, "cache_dir": folder}  # or it takes what the user's own cache has
            file = Path(self._api.hf_hub_download(self.repo, name, revision=revision, **places, etag_timeout=_TIMEOUT))
            digest = listed.digest or self._digest_in_headers(name, revision)
            if file.stat().st_size != (listed.size or file.stat().st_size) or _digest(file, len(digest)) != digest:
                file.unlink()
                raise _Damaged
            return file

        return self._asked(ask, ATTEMPTS, name)

    def _digest_in_headers(self, name: str, revision: str) -> str:
        """The digest of a file, for listings without them, as those of some mirrors."""
        url = _library().hf_hub_url(self.repo, name, revision=revision, endpoint=self._endpoint)
        return str(self._api.get_hf_file_metadata(url=url, timeout=_TIMEOUT).etag)

    def _asked(self, ask: Callable[[], T], attempts: int, file: str = "") -> T:
        """The answer to a request, which is repeated where that can help. Raises BadInput, and errors of the disk."""
        for attempt in range(1, attempts + 1):
            try:
                return ask()
            except Exception as error:
                if attempt == attempts or not _may_pass(error):
                    if isinstance(error, OSError) and _is_of_disk(error):
                        raise
                    raise self._failure(error, file) from error
            time.sleep(attempt)
        raise AssertionError("there is at least one attempt")

    def _failure(self, error: Exception, file: str) -> BadInput:
        """The error in one line, for what the library raised."""
        errors = _library().errors
        if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
            error = error.__cause__
        status = getattr(getattr(error, "response", None), "status_code", None)
        where = f"its {file}" if file else "it"
        match error:
            case errors.GatedRepoError():
                ask = f"ask for access at {without_password(self._endpoint)}/{self.repo}"
                return self.error("its authors give access on request", f"{ask}, and set HF_TOKEN to your token")
            case errors.RevisionNotFoundError():
                return self.error(f"it has no revision {self.revision!r}", "name a branch, a tag or a commit of it")
            case errors.DisabledRepoError():
                return self.error("the hub has withdrawn it", "use another model")
            case errors.RepositoryNotFoundError() if self._token:
                return self.error(
                    "the hub has no such model that your token may read", "check the name, and the rights of HF_TOKEN"
                )
            case errors.RepositoryNotFoundError():
                return self.error(
                    "the hub has no public model of this name", "check the name, or set HF_TOKEN for a private model"
                )
            case errors.OfflineModeIsEnabled():
                return self.error(
                    "it is not in the cache, and HF_HUB_OFFLINE forbids to fetch it",
                    "unset HF_HUB_OFFLINE",
                    _Unreachable,
                )
            case _Damaged():
                return self.error(f"{where} did not arrive as the hub lists it (wrong checksum)", self._elsewhere)
            case errors.HfHubHTTPError() if status in (401, 403):
                remedy = (
                    "renew HF_TOKEN, or unset it for a public model" if self._token else "set HF_TOKEN to your token"
                )
                return self.error(f"the hub refuses {where} (the server answered {status})", remedy)
            case errors.HfHubHTTPError() if status == 404:
                return self.error(f"the hub lists {where}, but has it not (the server answered 404)", self._elsewhere)
            case errors.HfHubHTTPError() if status == 429:
                return self.error(
                    "the hub asks to wait, after too many requests (429)",
                    "run again later, or set HF_TOKEN, which allows more",
                    _Unreachable,
                )
            case errors.HfHubHTTPError() if status is not None:
                problem = f"{where} can't be fetched (the server answered {status})"
                return self.error(problem, self._elsewhere, _Unreachable)
            case ValueError() | KeyError() | TypeError() | errors.FileMetadataError():
                return self._strange_answer()
            case OSError() if "Consistency check failed" in str(error):
                return self.error(f"{where} arrived in part only", self._elsewhere, _Unreachable)
        broken = type(error).__name__ in ("RemoteProtocolError", "ReadError")
        reason = "the connection breaks off" if broken else f"no connection to {without_password(self._endpoint)}"
        return self.error(f"{where} can't be fetched ({reason})", self._elsewhere, _Unreachable)

    _elsewhere = "check the network and run again, or set HF_ENDPOINT to a mirror"

    def _strange_answer(self) -> BadInput:
        problem = f"{without_password(self._endpoint)} does not answer as the hub does"
        return self.error(problem, "set HF_ENDPOINT to the hub or a mirror of it, or unset it")


def _digest(file: Path, length: int) -> str:
    """The sha256 of a file, or, of another length than 64 digits, the sha1 that git gives it."""
    with file.open("rb") as content:
        if length == 64:
            return hashlib.file_digest(content, "sha256").hexdigest()
        digest = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
        while block := content.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def _may_pass(error: Exception) -> bool:
    """Whether a repeated request may be answered."""
    errors = _library().errors
    if isinstance(error, errors.HfHubHTTPError):
        response = getattr(error, "response", None)
        return response is not None and response.status_code in (408, 500, 502, 503, 504)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return False
    return isinstance(error, _Damaged | ConnectionError) or _is_of_http(error) or "Consistency check" in str(error)


def _is_of_http(error: Exception) -> bool:
    """Whether an error is of the HTTP client, a package that is the library's own choice."""
    return type(error).__module__.startswith("httpx")


def _is_of_disk(error: OSError) -> bool:
    return error.errno is not None and not isinstance(error, ConnectionError | TimeoutError) and not _is_of_http(error)


@cache
def _library() -> Any:
    """The hub's client, without telemetry, with plain HTTP and no messages of its own; imported when it is needed."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # which keeps a second cache, in the home folder
    import huggingface_hub
    from huggingface_hub.utils import logging
    from huggingface_hub.utils._http import default_client_factory
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.set_verbosity_error()
    if not sys.stderr.isatty():
        disable_progress_bars()

    def client() -> Any:
        made = default_client_factory()
        made.event_hooks = made.event_hooks | {"response": [_refuse_long_waits]}
        return made

    huggingface_hub.set_client_factory(client)
    return huggingface_hub


def _refuse_long_waits(response: Any) -> None:
    """Raise an error where the library would wait for as long as the server says, be it an hour."""
    if response.status_code == 429 or (response.status_code == 503 and "Retry-After" in response.headers):
        response.read()
        _library().utils.hf_raise_for_status(response)
