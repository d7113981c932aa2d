"""Records of annotation tools: texts with character offsets."""

import json
from pathlib import Path
from typing import Any

from twinner.corpus.overlaps import Span
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.place import Place
from twinner.corpus.records import records_of, text_of
from twinner.corpus.spans import AnnotatedText, in_characters, parse_texts

_SPAN_LISTS = ("spans", "entities", "labels", "label", "annotations")  # Prodigy; spaCy and doccano; doccano


def read_json_lines(file: Path, lang: str) -> ParsedFile:
    """Read records of Prodigy, doccano and similar tools: one sentence per object, ends of offsets exclusive.

    An object looks like `{"text": "Ibuprofen hilft", "spans": [{"start": 0, "end": 9, "label": "DRUG"}]}`; the list
    may be called `spans`, `entities`, `labels`, `label` or `annotations`, its items may be `[0, 9, "DRUG"]`, and the
    offsets `start_offset`, `end_offset`. A span may quote its text (`"text": "Ibuprofen"`, or a fourth item), which is
    checked.
    Of Prodigy's objects only those with `"answer": "accept"`, or no answer, are read.
    lang: the language of the tokenizer. Errors: BadInput that names the line or item.
    """
    texts = [
        AnnotatedText(text_of(record, "text", place), _spans(record, place), place)
        for place, record in records_of(file)
        if record.get("answer", "accept") == "accept"
    ]
    texts, notes = in_characters(texts)
    return parse_texts(texts, lang, notes)


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
    remedy = 'write {"start": 0, "end": 9, "label": "DRUG"} or [0, 9, "DRUG"]'
    if len(fields) > 2 and isinstance(fields[2], int):
        problem, remedy = f"the label of the entity {shown} is a number", "export the names of the labels"
    raise place.bad_input(problem, remedy, [shown])
