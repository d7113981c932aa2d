"""The currency: sentences, their entities and digests."""

import random

from seqeval.metrics.sequence_labeling import get_entities
from twinner.corpus import Sentence, digest, entities_of


def test_the_text_of_columns_is_the_tokens_with_a_space_between() -> None:
    sentence = Sentence.from_tokens(["Frau", "Ö", "lacht"], ["O", "B-PER", "O"])
    assert sentence.text == "Frau Ö lacht"
    assert [sentence.text[s:e] for s, e in zip(sentence.starts, sentence.ends, strict=True)] == ["Frau", "Ö", "lacht"]
    assert sentence.entities == [(1, 2, "PER")]


def test_entities_are_those_that_seqeval_reads() -> None:
    chance = random.Random(0)
    for _ in range(2_000):
        tags = chance.choices(["O", "B-A", "I-A", "B-B", "I-B"], k=chance.randint(1, 8))
        assert list(entities_of(tags)) == [(start, last + 1, label) for label, start, last in get_entities(tags)]


def test_digests_tell_tokens_tags_sentences_and_splits_apart() -> None:
    a, b, ab = (Sentence.from_tokens(words, ["O"] * len(words)) for words in (["a"], ["b"], ["a", "b"]))
    tagged = Sentence.from_tokens(["a"], ["B-X"])
    digests = [digest([a], [b]), digest([a, b]), digest([ab]), digest([b, a]), digest([tagged, b]), digest([a, b], [])]
    assert len(set(digests)) == len(digests)
    assert digest([a], [b]) == digest((a,), (b,))
