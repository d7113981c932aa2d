"""Folders whose files are the documents of one corpus, as brat and INCEpTION have them."""

from pathlib import Path

from twinner.corpus.lines import open_bytes
from twinner.corpus.webanno import FORMAT

_ANNOTATIONS = ".ann"


def documents_in(folder: Path) -> list[Path]:
    """The documents of a folder in order of their names: brat's `.ann` files, else those in WebAnno TSV."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    return [file for file in files if is_annotations(file)] or [file for file in files if _is_webanno(file)]


def is_annotations(file: Path) -> bool:
    """Whether a file is the annotations of a text, by brat's way of naming them."""
    return file.suffix.lower() == _ANNOTATIONS


def has_annotations(file: Path) -> bool:
    """Whether a file is a text with annotations of brat beside it."""
    return file.suffix.lower() == ".txt" and file.with_suffix(_ANNOTATIONS).is_file()


def _is_webanno(file: Path) -> bool:
    if file.suffix.lower() != ".tsv":
        return False
    with open_bytes(file) as stream:
        return stream.read(len(FORMAT) + 3).removeprefix(b"\xef\xbb\xbf").startswith(FORMAT.encode())
