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
    places = {
        (sentence.starts[first], sentence.ends[end - 1], label): (first, end, label) for first, end, label in entities
    }
    return pieces_of_text(sentence.text, list(places), {place for place, entity in places.items() if entity in wrong})


def pieces_of_text(text: str, entities: Sequence[Entity], wrong: Collection[Entity]) -> list[Piece]:
    """Cut a text at the borders of its entities, in characters, which are sorted and do not overlap."""
    pieces = []
    position = 0
    for entity in entities:
        start, end, label = entity
        pieces.append(Piece(text[position:start]))
        pieces.append(Piece(text[start:end], label, entity in wrong))
        position = end
    pieces.append(Piece(text[position:]))
    return [piece for piece in pieces if piece.text]
