"""The one currency of the project: sentences of tokens with BIO tags."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as both frameworks see it; the four fields belong together, token i being `text[starts[i]:ends[i]]`.

    tokens, tags, starts: n entries each, n >= 1. Tags are IOB2: `O`, `B-LABEL`, `I-LABEL`, where an `I-` only ever
    follows a tag of its own label. starts: the offset of each token in `text`, in characters.
    text: the original sentence; for column formats, which do not keep it, the tokens joined by one space.
    """

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    starts: tuple[int, ...]
    text: str

    @classmethod
    def from_tokens(cls, tokens: Sequence[str], tags: Sequence[str]) -> "Sentence":
        """A sentence of a format that keeps no text: its text is the tokens joined by one space."""
        starts = []
        position = 0
        for token in tokens:
            starts.append(position)
            position += len(token) + 1
        return cls(tuple(tokens), tuple(tags), tuple(starts), " ".join(tokens))

    @property
    def ends(self) -> tuple[int, ...]:
        """The offset behind the last character of each token, in characters."""
        return tuple(start + len(token) for start, token in zip(self.starts, self.tokens, strict=True))

    @property
    def entities(self) -> list[tuple[int, int, str]]:
        """The entities as (first token, behind the last token, label)."""
        return list(entities_of(self.tags))


def entities_of(tags: Iterable[str]) -> Iterator[tuple[int, int, str]]:
    """Yield (first token, behind the last token, label) of each entity in BIO tags, as conlleval reads them.

    An `I-` that follows `O`, the start, or another label opens an entity (a model may predict such).
    """
    start, label = 0, ""
    position = -1
    for position, tag in enumerate(tags):
        if label and tag != f"I-{label}":
            yield start, position, label
            label = ""
        if tag != "O" and not label:
            start, label = position, tag[2:]
    if label:
        yield start, position + 1, label


def digest(*parts: Iterable[Sentence]) -> str:
    """A digest of the tokens and tags of some splits, in order: 16 hexadecimal digits of a SHA-256."""
    sha = hashlib.sha256()
    for part in parts:
        for sentence in part:
            for token, tag in zip(sentence.tokens, sentence.tags, strict=True):
                sha.update(f"{token}\t{tag}\n".encode())
            sha.update(b"\n")
        sha.update(b"\x1d")
    return sha.hexdigest()[:16]


@dataclass(frozen=True)
class Corpus:
    """A corpus as read: three splits of sentences, and where they came from.

    name: as the user gave it. lang: the language of the tokenizer, such as `de` or `xx`.
    sources: for each of `train`, `dev`, `test` the file or URL that it came from.
    widened: how many entities did not fall on token borders and were widened to them.
    files: the local files that were read, for a download those in the cache.
    """

    name: str
    lang: str
    train: tuple[Sentence, ...]
    dev: tuple[Sentence, ...]
    test: tuple[Sentence, ...]
    sources: dict[str, str]
    widened: int = 0
    files: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        """The entity types of the training data, sorted."""
        return sorted({label for sentence in self.train for _, _, label in sentence.entities})

    @property
    def digest(self) -> str:
        """The digest of train and dev: what a model learns from."""
        return digest(self.train, self.dev)

    @property
    def test_digest(self) -> str:
        """The digest of test: scores compare only where it is the same."""
        return digest(self.test)
