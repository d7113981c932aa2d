"""Ask the Hugging Face hub for a model's files, and tell in a line why it does not give them."""

import hashlib
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from twinner.corpus.download import without_password
from twinner.errors import BadInput

ATTEMPTS = 3  # of each request, with pauses of 1 and 2 seconds; the library itself retries lost connections
_TIMEOUT = 10  # seconds for an answer
_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True)
class HubFile:
    """A file as the hub lists it. digest: sha256 of a large file, else git's sha1; empty, and size 0: not listed."""

    size: int
    digest: str


class Unreachable(BadInput):
    """The hub does not answer; what is cached can be used all the same."""


class _Damaged(Exception):
    """A file did not arrive as the hub lists it."""


class Hub:
    """One model of the hub, and the requests for it. repo: `ORG/MODEL`. revision: a branch, a tag or a commit."""

    def __init__(self, name: str) -> None:
        """name: `ORG/MODEL` or `ORG/MODEL@REVISION`. Raises BadInput for any other."""
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

    def listing(self, attempts: int) -> tuple[str, dict[str, HubFile]]:
        """Return the commit of the revision and its files by name."""

        def ask() -> Any:
            return self._api.model_info(self.repo, revision=self.revision, timeout=_TIMEOUT, files_metadata=True)

        info = self._asked(ask, attempts)
        if not re.fullmatch("[0-9a-f]{40}", str(info.sha)) or info.siblings is None:
            raise self._strange_answer()
        files = {}
        for file in info.siblings:
            size, digest = (file.lfs.size, file.lfs.sha256) if file.lfs else (file.size or 0, file.blob_id or "")
            files[file.rfilename] = HubFile(size, digest)
        return info.sha, files

    def fetch(self, name: str, listed: HubFile, revision: str, folder: Path) -> Path:
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
                    Unreachable,
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
                    Unreachable,
                )
            case errors.HfHubHTTPError() if status is not None:
                problem = f"{where} can't be fetched (the server answered {status})"
                return self.error(problem, self._elsewhere, Unreachable)
            case ValueError() | KeyError() | TypeError() | errors.FileMetadataError():
                return self._strange_answer()
            case OSError() if "Consistency check failed" in str(error):
                return self.error(f"{where} arrived in part only", self._elsewhere, Unreachable)
        broken = type(error).__name__ in ("RemoteProtocolError", "ReadError")
        reason = "the connection breaks off" if broken else f"no connection to {without_password(self._endpoint)}"
        return self.error(f"{where} can't be fetched ({reason})", self._elsewhere, Unreachable)

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
