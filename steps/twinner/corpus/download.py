"""Downloads into the cache: verified, retried, resumed, and never incomplete."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pooch
import requests
from filelock import FileLock
from tqdm import tqdm

from twinner.errors import BadInput

RETRIES = 3  # pooch waits 1, 2, 3 seconds before them
_TIMEOUT = (10, 60)  # seconds to connect, and between two chunks of the response
_TRANSIENT = (408, 425, 429)  # 4xx statuses that are worth a retry


class _Refused(Exception):
    """The server refused the request, and a retry would not help."""


def download(
    url: str, file: Path, remedy: str, sha256: str | None = None, check: Callable[[Path], None] | None = None
) -> Path:
    """Download `url` to `file` unless it exists already; return `file`, complete and verified.

    A partial download is kept as `*.part`; the next attempt, in this process or a later one, resumes it if the file
    on the server has not changed. sha256: the expected digest. check: raises ValueError for a wrong file.
    Errors: BadInput with `remedy`, the way to do without the download; `file` does not exist then.
    """
    if file.exists() and (sha256 is None or pooch.file_hash(file) == sha256):
        return file  # without the lock: the cache may be read-only
    pooch.get_logger().setLevel("WARNING")

    def to_target(url: str, target: str, _: object) -> None:
        part = file.with_name(f"{file.name}.part")
        _download_rest(url, part)
        if check:
            try:
                check(part)
            except ValueError:
                part.unlink()
                raise
        os.replace(part, target)  # pooch verifies the digest and moves the target to `file`

    registry = {file.name: f"sha256:{sha256}" if sha256 else None}
    registered = pooch.create(
        file.parent, base_url="", registry=registry, urls={file.name: url}, retry_if_failed=RETRIES
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_name(f"{file.name}.lock")):  # concurrent runs would write to the same part
            registered.fetch(file.name, downloader=to_target)
    except (requests.RequestException, ValueError, OSError, _Refused) as error:
        raise BadInput(f"{without_password(url)} can't be downloaded ({_short_reason(error)})", remedy) from error
    return file


def without_password(url: str) -> str:
    """A URL without its user and password."""
    return re.sub(r"(?<=://)[^/?#]*@", "", url, count=1)  # urlsplit refuses some wrong URLs, which are shown too


def _download_rest(url: str, part: Path) -> None:
    """Download to `part`, or append the rest of the file to it."""
    note = part.with_name(f"{part.name}.version")  # the server's validator for the file that the part belongs to
    have = part.stat().st_size if part.exists() and note.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # else ranges would count compressed bytes
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": note.read_text()}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()  # the file on the server has changed: restart
        elif 400 <= response.status_code < 500 and response.status_code not in _TRANSIENT:
            raise _Refused(f"the server answered {response.status_code} {response.reason}")
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise ValueError("the server sent a different range than requested")
        if validator := _validator(response):
            note.write_text(validator)
        else:
            note.unlink(missing_ok=True)
        have = have if resumed else 0
        total = have + int(response.headers["Content-Length"]) if "Content-Length" in response.headers else None
        bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=None, leave=False)
        with part.open("ab" if resumed else "wb") as out, bar:
            for chunk in response.iter_content(1 << 16):
                out.write(chunk)
                bar.update(len(chunk))
    note.unlink(missing_ok=True)


def _validator(response: requests.Response) -> str:
    """The validator for resuming this version of the file later: a strong ETag or Last-Modified; empty if none."""
    tag = response.headers.get("ETag", "W/")
    if "Content-Encoding" in response.headers:
        return ""
    return response.headers.get("Last-Modified", "") if tag.startswith("W/") else tag


def _short_reason(error: Exception) -> str:
    """The cause in a few words: messages of network libraries are many lines long."""
    match error:
        case requests.HTTPError(response=requests.Response(status_code=code, reason=reason)):
            return f"the server answered {code} {reason}"
        case requests.Timeout():
            return "the server did not respond in time"
        case requests.exceptions.ChunkedEncodingError():
            return "the response was cut short"
        case requests.ConnectionError():
            return "no connection"
        case ValueError() if "hash" in str(error):
            return "its checksum is wrong"
    return str(error)
