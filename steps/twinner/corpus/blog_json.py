"""The JSON lines of the blog's German medical corpus, as Dataturks exported them."""

import re
from pathlib import Path
from typing import Any

from twinner.corpus.json_lines import json_objects, text_of
from twinner.corpus.part import Part
from twinner.corpus.spans import Span, SpanReader
from twinner.errors import BadInput

_PREFIXED = re.compile(r"([bi])-(.+)", re.IGNORECASE | re.DOTALL)


def read_blog_json(file: Path, lang: str) -> Part:
    """Read the blog's JSON lines: one sentence a line, all points of an annotation, offsets end INCLUSIVELY.

    A line looks like `{"content": "Ibuprofen hilft", "annotation": [{"label": ["b-med"], "points": [{"text":
    "Ibuprofen", "start": 0, "end": 8}]}]}`. `b-med` and the `i-med` next to it are one mention of `med`; a label
    without such a prefix is used as it is. lang: the language of the tokenizer. Errors: BadInput that names the line.
    """
    reader = SpanReader(file, lang)
    for number, record in json_objects(file):
        text = text_of(record, "content", file, number)
        annotations = record.get("annotation") or []  # null where an annotator found nothing
        if not isinstance(annotations, list):
            raise _not_an_annotation(annotations, file, number)
        spans = [span for annotation in annotations for span in _points(annotation, text, file, number)]
        reader.add(text, _join(sorted(spans), text, file, number), number)
    return reader.part


def _points(annotation: Any, text: str, file: Path, line: int) -> list[Span]:
    """The spans of one annotation, their ends exclusive, their labels as they stand."""
    spans: list[Span] = []
    match annotation:
        case {"label": [str(label)], "points": [*points]}:
            for point in points:
                match point:
                    case {"start": int(start), "end": int(end)}:
                        _check_quote(point.get("text"), text[max(start, 0) : end + 1], file, line)
                        spans.append((start, end + 1, label))
                    case _:
                        raise _not_an_annotation(point, file, line)
            return spans
    raise _not_an_annotation(annotation, file, line)


def _not_an_annotation(item: Any, file: Path, line: int) -> BadInput:
    remedy = 'write {"label": ["b-med"], "points": [{"start": 0, "end": 8, "text": "…"}]}, with one label'
    return BadInput(f"the annotation {str(item)[:60]!r} can't be read", remedy, file, line)


def _check_quote(quote: Any, found: str, file: Path, line: int) -> None:
    """A point quotes its text: where it differs, the offsets count something else than characters."""
    if isinstance(quote, str) and found and quote.strip() != found.strip():
        problem = f"the point quotes {quote!r}, but at its offsets stands {found!r}"
        raise BadInput(problem, "count characters from 0, the end being the last character's", file, line)


def _join(spans: list[Span], text: str, file: Path, line: int) -> list[Span]:
    """Join each `i-` span to the mention right before it, nothing but white space between."""
    joined: list[Span] = []
    for start, end, name in spans:
        prefixed = _PREFIXED.fullmatch(name)
        label = prefixed[2] if prefixed else name
        if prefixed and prefixed[1] in "iI":
            before = joined[-1] if joined else (0, 0, "")
            if before[2] != label or text[before[1] : start].strip():
                problem = f"the label {name!r} at {start} to {end - 1} continues no mention of {label!r}"
                raise BadInput(problem, f"write b-{label}", file, line)
            if start >= before[1]:  # else they overlap, which is told of where all spans are checked
                joined[-1] = (before[0], end, label)
                continue
        joined.append((start, end, label))
    return joined
