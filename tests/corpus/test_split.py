"""Holding out sentences: reproducible, spread evenly, never none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.sentence import Sentence
from twinner.corpus.split import documents_of, hold_out, sentences_of, split_file

SENTENCES = [Sentence.from_tokens([str(number)], ["O"]) for number in range(100)]


def test_holds_out_every_tenth_sentence() -> None:
    kept, held = hold_out([[sentence] for sentence in SENTENCES], 0.1)
    assert [sentence.text for sentence in sentences_of(held)] == [str(number) for number in range(4, 100, 10)]
    assert len(kept) == 90


def test_weighs_documents_by_sentences() -> None:
    units = documents_of(ParsedFile(SENTENCES, documents=[0, 50, 60, 70, 80, 90]))
    assert [len(unit) for unit in units] == [50, 10, 10, 10, 10, 10]
    _, held = hold_out(units, 0.2)
    assert sum(len(unit) for unit in held) == 20


@pytest.mark.parametrize(
    ("documents", "sizes"),
    [
        ([], (80, 10, 10)),  # none are marked
        ([0, 50], (80, 10, 10)),  # too few for three splits
        ([0, 80, 90], (80, 10, 10)),  # as they are
        ([0, 75, 85], (75, 10, 15)),  # 15 % instead of 10 % is just not too far off
    ],
)
def test_splits_by_document_only_if_shares_allow_it(documents: list[int], sizes: tuple[int, ...]) -> None:
    splits, torn = split_file(ParsedFile(SENTENCES, documents=documents), {"test": 0.1, "dev": 0.1})
    assert (len(splits["train"]), len(splits["test"]), len(splits["dev"])) == sizes
    assert not torn


@pytest.mark.parametrize("documents", [[0, 99], [0, 1], [0, 84], [0, 40]])
def test_tears_documents_of_very_unequal_size(documents: list[int]) -> None:
    splits, torn = split_file(ParsedFile(SENTENCES, documents=documents), {"test": 0.1})
    assert (len(splits["train"]), len(splits["test"]), torn) == (90, 10, True)
    assert sorted(int(s.text) for split in splits.values() for s in split) == list(range(100))


@given(sizes=st.lists(st.integers(1, 9), min_size=3, max_size=60), fraction=st.floats(0.001, 0.999))
def test_hold_out_partitions_units(sizes: list[int], fraction: float) -> None:
    numbers = iter(range(1000))
    units = [[Sentence.from_tokens([str(next(numbers))], ["O"]) for _ in range(size)] for size in sizes]
    kept, held = hold_out(units, fraction, keep=2)
    assert len(kept) >= 2
    assert held
    texts = [[int(sentence.text) for sentence in sentences_of(side)] for side in (kept, held)]
    assert sorted(texts[0] + texts[1]) == list(range(sum(sizes)))
    assert all(side == sorted(side) for side in texts)
