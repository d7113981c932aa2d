"""JSON of annotation tools: texts with character offsets, one object per line or one array of objects."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twinner.corpus.lines import numbered_lines
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.place import Place
from twinner.corpus.spans import AnnotatedText, Span, in_characters, parse_texts
from twinner.errors import BadInput

_SPAN_LISTS = ("spans", "entities", "labels", "label")  # Prodigy; spaCy and doccano; doccano


def read_json_lines(file: Path, lang: str) -> ParsedFile:
    """Read JSON of Prodigy, doccano and similar tools: one sentence per object, ends of offsets exclusive.

    An object looks like `{"text": "Ibuprofen hilft", "spans": [{"start": 0, "end": 9, "label": "DRUG"}]}`; the list
    may be called `spans`, `entities`, `labels` or `label`, its items may be `[0, 9, "DRUG"]`, and the offsets
    `start_offset`, `end_offset`. A span may quote its text (`"text": "Ibuprofen"`, or a fourth item), which is checked.
    Of Prodigy's objects only those with `"answer": "accept"`, or no answer, are read.
    lang: the language of the tokenizer. Errors: BadInput that names the line or item.
    """
    texts = [
        AnnotatedText(text_of(record, "text", place), _spans(record, place), place)
        for place, record in json_objects(file)
        if record.get("answer", "accept") == "accept"
    ]
    texts, notes = in_characters(texts)
    return parse_texts(texts, lang, notes)


def json_objects(file: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield (place, object) of a file with one JSON object per line, or with one array of objects."""
    lines = numbered_lines(file)
    first = True
    for number, line in lines:
        if not line.strip(" \t"):
            continue
        if first and line.lstrip(" \t").startswith("["):
            array = _parse("\n".join([line, *(rest for _, rest in lines)]), file, number)
            for item, record in enumerate(array, start=1):
                yield (place := Place(file, item=item)), _as_object(record, place)
            return
        first = False
        yield (place := Place(file, number)), _as_object(_parse(line, file, number), place)


def _parse(text: str, file: Path, line: int) -> Any:
    """Parse JSON that begins in the given line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        shown = repr(error.doc.splitlines()[error.lineno - 1][:40] if error.doc.strip() else "")
        problem = f"broken JSON ({error.msg}, column {error.colno}) in {shown}"
        remedy = "write one whole JSON object per line, or one array of objects"
        raise BadInput(problem, remedy, file, line + error.lineno - 1, [shown]) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists nested as deeply
        raise BadInput(f"the JSON can't be read ({error})", "write texts with spans", file, line) from error


def _as_object(record: Any, place: Place) -> dict[str, Any]:
    if not isinstance(record, dict):
        shown = repr(json.dumps(record, ensure_ascii=False)[:40])
        raise place.bad_input(f"{shown} is not a JSON object", 'write {"text": …, "spans": […]}', [shown])
    return record


def text_of(record: dict[str, Any], key: str, place: Place) -> str:
    """The text of a record. Errors: BadInput if it is missing, or not text that UTF-8 can hold."""
    text = record.get(key)
    if not isinstance(text, str):
        shown = repr(text)[:40]
        raise place.bad_input(f'the "{key}" is {shown}, not a text', f'give every object a "{key}"', [shown])
    try:
        text.encode()
    except UnicodeEncodeError as error:
        problem = f'the "{key}" holds half a character, {text[error.start]!r}'
        raise place.bad_input(problem, "export the file again as UTF-8") from error
    return text


def _spans(record: dict[str, Any], place: Place) -> list[Span]:
    """The entities of a record: its one non-empty list of them. Errors: BadInput for two lists that differ."""
    found: dict[str, list[Span]] = {}
    for key in _SPAN_LISTS:
        value = record.get(key)
        if isinstance(value, list):
            if key in ("labels", "label") and all(isinstance(item, str) for item in value):
                continue  # labels of the whole text
            if spans := [_span(item, place) for item in value]:
                found[key] = spans
        elif value and not isinstance(value, str):
            shown = repr(str(value)[:40])
            problem = f'the "{key}" is not a list but {shown}'
            raise place.bad_input(problem, 'write "spans": [{"start": 0, "end": 9, "label": "DRUG"}]', [shown])
    if len({frozenset(span[:3] for span in spans) for spans in found.values()}) > 1:
        names = " and ".join(f'"{key}"' for key in found)
        raise place.bad_input(f"the lists {names} hold different entities", "keep one of them")
    return next(iter(found.values()), [])


def _span(item: Any, place: Place) -> Span:
    if isinstance(item, dict):
        start, end = item.get("start", item.get("start_offset")), item.get("end", item.get("end_offset"))
        fields = [start, end, item.get("label"), item.get("text")]
    else:
        fields = [*item, None] if isinstance(item, list) else []
    match fields:
        case [int(start), int(end), str(label), quote, *_] if bool not in (type(start), type(end)):
            return Span(start, end, label, quote if isinstance(quote, str) else None)
    shown = json.dumps(item, ensure_ascii=False)[:60]
    problem = f"the entity {shown} lacks a start, an end or a label"
    raise place.bad_input(problem, 'write {"start": 0, "end": 9, "label": "DRUG"} or [0, 9, "DRUG"]', [shown])
