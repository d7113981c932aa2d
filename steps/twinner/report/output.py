"""Write a report's files to the user's folder."""

import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from twinner.errors import BadInput

PAGE = "report.html"
DATA = ("summary.json", "runs.csv")  # written beside the page
REMEDY = "give output another file"


def check_output(output: str) -> None:
    """Raise BadInput unless the page can be written to the file `output` and the data beside it; empty: no file."""
    if not output:
        return
    page = _page(output)
    if page.name in DATA:
        raise BadInput(f"cannot write the report to {output}: {page.name} is written beside it", REMEDY)
    for file in (page, *map(page.with_name, DATA)):
        try:
            target = file.resolve()
            if target.exists() and not target.is_file():
                kind = "a folder" if target.is_dir() else "not a regular file"
                raise BadInput(f"cannot write the report to {file}: it is {kind}", REMEDY)
            tempfile.TemporaryFile(dir=target.parent).close()
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            raise BadInput(f"cannot write the report to {file}: {_reason(error)}", REMEDY) from error


def write_output(output: str, files: Mapping[str, str]) -> None:
    """Write the page to the file `output` and the other files beside it; each is replaced whole or not at all.

    files: text by name. Links are followed. Raises BadInput if a file cannot be written.
    """
    page = _page(output)
    for name, text in files.items():
        file = page if name == PAGE else page.with_name(name)
        try:
            _replace(file.resolve(), text.encode())
        except (OSError, RuntimeError) as error:
            raise BadInput(f"cannot write the report to {file}: {_reason(error)}", REMEDY) from error


def _page(output: str) -> Path:
    return Path(os.path.expanduser(output))  # unlike Path.expanduser, it leaves an unknown ~user alone


def _replace(file: Path, content: bytes) -> None:
    temporary = file.with_name(f".twinner-{secrets.token_hex(8)}")
    # Unlike tempfile's 0600, the mode is that of any new file: 0666 less the umask.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
        os.replace(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
