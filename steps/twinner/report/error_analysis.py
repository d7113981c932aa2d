"""Explain the scores of runs: errors by kind, confusions, hard entities and sentences, disagreements."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from twinner.corpus.sentence import entities_of
from twinner.evaluation.mistakes import KINDS, Entity
from twinner.evaluation.scores import precision_recall_f1
from twinner.pages.highlight import Piece, pieces_of
from twinner.report.predictions import Predictions

NOTHING = "(nothing)"
MAX_CONFUSIONS = 12  # rows in the table
MAX_SENTENCES = 200  # in the viewer, to keep the page small

ByRun = Mapping[str, Predictions]  # run id -> its predictions, all for the same gold tags


@dataclass(frozen=True)
class Confusion:
    """A gold label, the label predicted instead, the kind of error, and how often each run made it (by run id)."""

    gold: str
    predicted: str
    kind: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Slice:
    """A part of the test set with scores of its own, by run id.

    measure: `recall` or `F1`. size: the number of gold entities.
    """

    name: str
    measure: str
    size: int
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Disagreement:
    """A sentence (numbered from 1) on which two runs disagree.

    kinds: of the errors that only one run makes. first, second: the number of those errors in each run.
    lines: gold and both predictions as pieces of text.
    """

    number: int
    kinds: Sequence[str]
    first: int
    second: int
    lines: Sequence[Sequence[Piece]]

    @cached_property
    def better(self) -> str:
        """The run with fewer of these errors: `first`, `second` or `neither`."""
        return "neither" if self.first == self.second else "first" if self.first < self.second else "second"


def count_by_kind(runs: ByRun) -> dict[str, dict[str, int]]:
    """Return the number of errors of every kind, by run id."""
    return {
        run: {kind: sum(m.kind == kind for mistakes in found.mistakes for m in mistakes) for kind in KINDS}
        for run, found in runs.items()
    }


def frequent_confusions(runs: ByRun) -> list[Confusion]:
    """Return the most frequent errors by gold and predicted label, sorted by their total over all runs."""
    by_run = {
        run: Counter(
            (_label(mistake.gold), _label(mistake.predicted), mistake.kind)
            for mistakes in found.mistakes
            for mistake in mistakes
        )
        for run, found in runs.items()
    }
    total = sum(by_run.values(), Counter[tuple[str, str, str]]())
    frequent = sorted(total, key=lambda key: (-total[key], key))[:MAX_CONFUSIONS]
    return [Confusion(*key, {run: counts[key] for run, counts in by_run.items()}) for key in frequent]


def entity_confusion_matrix(found: Predictions) -> tuple[list[str], NDArray[np.int64]]:
    """Return n sorted labels, `(nothing)` last, and an n by n matrix of gold labels (rows) and predicted ones.

    A gold entity is paired with the predicted one that overlaps it best, whatever their borders; an entity without a
    partner counts under `(nothing)`.
    """
    pairs: list[tuple[str, str]] = []
    for gold, predicted, mistakes in zip(found.gold_entities, found.predicted_entities, found.mistakes, strict=True):
        pairs += [(entity[2], entity[2]) for entity in set(gold) & set(predicted)]
        pairs += [(_label(mistake.gold), _label(mistake.predicted)) for mistake in mistakes]
    labels = [*sorted({label for pair in pairs for label in pair} - {NOTHING}), NOTHING]
    if not pairs:
        return labels, np.zeros((1, 1), dtype=np.int64)
    gold_labels, predicted_labels = zip(*pairs, strict=True)
    return labels, confusion_matrix(gold_labels, predicted_labels, labels=labels)


def score_slices(runs: ByRun) -> list[Slice]:
    """Score parts of the test set: entities seen in training or not, by entity length, by sentence length.

    Seen and unseen entities get recall only, as nothing records whether a spurious entity's text was seen.
    """
    if not runs:
        return []
    return [*_by_seen_in_training(runs), *_by_entity_length(runs), *_by_sentence_length(runs)]


def find_disagreements(first: Predictions, second: Predictions) -> list[Disagreement]:
    """Return up to 200 sentences with different predictions, those with the largest difference in errors first.

    Empty if the runs logged no tokens.
    """
    if first.tokens is None:
        return []
    found = []
    for number in differing_sentences(first, second):
        mistakes = first.mistakes[number], second.mistakes[number]
        common = set(mistakes[0]) & set(mistakes[1])
        own = [[mistake for mistake in of_run if mistake not in common] for of_run in mistakes]
        found.append((number, own))
    found.sort(key=lambda pair: (-abs(len(pair[1][0]) - len(pair[1][1])), pair[0]))
    return [
        Disagreement(
            number + 1,
            [kind for kind in KINDS if any(mistake.kind == kind for of_run in own for mistake in of_run)],
            len(own[0]),
            len(own[1]),
            _lines(number, first, second),
        )
        for number, own in found[:MAX_SENTENCES]
    ]


def differing_sentences(first: Predictions, second: Predictions) -> list[int]:
    """Return the indices of the sentences in which two runs predict different entities."""
    pairs = zip(first.predicted_entities, second.predicted_entities, strict=True)
    return [number for number, (ours, theirs) in enumerate(pairs) if ours != theirs]


def _lines(number: int, *runs: Predictions) -> list[list[Piece]]:
    """Return gold, with the entities that any run got wrong marked, then each run's predictions with its errors."""
    sentence = runs[0].sentence(number)
    missed = {mistake.gold for run in runs for mistake in run.mistakes[number]}
    lines = [pieces_of(sentence, sentence.entities, missed)]
    for run in runs:
        wrong = {mistake.predicted for mistake in run.mistakes[number]}
        lines.append(pieces_of(sentence, run.predicted_entities[number], wrong))
    return lines


def _label(entity: Entity | None) -> str:
    return entity[2] if entity else NOTHING


def _by_seen_in_training(runs: ByRun) -> list[Slice]:
    parts = []
    seen = next((found.seen for found in runs.values() if found.seen), {})
    for wanted, name in ((True, "Entities seen in training"), (False, "Entities not seen in training")):
        chosen = {place for place, known in seen.items() if known == wanted}
        if chosen:
            scores = {
                run: precision_recall_f1(
                    [(len(hit := chosen & _predicted(predictions)), 0, len(chosen) - len(hit))],
                )[1]
                for run, predictions in runs.items()
            }
            parts.append(Slice(name, "recall", len(chosen), scores))
    return parts


def _predicted(predictions: Predictions) -> set[tuple[int, Entity]]:
    return {(n, entity) for n, entities in enumerate(predictions.predicted_entities) for entity in entities}


def _by_entity_length(runs: ByRun) -> list[Slice]:
    names: list[tuple[str, Callable[[int], bool]]] = [
        ("Entities of 1 token", lambda length: length == 1),
        ("Entities of 2 tokens", lambda length: length == 2),
        ("Entities of 3 tokens or more", lambda length: length > 2),
    ]
    parts = []
    for name, fits in names:
        scores, size = {}, 0
        for run, found in runs.items():
            gold, predicted = (
                {
                    (number, entity)
                    for number, entities in enumerate(by_sentence)
                    for entity in entities
                    if fits(entity[1] - entity[0])
                }
                for by_sentence in (found.gold_entities, found.predicted_entities)
            )
            size = len(gold)
            scores[run] = precision_recall_f1([(len(gold & predicted), len(predicted - gold), len(gold - predicted))])[
                2
            ]
        if size:
            parts.append(Slice(name, "F1", size, scores))
    return parts


def _by_sentence_length(runs: ByRun) -> list[Slice]:
    gold = next(iter(runs.values())).gold
    lengths = np.array([len(tags) for tags in gold])
    middle = int(median(lengths.tolist()))
    parts = []
    for name, chosen in (
        (f"Sentences up to {middle} tokens", lengths <= middle),
        (f"Sentences over {middle} tokens", lengths > middle),
    ):
        size = sum(len(list(entities_of(tags))) for tags, one in zip(gold, chosen, strict=True) if one)
        if size:
            counts = {run: found.counts[chosen].sum(axis=0) for run, found in runs.items()}
            scores = {run: precision_recall_f1([tuple(of_run)])[2] for run, of_run in counts.items()}
            parts.append(Slice(name, "F1", size, scores))
    return parts
