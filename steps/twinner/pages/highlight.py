"""Cut a sentence into pieces with marked entities, for display."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from twinner.corpus.sentence import Sentence
from twinner.evaluation.mistakes import Entity


@dataclass(frozen=True)
class Piece:
    """An entity, or the text between entities, which has no label. wrong: the entity is part of an error."""

    text: str
    label: str = ""
    wrong: bool = False


def pieces_of(sentence: Sentence, entities: Sequence[Entity], wrong: Collection[Entity | None]) -> list[Piece]:
    """Cut the sentence's text at the borders of its entities, which are sorted and do not overlap."""
    pieces = []
    position = 0
    for first, end, label in entities:
        start, stop = sentence.starts[first], sentence.ends[end - 1]
        pieces.append(Piece(sentence.text[position:start]))
        pieces.append(Piece(sentence.text[start:stop], label, (first, end, label) in wrong))
        position = stop
    pieces.append(Piece(sentence.text[position:]))
    return [piece for piece in pieces if piece.text]
