"""Sentences of tokens with BIO tags: the data structure that all of the project shares."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MAX_CHARACTERS = 1_000_000  # of a sentence; spaCy's `nlp.max_length`


@dataclass(frozen=True, slots=True)
class Sentence:
    """A tokenized sentence with its tags; token i is `text[starts[i]:ends[i]]`.

    tokens, tags, starts: n entries each, n >= 1. Tags are IOB2: `O`, `B-LABEL`, `I-LABEL`, where an `I-` always
    follows a tag of its own label. starts: offset of each token in `text`, in characters.
    text: the original sentence; for column formats, which do not keep it, the tokens joined by single spaces.
    """

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    starts: tuple[int, ...]
    text: str

    @classmethod
    def from_tokens(cls, tokens: Sequence[str], tags: Sequence[str]) -> "Sentence":
        """Make a sentence whose text is its tokens joined by single spaces."""
        starts = []
        position = 0
        for token in tokens:
            starts.append(position)
            position += len(token) + 1
        return cls(tuple(tokens), tuple(tags), tuple(starts), " ".join(tokens))

    @property
    def ends(self) -> tuple[int, ...]:
        """The exclusive end of each token in `text`, in characters."""
        return tuple(start + len(token) for start, token in zip(self.starts, self.tokens, strict=True))

    @property
    def entities(self) -> list[tuple[int, int, str]]:
        """The entities as (first token, end token, label), the end exclusive."""
        return list(entities_of(self.tags))


def entities_of(tags: Iterable[str]) -> Iterator[tuple[int, int, str]]:
    """Yield (first token, end token, label) of each entity in BIO tags, the end exclusive, as conlleval reads them.

    An `I-` at the start, or after `O` or another label, begins an entity (models predict such tags).
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


def word_count(sentences: Iterable[Sentence]) -> int:
    """Return the number of tokens of all sentences."""
    return sum(len(sentence.tokens) for sentence in sentences)


def digest(*parts: Iterable[Sentence]) -> str:
    """Digest the tokens and tags of splits, in order: 16 hexadecimal digits of a SHA-256."""
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
    """Three splits of sentences, and their sources.

    name: as given by the user. lang: the language of the tokenizer, such as `de` or `xx`.
    sources: the file or URL of each of `train`, `dev`, `test`.
    widened: number of entities that did not fall on token borders and were widened to them.
    files: the local files that were read; for downloads, those in the cache.
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
        """The digest of train and dev, the data that a model is trained and selected on."""
        return digest(self.train, self.dev)

    @property
    def test_digest(self) -> str:
        """The digest of test: scores are comparable only if it is equal."""
        return digest(self.test)

    @property
    def test_seen_in_train(self) -> float:
        """The share of test sentences, from 0 to 1, whose tokens are also those of a training sentence."""
        return len(self.test_sentences_in_train()) / len(self.test)

    def test_sentences_in_train(self) -> list[Sentence]:
        """The test sentences whose tokens are also those of a training sentence."""
        train = {sentence.tokens for sentence in self.train}
        return [sentence for sentence in self.test if sentence.tokens in train]
