"""brat's standoff format: a text, and its annotations in a file beside it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from twinner.corpus.lines import numbered_lines, read_text
from twinner.corpus.overlaps import Span
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.place import Place
from twinner.corpus.spans import AnnotatedText, check_spans, in_characters, parse_texts
from twinner.errors import BadInput

_ENTITY = re.compile(r"T[^\t]*\t(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?")
_BOM = "\ufeff"


def read_brat(file: Path, lang: str) -> ParsedFile:
    """Read a document of brat, given its `.ann` or its `.txt`: see `read_brat_documents`."""
    return read_brat_documents([file.with_suffix(".ann")], lang)


def read_brat_documents(files: Sequence[Path], lang: str) -> ParsedFile:
    """Read documents of brat by their `.ann` files, each with a `.txt` beside it.

    Each line of a text is a sentence, but lines that one entity reaches over are one. Entities are the lines
    `T1<TAB>LABEL 0 5<TAB>Klaas`; one of several parts has offsets like `0 5;8 12`. Events, relations, attributes,
    normalizations and notes are not used. lang: the language of the tokenizer.
    Errors: BadInput for a missing text, a broken line, and offsets that do not fit the text.
    """
    texts, notes = in_characters([_document(file) for file in files])
    for text in texts:
        check_spans(text)
    return parse_texts([part for text in texts for part in split_at_line_ends(text)], lang, notes)


def _document(file: Path) -> AnnotatedText:
    text_file = file.with_suffix(".txt")
    if not text_file.is_file():
        raise BadInput(f"the text {text_file.name!r} of these annotations is missing", "put it beside them", file)
    text = read_text(text_file)
    if text.startswith(_BOM):
        text = f" {text[1:]}"  # brat counts it
    spans = [_entity(line, Place(file, number)) for number, line in numbered_lines(file) if line.startswith("T")]
    return AnnotatedText(text, spans, Place(file), starts_document=True)


def _entity(line: str, place: Place) -> Span:
    found = _ENTITY.fullmatch(line)
    if not found:
        shown = repr(line[:60])
        raise place.bad_input(f"{shown} is not an entity of brat", "write T1<TAB>LABEL 0 5<TAB>text", [shown])
    pairs = [part.split() for part in found[2].split(";")]
    parts = tuple((int(start), int(end)) for start, end in pairs)
    for start, end in parts:
        if start >= end:
            raise place.bad_input(f"the part {start} to {end} ({found[1]}) is empty", "count characters from 0")
    first, last = min(start for start, _ in parts), max(end for _, end in parts)
    return Span(first, last, found[1], found[3], parts if len(parts) > 1 else ())


def split_at_line_ends(document: AnnotatedText) -> list[AnnotatedText]:
    """The lines of a document as texts with their spans; lines that a span reaches over stay together."""
    pieces: list[AnnotatedText] = []
    spans = sorted(document.spans, key=lambda span: span.start)
    start, taken = 0, 0
    reach = 0  # the end of the longest span seen
    for line_end in (match.end() for match in re.finditer(r"\n|\Z", document.text)):
        until = taken
        while until < len(spans) and spans[until].start < line_end:
            reach = max(reach, spans[until].end)
            until += 1
        if reach > line_end and line_end < len(document.text):
            continue
        moved = [_moved(span, -start) for span in spans[taken:until]]
        first = document.starts_document and not pieces
        pieces.append(replace(document, text=document.text[start:line_end], spans=moved, starts_document=first))
        start, taken = line_end, until
    return pieces


def _moved(span: Span, by: int) -> Span:
    parts = tuple((start + by, end + by) for start, end in span.parts)
    return span._replace(start=span.start + by, end=span.end + by, parts=parts)
