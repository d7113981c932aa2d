"""JSON of the blog's German medical corpus, as exported by Dataturks."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from twinner.corpus.overlaps import Span
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.place import Place
from twinner.corpus.records import records_of, text_of
from twinner.corpus.spans import AnnotatedText, in_characters, parse_texts
from twinner.errors import BadInput

_PREFIXED = re.compile(r"([bi])-(.+)", re.IGNORECASE | re.DOTALL)


def read_blog_json(file: Path, lang: str) -> ParsedFile:
    """Read the blog's JSON: one sentence per object, all points of an annotation, ends of offsets INCLUSIVE.

    An object looks like `{"content": "Ibuprofen hilft", "annotation": [{"label": ["b-med"], "points": [{"text":
    "Ibuprofen", "start": 0, "end": 8}]}]}`. `b-med` and an adjacent `i-med` are one mention of `med`; a label without
    such a prefix is used as it is. lang: the language of the tokenizer. Errors: BadInput that names the line or item.
    """
    texts, notes = in_characters([_annotated_text(record, place) for place, record in records_of(file)])
    return parse_texts([replace(text, spans=_joined(text)) for text in texts], lang, notes)


def _annotated_text(record: dict[str, Any], place: Place) -> AnnotatedText:
    text = text_of(record, "content", place)
    annotations = record.get("annotation") or []  # null if an annotator found nothing
    if not isinstance(annotations, list):
        raise _invalid(annotations, place)
    return AnnotatedText(text, [span for annotation in annotations for span in _points(annotation, place)], place)


def _points(annotation: Any, place: Place) -> list[Span]:
    """The spans of one annotation, with exclusive ends and unchanged labels."""
    spans: list[Span] = []
    match annotation:
        case {"label": [str(label)], "points": [*points]}:
            for point in points:
                match point:
                    case {"start": int(start), "end": int(end)} if bool not in (type(start), type(end)):
                        quote = point.get("text")
                        spans.append(Span(start, end + 1, label, quote if isinstance(quote, str) else None))
                    case _:
                        raise _invalid(point, place)
            return spans
    raise _invalid(annotation, place)


def _invalid(annotation: Any, place: Place) -> BadInput:
    shown = repr(str(annotation)[:60])
    remedy = 'write {"label": ["b-med"], "points": [{"start": 0, "end": 8, "text": "…"}]}, with one label'
    return place.bad_input(f"the annotation {shown} can't be read", remedy, [shown])


def _joined(annotated: AnnotatedText) -> list[Span]:
    """The spans without prefixes, each `i-` span joined to the mention before it, white space apart."""
    joined: list[Span] = []
    for span in sorted(annotated.spans, key=lambda span: span.start):
        prefixed = _PREFIXED.fullmatch(span.label)
        label = prefixed[2] if prefixed else span.label
        if prefixed and prefixed[1] in "iI":
            before = joined[-1] if joined else Span(0, 0, "")
            if before.label != label or annotated.text[before.end : span.start].strip():
                problem = (
                    f"the label {span.label!r} at {span.start} to {span.end - 1} continues no mention of {label!r}"
                )
                raise annotated.place.bad_input(problem, f"write b-{label}")
            if span.start >= before.end:  # else they overlap, an error of its own
                joined[-1] = Span(before.start, span.end, label)
                continue
        joined.append(Span(span.start, span.end, label))
    return joined
