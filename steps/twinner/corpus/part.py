"""What a reader makes of one file."""

from dataclasses import dataclass, field

from twinner.corpus.sentence import Sentence


@dataclass
class Part:
    """The sentences of one file, in its order.

    documents: the index of the first sentence of each document; empty where the format does not mark documents.
    widened: entities that did not fall on token borders and were widened to them.
    left_out: entities that, so widened, shared a token with the entity before and could not be kept.
    first_widened, first_left_out: the place and text of the first of each, for the warning.
    """

    sentences: list[Sentence] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)
    widened: int = 0
    left_out: int = 0
    first_widened: str = ""
    first_left_out: str = ""
