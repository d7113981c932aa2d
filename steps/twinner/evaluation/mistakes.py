"""Classify the errors of predicted entities."""

from collections.abc import Sequence
from dataclasses import dataclass

from twinner.corpus.sentence import entities_of

Entity = tuple[int, int, str]  # first token, token after the last, label

KINDS = {
    "missed": "a gold entity without a predicted one",
    "spurious": "a predicted entity without a gold one",
    "wrong type": "the same tokens, a different type",
    "wrong border": "overlapping tokens, the same type",
    "wrong border and type": "overlapping tokens, a different type",
}


@dataclass(frozen=True)
class Mistake:
    """One error: its kind (a key of KINDS), its gold entity (None if spurious), its predicted one (None if missed)."""

    kind: str
    gold: Entity | None
    predicted: Entity | None


def errors_by_kind(gold_tags: Sequence[str], predicted_tags: Sequence[str]) -> list[Mistake]:
    """Return the errors of one sentence in order, from its n gold and n predicted BIO tags.

    Each entity counts once: gold entities = correct + wrong + missed, predicted ones = correct + wrong + spurious.
    Overlapping entities are paired greedily: same tokens first, then same type, then most shared tokens, then leftmost.
    Entities that remain are missed or spurious.
    """
    gold, predicted = list(entities_of(gold_tags)), list(entities_of(predicted_tags))
    pairs = [(ours, theirs) for ours in gold for theirs in predicted if ours[0] < theirs[1] and theirs[0] < ours[1]]
    pairs.sort(key=lambda pair: (pair[0][:2] != pair[1][:2], pair[0][2] != pair[1][2], -_shared(*pair), pair))
    unpaired_gold, unpaired_predicted = set(gold), set(predicted)
    mistakes = []
    for ours, theirs in pairs:
        if ours in unpaired_gold and theirs in unpaired_predicted:
            unpaired_gold.remove(ours)
            unpaired_predicted.remove(theirs)
            if ours != theirs:
                mistakes.append(Mistake(_kind(ours, theirs), ours, theirs))
    mistakes += [Mistake("missed", entity, None) for entity in unpaired_gold]
    mistakes += [Mistake("spurious", None, entity) for entity in unpaired_predicted]
    return sorted(mistakes, key=lambda mistake: (mistake.gold or mistake.predicted or (0, 0, ""), mistake.kind))


def _shared(gold: Entity, predicted: Entity) -> int:
    return min(gold[1], predicted[1]) - max(gold[0], predicted[0])


def _kind(gold: Entity, predicted: Entity) -> str:
    if gold[:2] == predicted[:2]:
        return "wrong type"
    return "wrong border" if gold[2] == predicted[2] else "wrong border and type"
