"""Collecting the tokenized sentences of a file."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from twinner.corpus.parsed import ParsedFile
from twinner.corpus.schemes import TagPairs
from twinner.corpus.sentence import Sentence


class TaggedSentences:
    """The sentences of one file of tokens with tags, converted to IOB2 one by one while the file is read."""

    def __init__(self, file: Path, items: bool = False) -> None:
        """Begin a file. items: as in TagPairs."""
        self._parsed = ParsedFile()
        self._pairs = TagPairs(file, items)

    def start_document(self) -> None:
        """Mark the next sentence as the first of a document."""
        self._parsed.documents.append(len(self._parsed.sentences))

    def add(self, tokens: Sequence[str], tags: Sequence[str], lines: Sequence[int]) -> None:
        """Add a sentence, n >= 1 of each; tokens that are empty or white space are left out, as they are no words.

        Errors: BadInput for a tag of no scheme.
        """
        iob2 = self._pairs.add(tags, lines)
        if "" in tokens or any(map(str.isspace, tokens)):
            tokens, iob2 = _without_white_space(tokens, iob2)
        if tokens:
            self._parsed.sentences.append(Sentence.from_tokens(tokens, iob2))

    def finish(self, notes: Iterable[str] = ()) -> ParsedFile:
        """Return what was read, with warnings. Errors: BadInput if the tags of the file follow no scheme."""
        parsed = self._parsed
        parsed.notes += [note for note in (*notes, self._pairs.stray_tags()) if note]
        starts = set(parsed.documents)
        if starts:
            starts.add(0)  # sentences before the first mark are a document too
        parsed.documents = sorted(starts - {len(parsed.sentences)})
        return parsed


def _without_white_space(tokens: Sequence[str], tags: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words and their tags; the first word left of an entity gets its B-."""
    words, marks = [], []
    pending = False  # the token that began this entity was dropped
    for token, tag in zip(tokens, tags, strict=True):
        if not token or token.isspace():
            pending = tag.startswith("B-") or (pending and tag.startswith("I-"))
            continue
        words.append(token)
        marks.append(f"B-{tag[2:]}" if pending and tag.startswith("I-") else tag)
        pending = False
    return words, marks
