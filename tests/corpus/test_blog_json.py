"""The blog's JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.corpus.blog_json import read_blog_json
from twinner.corpus.parsed import ParsedFile
from twinner.errors import BadInput

Write = Callable[..., Path]
Point = tuple[str, int, int]  # label, first character, last character


def read(write: Write, content: str, *points: Point) -> ParsedFile:
    annotation = [{"label": [label], "points": [{"start": first, "end": last}]} for label, first, last in points]
    return read_blog_json(write("a.json", json.dumps({"content": content, "annotation": annotation})), "de")


def mentions(part: ParsedFile) -> list[tuple[str, str]]:
    (sentence,) = part.sentences
    return [(" ".join(sentence.tokens[first:behind]), label) for first, behind, label in sentence.entities]


def test_reads_ends_as_inclusive(write: Write) -> None:
    assert mentions(read(write, "Ibu hilft", ("b-med", 0, 2))) == [("Ibu", "med")]


def test_reads_all_points_of_an_annotation(write: Write) -> None:
    points = [{"start": 0, "end": 2, "text": "Ibu"}, {"start": 8, "end": 10, "text": "Ibu"}]
    line = {"content": "Ibu und Ibu", "annotation": [{"label": ["b-med"], "points": points}]}
    assert mentions(read_blog_json(write("a.json", json.dumps(line)), "de")) == [("Ibu", "med"), ("Ibu", "med")]


def test_joins_b_and_adjacent_i(write: Write) -> None:
    part = read(
        write, "Nur Ibu forte akut , Ass", ("i-med", 8, 12), ("b-med", 4, 6), ("i-med", 14, 17), ("b-med", 21, 23)
    )
    assert mentions(part) == [("Ibu forte akut", "med"), ("Ass", "med")]


def test_keeps_adjacent_b_apart(write: Write) -> None:
    assert mentions(read(write, "Ibu Ass", ("b-med", 0, 2), ("b-med", 4, 6))) == [("Ibu", "med"), ("Ass", "med")]


def test_keeps_labels_without_prefix(write: Write) -> None:
    assert mentions(read(write, "Ibu Bonn", ("Drug", 0, 2), ("big-city", 4, 7))) == [
        ("Ibu", "Drug"),
        ("Bonn", "big-city"),
    ]


@pytest.mark.parametrize("first", [("b-med", 0, 2), ("b-loc", 4, 6)])
def test_rejects_i_without_b(first: Point, write: Write) -> None:
    with pytest.raises(
        BadInput, match=r"a.json:1: the label 'i-med' at 8 to 12 continues no mention of 'med'; write b-med"
    ):
        read(write, "Ibu und forte", first, ("i-med", 8, 12))


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ({"label": [], "points": []}, "a.json:1: the annotation .* can't be read; write"),
        ({"label": ["a", "b"], "points": []}, "with one label"),
        ({"label": ["a"], "points": [{"start": 0}]}, "a.json:1: the annotation \"{'start': 0}\" can't be read"),
        ("b-med", "a.json:1: the annotation 'b-med'"),
        (
            {"label": ["a"], "points": [{"start": 0, "end": 40}]},
            r"a.json:1: the span 0 to 41 \(a\) is outside the text",
        ),
        (
            {"label": ["a"], "points": [{"start": 1, "end": 3, "text": "Ibu"}]},
            r"a.json:1: the span 1 to 4 \(a\) quotes 'Ibu', but 'bu ' stands there; correct its offsets: they count",
        ),
        (
            {"label": ["i-a"], "points": [{"start": 0, "end": 2}]},
            "a.json:1: the label 'i-a' at 0 to 2 continues no mention of 'a'",
        ),
    ],
)
def test_rejects_invalid_annotations(annotation: object, words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words):
        read_blog_json(write("a.json", json.dumps({"content": "Ibu hilft", "annotation": [annotation]})), "de")


def test_keeps_longest_of_overlapping_points(write: Write) -> None:
    annotation = {"label": ["b-a"], "points": [{"start": 0, "end": 2}, {"start": 0, "end": 8}]}
    part = read_blog_json(write("a.json", json.dumps({"content": "Ibu hilft", "annotation": [annotation]})), "de")
    assert mentions(part) == [("Ibu hilft", "a")]
    assert "a.json:1 is the first of the entities left out" in part.notes[0]


def test_rejects_annotations_that_are_no_list(write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.json:1: the annotation '5' can't be read"):
        read_blog_json(write("a.json", '{"content": "Ibu", "annotation": 5}'), "de")


def test_null_annotation_means_no_entities(write: Write) -> None:
    part = read_blog_json(write("a.json", '{"content": "Gut so", "annotation": null}'), "de")
    assert part.sentences[0].entities == []


@pytest.mark.parametrize("lang", ["de", "xx"])
def test_real_corpus_has_281_sentences_and_659_mentions(lang: str, shared: Path) -> None:
    part = read_blog_json(shared / "med-de" / "med-corpus.json", lang)
    assert len(part.sentences) == 281
    assert sum(len(sentence.entities) for sentence in part.sentences) == 659
    assert {label for sentence in part.sentences for _, _, label in sentence.entities} == {"med"}


def test_reads_array(write: Write) -> None:
    record = {"content": "Ibu hilft", "annotation": [{"label": ["b-med"], "points": [{"start": 0, "end": 2}]}]}
    parsed = read_blog_json(write("a.json", json.dumps([record, record], indent=1)), "de")
    assert [sentence.entities for sentence in parsed.sentences] == [[(0, 1, "med")]] * 2
    with pytest.raises(BadInput, match=r"a.json: item 2: the annotation '7' can't be read"):
        read_blog_json(write("a.json", json.dumps([record, record | {"annotation": 7}], indent=1)), "de")


def test_converts_utf16_offsets_before_joining(write: Write) -> None:
    points = [("b-med", 3, 5, "Ibu"), ("i-med", 7, 11, "forte")]  # in UTF-16 units, ends inclusive
    annotation = [{"label": [la], "points": [{"start": s, "end": e, "text": t}]} for la, s, e, t in points]
    parsed = read_blog_json(write("a.json", json.dumps({"content": "😀 Ibu forte ja", "annotation": annotation})), "de")
    assert mentions(parsed) == [("Ibu forte", "med")]
    assert "a.json:1: the quoted spans show that offsets count UTF-16 units" in parsed.notes[0]


def test_redacts_text(write: Write) -> None:
    for annotation in (["Smith"], [{"label": ["a"], "points": [{"start": 0, "end": 2, "text": "Smith"}]}]):
        with pytest.raises(BadInput) as caught:
            read_blog_json(write("a.json", json.dumps({"content": "Smith", "annotation": annotation})), "de")
        assert "Smi" not in caught.value.redacted
