"""Error analysis of sentences small enough to count by hand."""

from fractions import Fraction
from typing import Any

import pytest
from twinner.report.error_analysis import (
    NOTHING,
    count_by_kind,
    differing_sentences,
    entity_confusion_matrix,
    find_disagreements,
    frequent_confusions,
    score_slices,
)
from twinner.report.predictions import Predictions

TOKENS = ["Anna kommt aus New York", "Ulm liegt", "Köln und Bad Aibling", "es regnet"]
GOLD = ["B-PER O O B-LOC I-LOC", "B-LOC O", "B-LOC O B-LOC I-LOC", "O O"]
# Correct: Anna, Ulm, Köln; New York loses its York (wrong border); Bad Aibling is a person (wrong type).
FIRST = ["B-PER O O B-LOC O", "B-LOC O", "B-LOC O B-PER I-PER", "O O"]
# Correct: Anna, New York; Ulm is a person (wrong type); Köln and Bad Aibling are missed; "regnet" is spurious.
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


def test_f1_matches_counts() -> None:
    # a: 3 correct of 5 predicted and 5 gold; b: 2 correct of 4 predicted and 5 gold.
    assert RUNS["a"].f1 == pytest.approx(3 / 5)
    assert RUNS["b"].f1 == pytest.approx(4 / 9)  # 2 * 2 / (4 + 5)
    assert RUNS["a"].counts.tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 0]]


def test_counts_errors_by_kind() -> None:
    counts = count_by_kind(RUNS)
    assert {kind: count for kind, count in counts["a"].items() if count} == {"wrong type": 1, "wrong border": 1}
    assert {kind: count for kind, count in counts["b"].items() if count} == {
        "missed": 2,
        "spurious": 1,
        "wrong type": 1,
    }


def test_sorts_confusions_by_frequency() -> None:
    found = frequent_confusions(RUNS)
    # LOC missed: 2 (b); LOC as PER: 1 and 1; the others once.
    assert [(one.gold, one.predicted, one.kind, one.counts) for one in found] == [
        ("LOC", NOTHING, "missed", {"a": 0, "b": 2}),
        ("LOC", "PER", "wrong type", {"a": 1, "b": 1}),
        (NOTHING, "LOC", "spurious", {"a": 0, "b": 1}),
        ("LOC", "LOC", "wrong border", {"a": 1, "b": 0}),
    ]


def test_confusion_matrix_counts_each_entity_once() -> None:
    labels, counts = entity_confusion_matrix(RUNS["a"])
    assert labels == ["LOC", "PER", NOTHING]
    # LOC: Ulm, Köln and (ignoring borders) New York are LOC, Bad Aibling is PER; PER: Anna.
    assert counts.tolist() == [[3, 1, 0], [0, 1, 0], [0, 0, 0]]
    _, counts = entity_confusion_matrix(RUNS["b"])
    assert counts.tolist() == [[1, 1, 2], [0, 1, 0], [1, 0, 0]]


def test_scores_slices_of_test_set() -> None:
    found: dict[str, Any] = {part.name: (part.measure, part.size, part.scores) for part in score_slices(RUNS)}
    # Seen: Anna, Ulm, Köln; a finds all three, b only Anna. Not seen: New York and Bad Aibling; b finds the first.
    assert found["Entities seen in training"] == ("recall", 3, {"a": 1, "b": pytest.approx(1 / 3)})
    assert found["Entities not seen in training"] == ("recall", 2, {"a": 0, "b": pytest.approx(1 / 2)})
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


def test_omits_seen_slices_if_unknown() -> None:
    unknown = Predictions(split(GOLD), split(FIRST), None, {})
    assert not [part for part in score_slices({"a": unknown}) if part.measure == "recall"]
    assert score_slices({}) == []


def test_disagreements_mark_errors_of_each_run() -> None:
    assert differing_sentences(RUNS["a"], RUNS["b"]) == [0, 1, 2, 3]
    found = {one.number: one for one in find_disagreements(RUNS["a"], RUNS["b"])}
    assert [one.number for one in found.values()] == [1, 2, 3, 4]
    assert found[1].kinds == ["wrong border"]
    assert [found[number].better for number in (1, 2, 3, 4)] == ["second", "first", "first", "first"]
    gold, first, second = ([(p.text, p.label, p.wrong) for p in line if p.label] for line in found[1].lines)
    assert gold == [("Anna", "PER", False), ("New York", "LOC", True)]
    assert first == [("Anna", "PER", False), ("New", "LOC", True)]
    assert second == [("Anna", "PER", False), ("New York", "LOC", False)]


def test_shared_errors_are_no_disagreement() -> None:
    assert find_disagreements(RUNS["a"], predictions(FIRST)) == []


def test_no_disagreements_without_text() -> None:
    assert find_disagreements(predictions(FIRST, tokens=False), predictions(SECOND, tokens=False)) == []
