"""Files as bytes and as numbered lines: gzip, BOM and CRLF accepted, UTF-8 required."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from twinner.errors import BadInput

_GZIP_MAGIC = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"


@contextmanager
def open_bytes(file: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes, unpacked if it is gzip (known by its first bytes, whatever its name).

    Errors: BadInput if it can't be opened, or if the gzip is cut short or damaged.
    """
    try:
        with file.open("rb") as raw:
            packed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            if packed:
                with gzip.open(raw) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"the gzip file is damaged ({error})", "fetch or pack it again", file) from error
    except OSError as error:
        raise BadInput(f"can't be read ({error.strerror})", "give a readable file", file) from error


def numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line without its end) of a UTF-8 file.

    Lines end at LF or CRLF alone: U+2028, U+0085 and the like are characters of a text.
    Errors: BadInput that names the first line which is not UTF-8 text.
    """
    with open_bytes(file) as stream:
        for number, raw in enumerate(stream, start=1):
            if number == 1:
                raw = raw.removeprefix(_UTF8_BOM)
            try:
                line = raw.decode()
            except UnicodeDecodeError as error:
                raise _not_utf8(file, number, f"byte 0x{raw[error.start]:02x}") from error
            if "\0" in line:  # as in UTF-16, or in no text at all
                raise _not_utf8(file, number, "a zero byte")
            yield number, line.rstrip("\r\n")


def _not_utf8(file: Path, line: int, what: str) -> BadInput:
    remedy = "convert the file to UTF-8, for example by: iconv -f LATIN1 -t UTF-8"
    return BadInput(f"the line is not UTF-8 text ({what})", remedy, file, line)
