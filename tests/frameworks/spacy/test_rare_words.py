from collections import Counter

import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from twinner.frameworks.spacy.rare_words import RareWords

TEXTS = ["once Often"] * 200 + [f"word{i} often" for i in range(400)]


def examples() -> list[Example]:
    vocab = spacy.blank("en").vocab
    docs = [Doc(vocab, words=text.split()) for text in TEXTS]
    return [Example(doc, doc.copy()) for doc in docs]


def hidden(rare: RareWords, of: list[Example], seed: int) -> list[tuple[int, int]]:
    """Return the places (example, token) of the hidden words."""
    return [
        (i, token.i)
        for i, example in enumerate(rare.hide(of, seed))
        for token in example.predicted
        if token.norm != token.lex.norm
    ]


def test_hides_a_word_the_more_often_the_rarer_it_is() -> None:
    given = examples()
    rare = RareWords(0.5)
    for example in given:
        rare.count(example)
    by_word = Counter(given[i].predicted[place].text for i, place in hidden(rare, given, seed=1))
    single = sum(count for word, count in by_word.items() if word.startswith("word"))
    assert single / 400 == pytest.approx(0.5 / 1.5, abs=0.08)
    assert by_word["once"] <= 5  # of 200
    assert by_word["often"] + by_word["Often"] <= 5  # counted together, by their norm


def test_each_seed_hides_others_and_the_words_come_back() -> None:
    given = examples()
    rare = RareWords(0.5)
    for example in given:
        rare.count(example)
    first, second, again = (hidden(rare, given, seed) for seed in (1, 2, 1))
    assert first == again != second
    before = [[token.norm for token in example.predicted] for example in given]
    assert hidden(rare, given, seed=1) == first
    assert [[token.norm for token in example.predicted] for example in given] == before
    assert all(example.reference[0].norm == example.reference[0].lex.norm for example in given)


def test_hides_nothing_by_default() -> None:
    given = examples()
    rare = RareWords(0.0)
    rare.count(given[0])
    assert hidden(rare, given, seed=1) == []
