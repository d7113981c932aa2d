"""Sentences, their entities and digests."""

import random

from seqeval.metrics.sequence_labeling import get_entities
from twinner.corpus import Corpus, Sentence, digest, entities_of


def test_from_tokens_joins_them_by_spaces() -> None:
    sentence = Sentence.from_tokens(["Frau", "Ö", "lacht"], ["O", "B-PER", "O"])
    assert sentence.text == "Frau Ö lacht"
    assert [sentence.text[s:e] for s, e in zip(sentence.starts, sentence.ends, strict=True)] == ["Frau", "Ö", "lacht"]
    assert sentence.entities == [(1, 2, "PER")]


def test_entities_equal_those_of_seqeval() -> None:
    chance = random.Random(0)
    for _ in range(2_000):
        tags = chance.choices(["O", "B-A", "I-A", "B-B", "I-B"], k=chance.randint(1, 8))
        assert list(entities_of(tags)) == [(start, last + 1, label) for label, start, last in get_entities(tags)]


def test_digest_depends_on_tokens_tags_sentences_and_splits() -> None:
    a, b, ab = (Sentence.from_tokens(words, ["O"] * len(words)) for words in (["a"], ["b"], ["a", "b"]))
    tagged = Sentence.from_tokens(["a"], ["B-X"])
    digests = [digest([a], [b]), digest([a, b]), digest([ab]), digest([b, a]), digest([tagged, b]), digest([a, b], [])]
    assert len(set(digests)) == len(digests)
    assert digest([a], [b]) == digest((a,), (b,))


def test_share_of_test_sentences_seen_in_train() -> None:
    def split(*texts: str) -> tuple[Sentence, ...]:
        return tuple(Sentence.from_tokens(text.split(), ["O"] * len(text.split())) for text in texts)

    corpus = Corpus("c", "xx", split("a b", "c", "d"), split("e"), split("a b", "c", "c", "a", "e"), {})
    assert corpus.test_seen_in_train == 3 / 5
