"""The blog's JSON lines."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.corpus.blog_json import read_blog_json
from twinner.corpus.part import Part
from twinner.errors import BadInput

Write = Callable[..., Path]
Point = tuple[str, int, int]  # label, first character, last character


def read(write: Write, content: str, *points: Point) -> Part:
    annotation = [{"label": [label], "points": [{"start": first, "end": last}]} for label, first, last in points]
    return read_blog_json(write("a.json", json.dumps({"content": content, "annotation": annotation})), "de")


def mentions(part: Part) -> list[tuple[str, str]]:
    (sentence,) = part.sentences
    return [(" ".join(sentence.tokens[first:behind]), label) for first, behind, label in sentence.entities]


def test_ends_are_inclusive(write: Write) -> None:
    assert mentions(read(write, "Ibu hilft", ("b-med", 0, 2))) == [("Ibu", "med")]


def test_all_points_of_an_annotation_are_read(write: Write) -> None:
    points = [{"start": 0, "end": 2, "text": "Ibu"}, {"start": 8, "end": 10, "text": "Ibu"}]
    line = {"content": "Ibu und Ibu", "annotation": [{"label": ["b-med"], "points": points}]}
    assert mentions(read_blog_json(write("a.json", json.dumps(line)), "de")) == [("Ibu", "med"), ("Ibu", "med")]


def test_b_and_the_i_next_to_it_are_one_mention(write: Write) -> None:
    part = read(
        write, "Nur Ibu forte akut , Ass", ("i-med", 8, 12), ("b-med", 4, 6), ("i-med", 14, 17), ("b-med", 21, 23)
    )
    assert mentions(part) == [("Ibu forte akut", "med"), ("Ass", "med")]


def test_two_b_side_by_side_are_two_mentions(write: Write) -> None:
    assert mentions(read(write, "Ibu Ass", ("b-med", 0, 2), ("b-med", 4, 6))) == [("Ibu", "med"), ("Ass", "med")]


def test_a_label_without_prefix_is_used_as_it_is(write: Write) -> None:
    assert mentions(read(write, "Ibu Bonn", ("Drug", 0, 2), ("big-city", 4, 7))) == [
        ("Ibu", "Drug"),
        ("Bonn", "big-city"),
    ]


@pytest.mark.parametrize("first", [("b-med", 0, 2), ("b-loc", 4, 6)])
def test_an_i_that_continues_nothing_is_told_of(first: Point, write: Write) -> None:
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
            "a.json:1: the point quotes 'Ibu', but at its offsets stands 'bu '; count characters from 0",
        ),
        (
            {"label": ["i-a"], "points": [{"start": 0, "end": 2}]},
            "a.json:1: the label 'i-a' at 0 to 2 continues no mention of 'a'",
        ),
        (
            {"label": ["b-a"], "points": [{"start": 0, "end": 2}, {"start": 1, "end": 3}]},
            "a.json:1: the spans 0 to 3 .* and 1 to 4 .* overlap",
        ),
    ],
)
def test_bad_annotations_are_told_of(annotation: object, words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words):
        read_blog_json(write("a.json", json.dumps({"content": "Ibu hilft", "annotation": [annotation]})), "de")


def test_annotations_that_are_no_list_are_told_of(write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.json:1: the annotation '5' can't be read"):
        read_blog_json(write("a.json", '{"content": "Ibu", "annotation": 5}'), "de")


def test_no_annotation_at_all_is_a_sentence_without_entities(write: Write) -> None:
    part = read_blog_json(write("a.json", '{"content": "Gut so", "annotation": null}'), "de")
    assert part.sentences[0].entities == []


@pytest.mark.parametrize("lang", ["de", "xx"])
def test_the_real_corpus_has_281_sentences_and_659_mentions(lang: str, shared: Path) -> None:
    part = read_blog_json(shared / "med-de" / "med-corpus.json", lang)
    assert len(part.sentences) == 281
    assert sum(len(sentence.entities) for sentence in part.sentences) == 659
    assert {label for sentence in part.sentences for _, _, label in sentence.entities} == {"med"}
