"""Entities that overlap are reduced by one rule, and counted."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twinner.corpus.overlaps import Reduction, Span
from twinner.corpus.place import Place

PLACE = Place(Path("f.jsonl"), 3)
SPANS = st.lists(
    st.builds(
        lambda start, length, label, parts: Span(start, start + length, label, None, ((0, 1), (2, 3)) if parts else ()),
        st.integers(0, 20),
        st.integers(1, 8),
        st.sampled_from("AB"),
        st.booleans(),
    ),
    max_size=8,
)


def overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


@pytest.mark.parametrize(
    ("spans", "kept"),
    [
        ([(0, 9, "A"), (5, 9, "B")], [(0, 9, "A")]),  # nested
        ([(5, 9, "B"), (0, 9, "A")], [(0, 9, "A")]),
        ([(0, 5, "A"), (4, 12, "B")], [(4, 12, "B")]),  # crossing
        ([(0, 5, "A"), (0, 5, "B")], [(0, 5, "A")]),  # two labels
        ([(0, 4, "A"), (3, 9, "B"), (8, 12, "C")], [(3, 9, "B")]),
        ([(0, 4, "A"), (3, 6, "B"), (5, 9, "C")], [(0, 4, "A"), (5, 9, "C")]),
        ([(4, 8, "A"), (0, 4, "A")], [(0, 4, "A"), (4, 8, "A")]),  # adjacent
    ],
)
def test_keeps_longest_then_first(spans: list[tuple[int, int, str]], kept: list[tuple[int, int, str]]) -> None:
    reduction = Reduction()
    assert [span[:3] for span in reduction.reduce([Span(*span) for span in spans], PLACE)] == kept
    left_out = len(spans) - len(kept)
    expected = (
        f"f.jsonl:3 is the first of the entities left out because they overlap longer or earlier ones: {left_out}"
    )
    assert reduction.note() == (expected if left_out else "")


def test_span_of_parts_is_read_as_one_where_nothing_else_stands() -> None:
    parts = Span(0, 20, "A", None, ((0, 4), (9, 20)))
    alone, beside = Reduction(), Reduction()
    assert alone.reduce([parts], PLACE) == [parts]
    assert (
        alone.note() == "f.jsonl:3 is the first of the entities of several parts, read as one span over all of them: 1"
    )
    assert beside.reduce([parts, Span(5, 20, "A")], PLACE) == [Span(5, 20, "A")]
    assert "left out because they overlap longer or earlier ones: 1" in beside.note()


def test_same_span_twice_counts_once() -> None:
    reduction = Reduction()
    assert reduction.reduce([Span(0, 3, "A"), Span(0, 3, "A", "Ibu")], PLACE)[0][:3] == (0, 3, "A")
    assert reduction.note() == ""


@given(spans=SPANS)
def test_what_is_left_out_overlaps_what_is_preferred(spans: list[Span]) -> None:
    kept = Reduction().reduce(spans, PLACE)
    assert kept == sorted(kept, key=lambda span: span.start)
    assert not any(overlap(one, other) for index, one in enumerate(kept) for other in kept[:index])
    for span in spans:
        if span[:3] not in [each[:3] for each in kept]:
            rivals = [each for each in kept if overlap(span, each)]
            assert rivals
            assert span.parts or any(
                not each.parts and each.end - each.start >= span.end - span.start for each in rivals
            )


@given(spans=SPANS)
def test_count_is_that_of_spans_left_out(spans: list[Span]) -> None:
    reduction = Reduction()
    kept = reduction.reduce(spans, PLACE)
    left_out = len({span[:3] for span in spans}) - len(kept)
    assert (f"earlier ones: {left_out}" in reduction.note()) == (left_out > 0)
