"""Files as bytes and as numbered lines: gzip, BOM and CRLF accepted, UTF-8 required."""

import gzip
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from twinner.errors import BadInput

_GZIP_MAGIC = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"
_HEAD = 512  # bytes; a tar archive is recognised by bytes 257 to 261
_FOREIGN = (  # how a file begins, what it is, what to do
    (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", "packed by bzip2", "unpack it: bunzip2"),
    (rb"\xfd7zXZ\0", "packed by xz", "unpack it: unxz"),
    (rb"\x28\xb5\x2f\xfd", "packed by zstd", "unpack it: unzstd"),
    (rb"PK\x03\x04", "a zip archive", "unpack it: unzip"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it: 7z x"),
    (rb"(?s).{257}ustar", "a tar archive", "unpack it: tar -xf"),
    (rb"\xff\xfe\0\0|\0\0\xfe\xff", "UTF-32 text, not UTF-8", "convert it: iconv -f UTF-32 -t UTF-8"),
    (rb"\xff\xfe|\xfe\xff", "UTF-16 text, not UTF-8", "convert it: iconv -f UTF-16 -t UTF-8"),
    (
        rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|\?xml)\b(?!.*[ \t]O\r?\n)",  # `<html> O` is a token
        "a web page, not a corpus",
        "download the corpus itself: the page may ask for a login",
    ),
)


@contextmanager
def open_bytes(file: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes, decompressed if it is gzip (recognised by its first bytes, not its name).

    Errors: BadInput if it can't be opened, is not a regular file, is damaged gzip, or is another kind of file that is
    easily mistaken for a corpus (packed otherwise, UTF-16, a web page).
    """
    try:
        mode = file.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            problem = "a pipe or device can't be read as a corpus, which is read more than once"
            raise BadInput(problem, "save it to a file first, and give that", file)
        with file.open("rb") as raw:
            if _head(raw).startswith(_GZIP_MAGIC):
                with gzip.open(raw) as unpacked:
                    _refuse_foreign(_head(cast(BinaryIO, unpacked)), file)
                    yield cast(BinaryIO, unpacked)
            else:
                _refuse_foreign(_head(raw), file)
                yield raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"the gzip file is damaged ({error})", "download or compress it again", file) from error
    except OSError as error:
        raise BadInput(f"can't be read ({error.strerror or error})", "give a readable file", file) from error


def numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line without its end) of a UTF-8 file.

    Lines end at LF or CRLF only: U+2028, U+0085 and others are ordinary characters.
    Errors: BadInput that names the first line which is not UTF-8 text.
    """
    with open_bytes(file) as stream:
        for number, raw in enumerate(stream, start=1):
            if number == 1:
                raw = raw.removeprefix(_UTF8_BOM)
            if b"\0" in raw:
                raise _zero_byte(raw, file, number)
            try:
                line = raw.decode()
            except UnicodeDecodeError as error:
                raise _not_utf8(error, file, number) from error
            yield number, line.rstrip("\r\n")


def read_text(file: Path) -> str:
    """Read a whole UTF-8 file as it is, with its line ends and BOM. Errors: as `numbered_lines`."""
    with open_bytes(file) as stream:
        raw = stream.read()
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(error, file, 1 + raw.count(b"\n", 0, error.start)) from error


def _not_utf8(error: UnicodeDecodeError, file: Path, line: int) -> BadInput:
    problem = f"the line is not UTF-8 text (byte 0x{error.object[error.start]:02x})"
    return BadInput(problem, "convert the file to UTF-8, for example: iconv -f LATIN1 -t UTF-8", file, line)


def _head(stream: BinaryIO) -> bytes:
    """The first bytes of a stream, which is rewound."""
    head = stream.read(_HEAD)
    stream.seek(0)
    return head


def _refuse_foreign(head: bytes, file: Path) -> None:
    for pattern, what, remedy in _FOREIGN:
        if re.match(pattern, head):
            raise BadInput(f"the file is {what}", remedy, file)


def _zero_byte(raw: bytes, file: Path, line: int) -> BadInput:
    """The error for a zero byte; in UTF-16 without a BOM, every other byte of mostly Latin text is zero."""
    for name, zeros in (("UTF-16LE", raw[1::2]), ("UTF-16BE", raw[::2])):
        if zeros.count(0) > len(raw) // 4:
            problem = f"the line is not UTF-8 text, but looks like {name}"
            return BadInput(problem, f"convert the file: iconv -f {name} -t UTF-8", file, line)
    return BadInput("the line holds a zero byte, so the file is not text", "give a text file", file, line)
