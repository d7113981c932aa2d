"""JSON lines as annotation tools export them: a text with character offsets a line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twinner.corpus.lines import numbered_lines
from twinner.corpus.part import Part
from twinner.corpus.spans import Span, SpanReader
from twinner.errors import BadInput

_SPAN_LISTS = ("spans", "entities", "labels", "label")  # Prodigy; spaCy and doccano; doccano


def read_json_lines(file: Path, lang: str) -> Part:
    """Read JSON lines of Prodigy, doccano and the like: one sentence a line, offsets end exclusively.

    A line looks like `{"text": "Ibuprofen hilft", "spans": [{"start": 0, "end": 9, "label": "DRUG"}]}`;
    the list may be called `spans`, `entities`, `labels` or `label`, its items may be `[0, 9, "DRUG"]`, and the
    offsets `start_offset`, `end_offset`. Of Prodigy's lines only those with `"answer": "accept"`, or none, are read.
    lang: the language of the tokenizer. Errors: BadInput that names the line.
    """
    reader = SpanReader(file, lang)
    for number, record in json_objects(file):
        if record.get("answer", "accept") != "accept":
            continue
        spans = [_span(item, file, number) for item in _items(record, file, number)]
        reader.add(text_of(record, "text", file, number), spans, number)
    return reader.part


def json_objects(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, object) of a file with one JSON object a line; blank lines are skipped."""
    for number, line in numbered_lines(file):
        if not line.strip(" \t"):
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            problem = f"broken JSON ({error}) in {line[:40]!r}"
            raise BadInput(problem, "write one whole JSON object a line", file, number) from error
        if not isinstance(record, dict):
            problem = f"{line[:40]!r} is no JSON object"
            raise BadInput(problem, "write one JSON object a line, not a list of them", file, number)
        yield number, record


def text_of(record: dict[str, Any], key: str, file: Path, line: int) -> str:
    """The text of a record. Errors: BadInput if it is missing, or not text that UTF-8 can hold."""
    text = record.get(key)
    if not isinstance(text, str):
        raise BadInput(f'the "{key}" is {text!r}, not a text', f'give every line a "{key}"', file, line)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        problem = f'the "{key}" holds half a character, {text[error.start]!r}'
        raise BadInput(problem, "export the file again as UTF-8", file, line) from error
    return text


def _items(record: dict[str, Any], file: Path, line: int) -> list[Any]:
    """The first list of entities in a record; none where an annotator found nothing."""
    for key in _SPAN_LISTS:
        value = record.get(key)
        if isinstance(value, list):
            return value
        if value is not None and not isinstance(value, str):  # a text is the label of the whole line
            problem = f'the "{key}" is no list but {str(value)[:40]!r}'
            raise BadInput(problem, 'write "spans": [{"start": 0, "end": 9, "label": "DRUG"}]', file, line)
    return []


def _span(item: Any, file: Path, line: int) -> Span:
    if isinstance(item, dict):
        fields = [item.get("start", item.get("start_offset")), item.get("end", item.get("end_offset"))]
        fields.append(item.get("label"))
    else:
        fields = item if isinstance(item, list) else []
    match fields:
        case [int(start), int(end), str(label)]:
            return start, end, label
    problem = f"the entity {json.dumps(item, ensure_ascii=False)[:60]} lacks a start, an end or a label"
    raise BadInput(problem, 'write {"start": 0, "end": 9, "label": "DRUG"} or [0, 9, "DRUG"]', file, line)
