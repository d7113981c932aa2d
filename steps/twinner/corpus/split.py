"""Holding out shares of a file for dev and test, always the same sentences."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from twinner.corpus.parsed import ParsedFile
from twinner.corpus.sentence import Sentence

MAX_ERROR = 0.5  # how far the share of a split may be off the wanted one, relative to that

Unit = Sequence[Sentence]  # stays in one split: a document, or one sentence
Splits = dict[str, tuple[Sentence, ...]]


def split_file(parsed: ParsedFile, fractions: Mapping[str, float]) -> tuple[Splits, bool]:
    """Divide the sentences of a file into `train` and a split for each of the fractions, of the whole file.

    Documents stay together if the file marks them, has enough of them, and no split is then off its wanted share by
    more than MAX_ERROR of it. The second value is whether they had to be torn for the last reason.
    There must be more sentences than fractions, and these must add up to less than 1.
    """
    sentences = [(sentence,) for sentence in parsed.sentences]
    documents = documents_of(parsed)
    if len(documents) <= len(fractions):
        return _split(sentences, fractions), False
    splits = _split(documents, fractions)
    wanted = {"train": 1 - sum(fractions.values()), **fractions}
    shares = {split: len(splits[split]) / len(sentences) for split in wanted}
    if all(abs(shares[split] - wanted[split]) <= MAX_ERROR * wanted[split] for split in wanted):
        return splits, False
    return _split(sentences, fractions), True


def documents_of(parsed: ParsedFile) -> list[Unit]:
    """The documents of a file; empty if its format does not mark them."""
    borders = [*parsed.documents, len(parsed.sentences)]
    return [parsed.sentences[start:end] for start, end in pairwise(borders)]


def hold_out(units: Sequence[Unit], fraction: float, keep: int = 1) -> tuple[list[Unit], list[Unit]]:
    """Divide more than `keep` units into (kept, held out): at least `keep` are kept and one is held out.

    The units held out are spread evenly and hold about `fraction` of the sentences: a unit is taken if that brings
    the share taken so far closer to `fraction`. It is deterministic.
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


def _split(units: Sequence[Unit], fractions: Mapping[str, float]) -> Splits:
    splits: Splits = {}
    rest = 1.0
    for index, (split, fraction) in enumerate(fractions.items()):
        units, held = hold_out(units, fraction / rest, keep=len(fractions) - index)
        splits[split] = sentences_of(held)
        rest -= fraction
    return {"train": sentences_of(units), **splits}
