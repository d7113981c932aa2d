"""The content of one corpus file."""

from dataclasses import dataclass, field

from twinner.corpus.sentence import Sentence


@dataclass
class ParsedFile:
    """The sentences of one file, in order.

    documents: index of the first sentence of each document; empty where the format does not mark documents.
    widened: number of entities that did not fall on token borders and were widened to them.
    left_out: number of entities that, once widened, shared a token with the previous entity and were dropped.
    first_widened, first_left_out: place and text of the first of each, for the warning.
    notes: other warnings about the file, one line each.
    """

    sentences: list[Sentence] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)
    widened: int = 0
    left_out: int = 0
    first_widened: str = ""
    first_left_out: str = ""
    notes: list[str] = field(default_factory=list)
