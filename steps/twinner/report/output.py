"""The files of a report in a folder of the user's."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from twinner.errors import BadInput

REMEDY = "give output another file"


def check_output(output: str) -> None:
    """Raise BadInput, before any work is done, if a file can't be written where `output` names one; empty: no file."""
    if output:
        file = Path(output).expanduser()
        try:
            if file.is_dir():
                raise BadInput(f"the report can't be written: {output} is a folder", REMEDY)
            tempfile.TemporaryFile(dir=file.parent).close()
        except OSError as error:
            raise BadInput(f"the report can't be written to {output}: {error.strerror}", REMEDY) from error


def write_output(output: str, files: Mapping[str, str]) -> None:
    """Write `report.html` of files to the file `output`, the other files beside it; each whole or not at all.

    Errors: BadInput if one can't be written.
    """
    page = Path(output).expanduser()
    for name, text in files.items():
        file = page if name == "report.html" else page.with_name(name)
        try:
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", newline="", dir=file.parent, prefix=f".{file.name}-", delete=False
            ) as temporary:
                temporary.write(text)
            os.chmod(temporary.name, 0o666 & ~_umask())
            os.replace(temporary.name, file)
        except OSError as error:
            raise BadInput(f"the report can't be written to {file}: {error.strerror}", REMEDY) from error


def _umask() -> int:
    """The permissions that new files of this process lack."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
