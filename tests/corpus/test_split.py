"""Held-out sentences: always the same, spread evenly, never none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twinner.corpus.part import Part
from twinner.corpus.sentence import Sentence
from twinner.corpus.split import hold_out, sentences_of, units_of

SENTENCES = [Sentence.from_tokens([str(number)], ["O"]) for number in range(100)]


def test_every_tenth_sentence_is_held_out() -> None:
    kept, held = hold_out([[sentence] for sentence in SENTENCES], 0.1)
    assert [sentence.text for sentence in sentences_of(held)] == [str(number) for number in range(4, 100, 10)]
    assert len(kept) == 90


def test_documents_stay_together_and_are_weighed_by_their_sentences() -> None:
    part = Part(SENTENCES, documents=[0, 50, 60, 70, 80, 90])
    units = units_of(part, 3)
    assert [len(unit) for unit in units] == [50, 10, 10, 10, 10, 10]
    _, held = hold_out(units, 0.2)
    assert sum(len(unit) for unit in held) == 20


@pytest.mark.parametrize(("documents", "units"), [([], 100), ([0, 50], 100), ([0, 50, 60], 3)])
def test_too_few_documents_are_split_by_sentence(documents: list[int], units: int) -> None:
    assert len(units_of(Part(SENTENCES, documents=documents), 3)) == units


@given(sizes=st.lists(st.integers(1, 9), min_size=3, max_size=60), fraction=st.floats(0.001, 0.999))
def test_nothing_is_lost_doubled_or_left_empty(sizes: list[int], fraction: float) -> None:
    numbers = iter(range(1000))
    units = [[Sentence.from_tokens([str(next(numbers))], ["O"]) for _ in range(size)] for size in sizes]
    kept, held = hold_out(units, fraction, keep=2)
    assert len(kept) >= 2
    assert held
    texts = [[int(sentence.text) for sentence in sentences_of(side)] for side in (kept, held)]
    assert sorted(texts[0] + texts[1]) == list(range(sum(sizes)))
    assert all(side == sorted(side) for side in texts)
