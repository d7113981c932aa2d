"""Downloads into the cache: checked, retried, resumed, never half there."""

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
from filelock import FileLock
from tqdm import tqdm

from twinner.errors import BadInput

RETRIES = 3  # pooch waits 1, 2, 3 seconds before them
_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of the answer
_TRY_AGAIN = (408, 425, 429)  # of the answers 4xx, those that another try may better


class _Refused(Exception):
    """The server said no, and would say so again."""


def fetch(
    url: str, file: Path, remedy: str, sha256: str | None = None, check: Callable[[Path], None] | None = None
) -> Path:
    """Download `url` to `file` unless it is there already; return `file`, whole and checked.

    What has arrived is kept beside it as `*.part`; the next try, in this process or a later one, goes on from there
    if the server still has the same file. sha256: the digest it must have. check: raises ValueError for a wrong one.
    Errors: BadInput with `remedy`, which says how to do without the download; `file` is then not there.
    """
    if file.exists() and (sha256 is None or pooch.file_hash(file) == sha256):
        return file  # without the lock: a cache may be read-only
    pooch.get_logger().setLevel("WARNING")

    def download(url: str, target: str, _: object) -> None:
        part = file.with_name(f"{file.name}.part")
        _stream(url, part)
        if check:
            try:
                check(part)
            except ValueError:
                part.unlink()
                raise
        os.replace(part, target)  # pooch compares the digest and moves the target to its place

    registry = {file.name: f"sha256:{sha256}" if sha256 else None}
    shelf = pooch.create(file.parent, base_url="", registry=registry, urls={file.name: url}, retry_if_failed=RETRIES)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_name(f"{file.name}.lock")):  # runs side by side would write into one part
            shelf.fetch(file.name, downloader=download)
    except (requests.RequestException, ValueError, OSError, _Refused) as error:
        raise BadInput(f"{without_password(url)} can't be downloaded ({_reason(error)})", remedy) from error
    return file


def without_password(url: str) -> str:
    """A URL without the user and password that it may hold."""
    return url.replace(f"{urlsplit(url).netloc.rpartition('@')[0]}@", "", 1) if "@" in urlsplit(url).netloc else url


def _stream(url: str, part: Path) -> None:
    """Write the answer to `part`, or what is missing behind it."""
    note = part.with_name(f"{part.name}.version")  # which version of the file the part is of, in the server's words
    have = part.stat().st_size if part.exists() and note.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # else offsets would count packed bytes
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": note.read_text()}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()  # the part is no beginning of what the server has: the next try starts anew
        elif 400 <= answer.status_code < 500 and answer.status_code not in _TRY_AGAIN:
            raise _Refused(f"the server answered {answer.status_code} {answer.reason}")
        answer.raise_for_status()
        resumed = answer.status_code == requests.codes.partial_content
        if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise ValueError("the server sent another range than it was asked for")
        if version := _version(answer):
            note.write_text(version)
        else:
            note.unlink(missing_ok=True)
        have = have if resumed else 0
        total = have + int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=None, leave=False)
        with part.open("ab" if resumed else "wb") as out, bar:
            for piece in answer.iter_content(1 << 16):
                out.write(piece)
                bar.update(len(piece))
    note.unlink(missing_ok=True)


def _version(answer: requests.Response) -> str:
    """What names this version of the file strongly enough to go on with it later; empty if nothing does."""
    tag = answer.headers.get("ETag", "W/")
    if "Content-Encoding" in answer.headers:
        return ""
    return answer.headers.get("Last-Modified", "") if tag.startswith("W/") else tag


def _reason(error: Exception) -> str:
    """The error in few words: those of the network libraries fill lines."""
    match error:
        case requests.HTTPError(response=requests.Response(status_code=code, reason=reason)):
            return f"the server answered {code} {reason}"
        case requests.Timeout():
            return "the server did not answer in time"
        case requests.exceptions.ChunkedEncodingError():
            return "the answer was cut short"
        case requests.ConnectionError():
            return "no connection"
        case ValueError() if "hash" in str(error):
            return "its checksum is wrong"
    return str(error)
