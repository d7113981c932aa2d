"""Why runs score as they do: errors by kind, what is taken for what, which entities and sentences are hard."""

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
MOST_CONFUSIONS = 12  # rows of the table of confusions
MOST_SENTENCES = 200  # in the viewer, so that the page stays light

ByRun = Mapping[str, Predictions]  # run id -> its predictions, all of the same gold tags


@dataclass(frozen=True)
class Confusion:
    """What was taken for what: the gold label, the predicted one, the kind of error, and how often, by run id."""

    gold: str
    predicted: str
    kind: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Slice:
    """A part of the test set, scored apart.

    name: which part. measure: `recall` or `F1`. size: the gold entities in it. scores: by run id.
    """

    name: str
    measure: str
    size: int
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Disagreement:
    """A sentence (its number from 1) on which two runs differ.

    kinds: of the errors that only one of the two makes. first, second: how many of these are of which run.
    lines: gold and the two predictions as pieces of text.
    """

    number: int
    kinds: Sequence[str]
    first: int
    second: int
    lines: Sequence[Sequence[Piece]]

    @cached_property
    def better(self) -> str:
        """Which of the two makes fewer of these errors: `first`, `second` or `neither`."""
        return "neither" if self.first == self.second else "first" if self.first < self.second else "second"


def kinds_by_run(runs: ByRun) -> dict[str, dict[str, int]]:
    """The number of errors by kind, for each run id; every kind is there."""
    return {
        run: {kind: sum(m.kind == kind for mistakes in found.mistakes for m in mistakes) for kind in KINDS}
        for run, found in runs.items()
    }


def confusions(runs: ByRun) -> list[Confusion]:
    """The most frequent errors by gold and predicted label, those of all runs together deciding the order."""
    by_run = {
        run: Counter(
            (_label(mistake.gold), _label(mistake.predicted), mistake.kind)
            for mistakes in found.mistakes
            for mistake in mistakes
        )
        for run, found in runs.items()
    }
    total = sum(by_run.values(), Counter[tuple[str, str, str]]())
    frequent = sorted(total, key=lambda key: (-total[key], key))[:MOST_CONFUSIONS]
    return [Confusion(*key, {run: counts[key] for run, counts in by_run.items()}) for key in frequent]


def confusion_of_entities(found: Predictions) -> tuple[list[str], NDArray[np.int64]]:
    """The labels, sorted, with `(nothing)` last; and how often each gold label (row) was taken for each (column).

    A gold entity and the predicted one that overlaps it best are a pair, whatever their borders; an entity without a
    partner is paired with nothing.
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


def slices(runs: ByRun) -> list[Slice]:
    """The test set cut by what was seen in training, by length of entity and by length of sentence.

    Entities seen or not are scored by recall alone: whether a spurious entity's text was seen is not recorded.
    """
    if not runs:
        return []
    return [*_by_seen(runs), *_by_entity_length(runs), *_by_sentence_length(runs)]


def disagreements(first: Predictions, second: Predictions) -> list[Disagreement]:
    """The sentences on which two runs predict different entities; only where both runs' tokens are known.

    At most 200: those first on which the one run makes the most errors more than the other.
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
        for number, own in found[:MOST_SENTENCES]
    ]


def differing_sentences(first: Predictions, second: Predictions) -> list[int]:
    """The numbers, from 0, of the sentences in which two runs predict different entities."""
    pairs = zip(first.predicted_entities, second.predicted_entities, strict=True)
    return [number for number, (ours, theirs) in enumerate(pairs) if ours != theirs]


def _lines(number: int, *runs: Predictions) -> list[list[Piece]]:
    """Gold, with what every run gets wrong marked, and the predictions of each run, with its own errors marked."""
    sentence = runs[0].sentence(number)
    missed = {mistake.gold for run in runs for mistake in run.mistakes[number]}
    lines = [pieces_of(sentence, sentence.entities, missed)]
    for run in runs:
        wrong = {mistake.predicted for mistake in run.mistakes[number]}
        lines.append(pieces_of(sentence, run.predicted_entities[number], wrong))
    return lines


def _label(entity: Entity | None) -> str:
    return entity[2] if entity else NOTHING


def _by_seen(runs: ByRun) -> list[Slice]:
    parts = []
    seen = next((found.seen for found in runs.values() if found.seen), {})
    for wanted, name in ((True, "Entities seen in training"), (False, "Entities never seen in training")):
        chosen = {place for place, known in seen.items() if known == wanted}
        if chosen:
            scores = {
                run: precision_recall_f1(
                    [(len(hit := chosen & _found(predictions)), 0, len(chosen) - len(hit))],
                )[1]
                for run, predictions in runs.items()
            }
            parts.append(Slice(name, "recall", len(chosen), scores))
    return parts


def _found(predictions: Predictions) -> set[tuple[int, Entity]]:
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
