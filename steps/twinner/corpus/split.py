"""Holding out a share of the sentences, always the same ones."""

from collections.abc import Sequence

from twinner.corpus.part import Part
from twinner.corpus.sentence import Sentence

Unit = Sequence[Sentence]  # what stays together: a document, or one sentence


def units_of(part: Part, splits: int) -> list[Unit]:
    """The documents of a part where they are marked and there is one for each of the splits, else its sentences."""
    starts = part.documents
    if len(starts) < splits:
        return [(sentence,) for sentence in part.sentences]
    ends = [*starts[1:], len(part.sentences)]
    return [part.sentences[start:end] for start, end in zip(starts, ends, strict=True)]


def hold_out(units: Sequence[Unit], fraction: float, keep: int = 1) -> tuple[list[Unit], list[Unit]]:
    """Divide more than `keep` units into (kept, held out): at least `keep` are kept and one is held out.

    The units held out are spread evenly over the whole and hold about `fraction` of its sentences: a unit is taken
    when that brings the share taken so far closer to `fraction`. There is no chance in it.
    """
    held: list[int] = []
    seen = taken = 0
    for index, unit in enumerate(units):
        seen += len(unit)
        if taken + len(unit) / 2 <= fraction * seen:
            held.append(index)
            taken += len(unit)
    held = held[: len(units) - keep] or [len(units) - 1]
    out = set(held)
    return [unit for index, unit in enumerate(units) if index not in out], [units[index] for index in held]


def sentences_of(units: Sequence[Unit]) -> tuple[Sentence, ...]:
    """The sentences of some units, in order."""
    return tuple(sentence for unit in units for sentence in unit)
