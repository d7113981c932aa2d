"""What is wrong with a predicted entity, or with a gold one that was not found."""

from collections.abc import Sequence
from dataclasses import dataclass

from twinner.corpus.sentence import entities_of

Entity = tuple[int, int, str]  # first token, behind the last token, label

KINDS = {
    "missed": "a gold entity for which there is no predicted one",
    "spurious": "a predicted entity for which there is no gold one",
    "wrong type": "the very same tokens, another type",
    "wrong border": "overlapping tokens, the same type",
    "wrong border and type": "overlapping tokens, another type",
}


@dataclass(frozen=True)
class Mistake:
    """One error: its kind (of KINDS), the gold entity unless it is spurious, the predicted one unless it is missed."""

    kind: str
    gold: Entity | None
    predicted: Entity | None


def errors_by_kind(gold_tags: Sequence[str], predicted_tags: Sequence[str]) -> list[Mistake]:
    """The errors of one sentence of n tokens, in its order; gold and predicted BIO tags are n each.

    Each entity counts once: gold entities = correct + wrong + missed, predicted ones = correct + wrong + spurious.
    Where several overlap, the best pair goes first (same tokens, then same type, then most shared tokens, then the
    leftmost); what is left over without a partner is missed or spurious.
    """
    gold, predicted = list(entities_of(gold_tags)), list(entities_of(predicted_tags))
    pairs = [(ours, theirs) for ours in gold for theirs in predicted if ours[0] < theirs[1] and theirs[0] < ours[1]]
    pairs.sort(key=lambda pair: (pair[0][:2] != pair[1][:2], pair[0][2] != pair[1][2], -_shared(*pair), pair))
    unmet_gold, unmet_predicted = set(gold), set(predicted)
    mistakes = []
    for ours, theirs in pairs:
        if ours in unmet_gold and theirs in unmet_predicted:
            unmet_gold.remove(ours)
            unmet_predicted.remove(theirs)
            if ours != theirs:
                mistakes.append(Mistake(_kind(ours, theirs), ours, theirs))
    mistakes += [Mistake("missed", entity, None) for entity in unmet_gold]
    mistakes += [Mistake("spurious", None, entity) for entity in unmet_predicted]
    return sorted(mistakes, key=lambda mistake: (mistake.gold or mistake.predicted or (0, 0, ""), mistake.kind))


def _shared(gold: Entity, predicted: Entity) -> int:
    return min(gold[1], predicted[1]) - max(gold[0], predicted[0])


def _kind(gold: Entity, predicted: Entity) -> str:
    if gold[:2] == predicted[:2]:
        return "wrong type"
    return "wrong border" if gold[2] == predicted[2] else "wrong border and type"
