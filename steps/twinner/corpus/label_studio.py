"""Label Studio's JSON and JSON-MIN exports."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinner.corpus.overlaps import Span
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.place import Place
from twinner.corpus.records import check_text, records_of
from twinner.corpus.spans import AnnotatedText, in_characters, parse_texts

_ANNOTATIONS = ("annotations", "completions")  # the second until version 1.0


def is_label_studio(record: Mapping[str, Any]) -> bool:
    """Whether a record is a task of Label Studio's JSON, or an annotation of its JSON-MIN."""
    return record.keys() >= {"annotation_id", "annotator"} or (
        isinstance(record.get("data"), dict) and any(isinstance(record.get(key), list) for key in _ANNOTATIONS)
    )


def read_label_studio(file: Path, lang: str) -> ParsedFile:
    """Read texts with labels from Label Studio, a sentence for each task.

    Of several annotations of a task, the one marked as ground truth is read, else the one changed last; such tasks are
    counted. Tasks without an annotation, or with cancelled ones only, are left out and counted. Predictions, drafts,
    relations and other kinds of results are not used. In JSON-MIN cancelled annotations are already left out.
    The text is `text` of the data, or its only text. lang: the language of the tokenizer.
    Errors: BadInput that names the line or item, also for labels on HTML or dialogues, which have no offsets in a text.
    """
    tasks: dict[object, list[tuple[Place, dict[str, Any], dict[str, Any]]]] = {}  # place, data, annotation
    for place, record in records_of(file):
        if "annotation_id" in record:
            tasks.setdefault(repr(record.get("id", place)), []).append((place, record, record))
            continue
        annotations: list[Any] = next((record[key] for key in _ANNOTATIONS if isinstance(record.get(key), list)), [])
        data = record.get("data")
        if not isinstance(data, dict) or not all(isinstance(annotation, dict) for annotation in annotations):
            raise place.bad_input("the task has no data, or broken annotations", "export it again as JSON")
        finished = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
        tasks[place] = [(place, data, annotation) for annotation in finished]
    texts = [_annotated_text(*max(each, key=_preference)) for each in tasks.values() if each]
    texts, notes = in_characters(texts)
    return parse_texts(texts, lang, [*notes, *_notes(file, list(tasks.values()))])


def _preference(found: tuple[Place, dict[str, Any], dict[str, Any]]) -> tuple[bool, str]:
    annotation = found[2]
    changed = annotation.get("updated_at") or annotation.get("created_at") or ""  # ISO 8601, which sorts as text
    return bool(annotation.get("ground_truth")), str(changed)


def _notes(file: Path, tasks: list[list[tuple[Place, dict[str, Any], dict[str, Any]]]]) -> list[str]:
    several, none = sum(len(each) > 1 for each in tasks), sum(not each for each in tasks)
    said = []
    if several:
        rule = "the one marked as ground truth is read, else the one changed last"
        said.append(f"{several:,} tasks have several annotations: {rule}")
    if none:
        said.append(f"{none:,} tasks without a finished annotation are left out")
    return [f"{Place(file)}: {' and '.join(said)}"] if said else []


def _annotated_text(place: Place, data: dict[str, Any], annotation: dict[str, Any]) -> AnnotatedText:
    if annotation is data:  # JSON-MIN has the regions of a control under its name
        regions = [region for value in data.values() if isinstance(value, list) for region in value]
        data = {key: value for key, value in data.items() if not key.endswith("_at")}
    else:
        results = annotation.get("result") or []
        regions = [result.get("value") for result in results if isinstance(result, dict)]
    key = _text_key(data, place)
    text = check_text(data[key], key, place)
    return AnnotatedText(text, [span for region in regions for span in _spans(region, text, place)], place)


def _text_key(data: Mapping[str, Any], place: Place) -> str:
    keys = [key for key, value in data.items() if isinstance(value, str)]
    if "text" in keys:
        return "text"
    if len(keys) == 1:
        return keys[0]
    shown = ", ".join(map(repr, keys))[:80] or "none"
    raise place.bad_input(f'the task\'s data has no "text"; its texts are {shown}', 'rename one to "text"', [shown])


def _spans(region: Any, text: str, place: Place) -> list[Span]:
    """The entities of a region, one for each of its labels; none if it is not a labelled piece of text."""
    match region:
        case {"start": int(start), "end": int(end), "labels": [*labels]} if all(
            isinstance(each, str) for each in labels
        ):
            quote = region.get("text")
            if isinstance(quote, str) and "\\n" not in text:
                quote = quote.replace("\\n", "\n")  # Label Studio writes line ends as two characters
            return [Span(start, end, label, quote if isinstance(quote, str) else None) for label in labels]
        case {"hypertextlabels": _} | {"paragraphlabels": _} | {"labels": _, "start": _}:
            shown = json.dumps(region, ensure_ascii=False, default=str)[:60]
            problem = f"the region {shown} has no offsets in a plain text"
            raise place.bad_input(
                problem, "label plain texts: <Text> with <Labels> in the labelling interface", [shown]
            )
    return []
