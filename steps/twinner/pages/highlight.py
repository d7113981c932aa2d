"""A sentence cut into pieces, its entities marked, for the pages that show them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from twinner.corpus.sentence import Sentence
from twinner.evaluation.mistakes import Entity


@dataclass(frozen=True)
class Piece:
    """A stretch of a sentence: an entity with its label, or text between entities (label empty); wrong: in an error."""

    text: str
    label: str = ""
    wrong: bool = False


def pieces_of(sentence: Sentence, entities: Sequence[Entity], wrong: Collection[Entity | None]) -> list[Piece]:
    """The sentence's text cut at the borders of the entities, which stand in order and do not overlap."""
    pieces = []
    position = 0
    for first, end, label in entities:
        start, stop = sentence.starts[first], sentence.ends[end - 1]
        pieces.append(Piece(sentence.text[position:start]))
        pieces.append(Piece(sentence.text[start:stop], label, (first, end, label) in wrong))
        position = stop
    pieces.append(Piece(sentence.text[position:]))
    return [piece for piece in pieces if piece.text]
