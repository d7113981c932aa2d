"""Label Studio's JSON and JSON-MIN exports."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twinner.corpus.formats import read_file
from twinner.errors import BadInput

Write = Callable[..., Path]
TEXT = "Ann wohnt\nin Ulm."


def region(start: int, end: int, *labels: str, text: str | None = None) -> dict[str, Any]:
    value = {"start": start, "end": end, "text": TEXT[start:end] if text is None else text, "labels": list(labels)}
    return {"value": value, "id": "x1", "from_name": "label", "to_name": "text", "type": "labels", "origin": "manual"}


def annotation(*result: dict[str, Any], updated: str = "2026-01-02T10:00:00.0Z", **more: object) -> dict[str, Any]:
    own = {"id": 7, "completed_by": 1, "was_cancelled": False, "ground_truth": False, "updated_at": updated}
    return own | {"result": list(result), "lead_time": 4.2} | more


def task(*annotations: dict[str, Any], **data: object) -> dict[str, Any]:
    return {
        "id": 1,
        "annotations": list(annotations),
        "file_upload": "a.txt",
        "drafts": [],
        "predictions": [{"result": [region(0, 9, "WRONG")]}],
        "data": data or {"text": TEXT},
        "meta": {},
    }


PER, LOC = region(0, 3, "PER"), region(13, 16, "LOC")


def read(write: Write, *tasks: dict[str, Any]) -> tuple[list[list[tuple[str, str]]], list[str]]:
    """The entities of each task, and the notes."""
    parsed = read_file(write("a.json", json.dumps(tasks)), "de")
    found = [[(" ".join(s.tokens[first:end]), label) for first, end, label in s.entities] for s in parsed.sentences]
    return found, parsed.notes


def test_reads_regions_of_text(write: Write) -> None:
    others: list[dict[str, Any]] = [
        {"value": {"choices": ["news"]}, "from_name": "kind", "to_name": "text", "type": "choices"},
        {"from_id": "x1", "to_id": "x2", "type": "relation", "direction": "right"},
        {"value": {"start": 0, "end": 3, "text": ["who?"]}, "from_name": "note", "type": "textarea"},
    ]
    assert read(write, task(annotation(PER, *others, LOC))) == ([[("Ann", "PER"), ("Ulm", "LOC")]], [])


def test_text_is_the_only_one_of_the_data(write: Write) -> None:
    assert read(write, task(annotation(PER), body=TEXT, number=4)) == ([[("Ann", "PER")]], [])
    with pytest.raises(
        BadInput, match=r"a.json: item 1: the task's data has no \"text\"; its texts are 'body', 'title'"
    ):
        read(write, task(annotation(PER), body=TEXT, title="Ann"))


def test_line_ends_are_quoted_as_two_characters(write: Write) -> None:
    found, _ = read(write, task(annotation(region(4, 12, "X", text="wohnt\\nin"))))
    assert found == [[("wohnt in", "X")]]


def test_of_two_labels_the_first_is_kept_and_the_other_counted(write: Write) -> None:
    found, (note,) = read(write, task(annotation(region(0, 3, "PER", "ORG"))))
    assert found == [[("Ann", "PER")]]
    assert "item 1 is the first of the entities left out" in note


def test_one_annotation_of_several_is_read(write: Write) -> None:
    early, late = annotation(PER, updated="2026-01-01T09:00:00.0Z"), annotation(LOC, updated="2026-01-01T10:00:00.0Z")
    truth = annotation(PER, LOC, updated="2025-01-01T10:00:00.0Z", ground_truth=True)
    found, (note,) = read(write, task(late, early), task(truth, late), task(annotation(PER)))
    assert found == [[("Ulm", "LOC")], [("Ann", "PER"), ("Ulm", "LOC")], [("Ann", "PER")]]
    assert note.endswith(
        "a.json: 2 tasks have several annotations: the one marked as ground truth is read, else the one changed last"
    )


def test_tasks_without_finished_annotation_are_left_out(write: Write) -> None:
    cancelled = annotation(LOC, was_cancelled=True, updated="2026-01-09T10:00:00.0Z")
    found, (note,) = read(write, task(cancelled), task(), task(annotation()), task(annotation(PER), cancelled))
    assert found == [[], [("Ann", "PER")]]
    assert note.endswith("a.json: 2 tasks without a finished annotation are left out")


def test_offsets_of_javascript_are_converted(write: Write) -> None:
    emoji = region(3, 6, "PER", text="Ann")  # the emoji is two UTF-16 units
    found, (note,) = read(write, task(annotation(emoji), text="😀 Ann lacht"))
    assert found == [[("Ann", "PER")]]
    assert "item 1: the quoted spans show that offsets count UTF-16 units" in note


def test_reads_json_min(write: Write) -> None:
    record: dict[str, Any] = {
        "text": TEXT,
        "id": 1,
        "ner": [PER["value"], LOC["value"]],
        "kind": "news",
        "annotator": 1,
        "annotation_id": 7,
        "created_at": "2026-01-01T10:00:00.0Z",
        "updated_at": "2026-01-01T10:00:00.0Z",
        "lead_time": 4.2,
    }
    both = [("Ann", "PER"), ("Ulm", "LOC")]
    assert read(write, record) == ([both], [])
    later = record | {"ner": [LOC["value"]], "annotator": 2, "updated_at": "2026-01-03T10:00:00.0Z"}
    found, (note,) = read(write, later, record, record | {"id": 2})
    assert found == [[("Ulm", "LOC")], both]
    assert "a.json: 1 tasks have several annotations" in note


@pytest.mark.parametrize(
    "value",
    [
        {
            "start": "/p[1]/text()[1]",
            "end": "/p[1]/text()[1]",
            "startOffset": 0,
            "endOffset": 3,
            "hypertextlabels": ["A"],
        },
        {"start": "0", "end": "0", "startOffset": 0, "endOffset": 3, "paragraphlabels": ["A"]},
        {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "labels": ["A"]},
    ],
)
def test_rejects_labels_on_html_and_dialogues(value: dict[str, Any], write: Write) -> None:
    with pytest.raises(
        BadInput, match=r"a.json: item 1: the region .* has no offsets in a plain text; label plain texts"
    ):
        read(write, task(annotation({"value": value, "type": "labels"})))


def test_rejects_wrong_offsets(write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.json: item 1: the span 1 to 4 \(PER\) quotes 'Ann', but 'nn ' stands there"):
        read(write, task(annotation(region(1, 4, "PER", text="Ann"))))
