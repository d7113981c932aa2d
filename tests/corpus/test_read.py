"""A corpus as a whole: split, warned of, or refused."""

import gzip
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.corpus import read_corpus
from twinner.errors import BadInput

Write = Callable[..., Path]


def columns(count: int, tag: str = "B-X", word: str = "w") -> str:
    """A column file of `count` sentences with one entity each."""
    return "".join(f"{word}{number} {tag}\n\n" for number in range(count))


def test_one_file_is_split_into_three_always_alike(write: Write) -> None:
    file = str(write("a.conll", columns(100)))
    first, second = read_corpus(file), read_corpus(file)
    assert (len(first.train), len(first.dev), len(first.test)) == (80, 10, 10)
    assert first == second
    assert len({sentence.text for sentence in first.train + first.dev + first.test}) == 100
    assert first.sources == {"train": file, "dev": file, "test": file}
    assert (first.files, first.lang, first.name) == ((file,), "xx", file)


def test_fractions_are_shares_of_the_whole_file(write: Write) -> None:
    corpus = read_corpus(str(write("a.conll", columns(100))), dev_fraction=0.3, test_fraction=0.5)
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (20, 30, 50)


def test_documents_are_not_torn(write: Write) -> None:
    texts = ["-DOCSTART- O\n\n" + columns(5, word=f"{document}:") for document in range(20)]
    corpus = read_corpus(str(write("a.conll", "".join(texts))))
    documents = [{s.text.split(":")[0] for s in split} for split in (corpus.train, corpus.dev, corpus.test)]
    assert [len(split) for split in documents] == [16, 2, 2]
    assert len(set.union(*documents)) == 20


def test_with_a_test_file_nothing_is_held_out_for_test(write: Write) -> None:
    test = write("t.jsonl.gz", gzip.compress(b'{"text": "Ibu hilft", "spans": [[0, 3, "X"]]}\n'))
    corpus = read_corpus(str(write("a.conll", columns(100))), test=str(test), dev_fraction=0.2)
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (80, 20, 1)
    assert corpus.sources["test"] == str(test)


def test_a_folder_with_train_and_dev_gives_a_share_of_train_to_test(write: Write, tmp_path: Path) -> None:
    write("c/train.conll", columns(50))
    write("c/dev.conll", columns(3, word="d"))
    corpus = read_corpus(str(tmp_path / "c"))
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (45, 3, 5)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.98])
def test_three_sentences_are_enough(fraction: float, write: Write) -> None:
    corpus = read_corpus(str(write("a.conll", columns(3))), dev_fraction=0.01, test_fraction=fraction)
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (1, 1, 1)


def test_too_few_sentences_are_told_of(write: Write) -> None:
    two, one = str(write("two.conll", columns(2))), str(write("one.conll", columns(1)))
    with pytest.raises(BadInput, match=r"two.conll: 2 sentences are too few to hold out test and dev; give at least 3"):
        read_corpus(two)
    with pytest.raises(BadInput, match=r"one.conll: 1 sentence is too few to hold out dev; give at least 2"):
        read_corpus(one, test=two)


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.1, math.nan])
@pytest.mark.parametrize("name", ["dev_fraction", "test_fraction"])
def test_fractions_are_between_0_and_1(name: str, fraction: float, write: Write) -> None:
    with pytest.raises(BadInput, match=f"{name} is {fraction}; give a number between 0 and 1"):
        read_corpus(str(write("a.conll", columns(9))), **{name: fraction})  # type: ignore[arg-type]


def test_fractions_leave_something_to_train_on(write: Write) -> None:
    with pytest.raises(BadInput, match=r"dev_fraction 0.5 and test_fraction 0.5 leave nothing to train on"):
        read_corpus(str(write("a.conll", columns(9))), dev_fraction=0.5, test_fraction=0.5)


def test_a_file_without_entities_is_told_of(write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.conll: the training data holds no entity at all"):
        read_corpus(str(write("a.conll", columns(9, tag="O"))))


def test_an_unknown_lang_is_told_of_before_anything_is_read() -> None:
    with pytest.raises(BadInput, match="the lang 'klingon' is unknown"):
        read_corpus("none.conll", lang="klingon")


def test_widened_and_left_out_entities_are_counted_and_shown(write: Write) -> None:
    lines = [{"text": "Schmerztherapie hilft", "spans": [[0, 7, "A"], [7, 15, "A"]]}] * 4
    file = write("a.jsonl", "\n".join(map(json.dumps, lines)))
    with pytest.warns(UserWarning, match="entities") as told:
        corpus = read_corpus(str(file), lang="de")
    assert corpus.widened == 4
    first, second = (str(warning.message) for warning in told)
    assert first == (
        f"entities widened to token borders of the tokenizer of lang 'de': 4, the first {file}:1: "
        "'Schmerz' to 'Schmerztherapie'"
    )
    assert "left out, for they share a token with the one before" in second
    assert second.endswith(f"4, the first {file}:1: 'therapie'")


def test_labels_that_only_test_has_are_warned_of(write: Write) -> None:
    train, test = write("a.conll", columns(9)), write("t.conll", columns(1, tag="B-Y"))
    with pytest.warns(UserWarning, match=r"t.conll: test has labels that train lacks, .*: \['Y'\]"):
        read_corpus(str(train), test=str(test))


def test_a_sound_corpus_gives_no_warning(write: Write) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_corpus(str(write("my data/a.conll", columns(9))))
