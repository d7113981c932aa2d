"""What is said of the errors, on sentences small enough to count by eye."""

from fractions import Fraction
from typing import Any

import pytest
from twinner.report.predictions import Predictions
from twinner.report.why import (
    NOTHING,
    confusion_of_entities,
    confusions,
    differing_sentences,
    disagreements,
    kinds_by_run,
    slices,
)

TOKENS = ["Anna kommt aus New York", "Ulm liegt", "Köln und Bad Aibling", "es regnet"]
GOLD = ["B-PER O O B-LOC I-LOC", "B-LOC O", "B-LOC O B-LOC I-LOC", "O O"]
# Right: Anna, Ulm, Köln; New York loses its York (wrong border); Bad Aibling is a person (wrong type).
FIRST = ["B-PER O O B-LOC O", "B-LOC O", "B-LOC O B-PER I-PER", "O O"]
# Right: Anna, New York; Ulm is a person (wrong type); Köln and Bad Aibling are missed; "regnet" is spurious.
SECOND = ["B-PER O O B-LOC I-LOC", "B-PER O", "O O O O", "O B-LOC"]
SEEN = {
    (0, (0, 1, "PER")): True,
    (0, (3, 5, "LOC")): False,
    (1, (0, 1, "LOC")): True,
    (2, (0, 1, "LOC")): True,
    (2, (2, 4, "LOC")): False,
}


def split(lines: list[str]) -> list[tuple[str, ...]]:
    return [tuple(line.split()) for line in lines]


def predictions(predicted: list[str], tokens: bool = True) -> Predictions:
    return Predictions(split(GOLD), split(predicted), split(TOKENS) if tokens else None, SEEN)


RUNS = {"a": predictions(FIRST), "b": predictions(SECOND)}


def test_f1_is_that_of_the_counts() -> None:
    # a: 3 right of 5 predicted and 5 gold; b: 2 right of 4 predicted and 5 gold.
    assert RUNS["a"].f1 == pytest.approx(3 / 5)
    assert RUNS["b"].f1 == pytest.approx(4 / 9)  # 2 * 2 / (4 + 5)
    assert RUNS["a"].counts.tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 0]]


def test_errors_are_counted_by_kind() -> None:
    counts = kinds_by_run(RUNS)
    assert {kind: count for kind, count in counts["a"].items() if count} == {"wrong type": 1, "wrong border": 1}
    assert {kind: count for kind, count in counts["b"].items() if count} == {
        "missed": 2,
        "spurious": 1,
        "wrong type": 1,
    }


def test_the_most_frequent_confusions_come_first() -> None:
    found = confusions(RUNS)
    # LOC taken for nothing: 2 (b); LOC for PER: 1 and 1; the others once.
    assert [(one.gold, one.predicted, one.kind, one.counts) for one in found] == [
        ("LOC", NOTHING, "missed", {"a": 0, "b": 2}),
        ("LOC", "PER", "wrong type", {"a": 1, "b": 1}),
        (NOTHING, "LOC", "spurious", {"a": 0, "b": 1}),
        ("LOC", "LOC", "wrong border", {"a": 1, "b": 0}),
    ]


def test_the_confusion_matrix_pairs_each_entity_once() -> None:
    labels, counts = confusion_of_entities(RUNS["a"])
    assert labels == ["LOC", "PER", NOTHING]
    # LOC: Ulm, Köln and (borders aside) New York are LOC, Bad Aibling is PER; PER: Anna.
    assert counts.tolist() == [[3, 1, 0], [0, 1, 0], [0, 0, 0]]
    _, counts = confusion_of_entities(RUNS["b"])
    assert counts.tolist() == [[1, 1, 2], [0, 1, 0], [1, 0, 0]]


def test_parts_of_the_test_set_are_scored_apart() -> None:
    found: dict[str, Any] = {part.name: (part.measure, part.size, part.scores) for part in slices(RUNS)}
    # Seen: Anna, Ulm, Köln; a finds all three, b Anna alone. Never seen: New York and Bad Aibling; b finds the first.
    assert found["Entities seen in training"] == ("recall", 3, {"a": 1, "b": pytest.approx(1 / 3)})
    assert found["Entities never seen in training"] == ("recall", 2, {"a": 0, "b": pytest.approx(1 / 2)})
    # One token, gold: Anna, Ulm, Köln. a predicts these and New: 6 / (4 + 3). b: Anna, Ulm as PER, regnet: 2 / (3 + 3).
    assert found["Entities of 1 token"] == ("F1", 3, {"a": pytest.approx(6 / 7), "b": pytest.approx(2 / 6)})
    # Two tokens, gold: New York, Bad Aibling. a predicts Bad Aibling as PER: 0. b: New York: 2 / (1 + 2).
    assert found["Entities of 2 tokens"] == ("F1", 2, {"a": 0, "b": pytest.approx(2 / 3)})
    assert "Entities of 3 tokens or more" not in found
    # Sentences have 5, 2, 4 and 2 tokens; the median is 3. Short: Ulm and "es regnet".
    assert found["Sentences up to 3 tokens"] == ("F1", 1, {"a": 1, "b": 0})
    assert found["Sentences over 3 tokens"][2] == {
        "a": pytest.approx(float(Fraction(4, 8))),  # Anna and Köln, of 4 predicted and 4 gold
        "b": pytest.approx(float(Fraction(4, 6))),  # Anna and New York, of 2 predicted and 4 gold
    }


def test_nothing_is_said_of_what_was_seen_where_it_is_unknown() -> None:
    unknown = Predictions(split(GOLD), split(FIRST), None, {})
    assert not [part for part in slices({"a": unknown}) if part.measure == "recall"]
    assert slices({}) == []


def test_disagreements_show_gold_and_both_predictions_with_their_own_errors() -> None:
    assert differing_sentences(RUNS["a"], RUNS["b"]) == [0, 1, 2, 3]
    found = {one.number: one for one in disagreements(RUNS["a"], RUNS["b"])}
    assert [one.number for one in found.values()] == [1, 2, 3, 4]
    assert found[1].kinds == ["wrong border"]
    assert [found[number].better for number in (1, 2, 3, 4)] == ["second", "first", "first", "first"]
    gold, first, second = ([(p.text, p.label, p.wrong) for p in line if p.label] for line in found[1].lines)
    assert gold == [("Anna", "PER", False), ("New York", "LOC", True)]
    assert first == [("Anna", "PER", False), ("New", "LOC", True)]
    assert second == [("Anna", "PER", False), ("New York", "LOC", False)]


def test_sentences_where_both_make_the_same_error_are_no_disagreement() -> None:
    assert disagreements(RUNS["a"], predictions(FIRST)) == []


def test_without_text_there_is_nothing_to_show() -> None:
    assert disagreements(predictions(FIRST, tokens=False), predictions(SECOND, tokens=False)) == []
