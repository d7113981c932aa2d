"""Reading a whole corpus: splits, warnings and errors."""

import gzip
import json
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.corpus import read_corpus
from twinner.errors import BadInput

from .conftest import Server

Write = Callable[..., Path]


def columns(count: int, tag: str = "B-X", word: str = "w") -> str:
    """A column file of `count` sentences with one entity each."""
    return "".join(f"{word}{number} {tag}\n\n" for number in range(count))


def test_splits_one_file_reproducibly(write: Write) -> None:
    file = str(write("a.conll", columns(100)))
    first, second = read_corpus(file), read_corpus(file)
    assert (len(first.train), len(first.dev), len(first.test)) == (80, 10, 10)
    assert first == second
    assert len({sentence.text for sentence in first.train + first.dev + first.test}) == 100
    assert first.sources == {"train": file, "dev": file, "test": file}
    assert (first.files, first.lang, first.name) == ((file,), "xx", file)


def test_fractions_are_shares_of_whole_file(write: Write) -> None:
    corpus = read_corpus(str(write("a.conll", columns(100))), dev_fraction=0.3, test_fraction=0.5)
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (20, 30, 50)


def test_keeps_documents_together(write: Write) -> None:
    texts = ["-DOCSTART- O\n\n" + columns(5, word=f"{document}:") for document in range(20)]
    corpus = read_corpus(str(write("a.conll", "".join(texts))))
    documents = [{s.text.split(":")[0] for s in split} for split in (corpus.train, corpus.dev, corpus.test)]
    assert [len(split) for split in documents] == [16, 2, 2]
    assert len(set.union(*documents)) == 20


def test_test_file_replaces_held_out_test(write: Write) -> None:
    test = write("t.jsonl.gz", gzip.compress(b'{"text": "Ibu hilft", "spans": [[0, 3, "X"]]}\n'))
    corpus = read_corpus(str(write("a.conll", columns(100))), test=str(test), dev_fraction=0.2)
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (80, 20, 1)
    assert corpus.sources["test"] == str(test)


def test_holds_out_test_if_folder_has_none(write: Write, tmp_path: Path) -> None:
    write("c/train.conll", columns(50))
    write("c/dev.conll", columns(3, word="d"))
    corpus = read_corpus(str(tmp_path / "c"))
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (45, 3, 5)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.98])
def test_splits_three_sentences(fraction: float, write: Write) -> None:
    corpus = read_corpus(str(write("a.conll", columns(3))), dev_fraction=0.01, test_fraction=fraction)
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (1, 1, 1)


def test_rejects_too_few_sentences(write: Write) -> None:
    two, one = str(write("two.conll", columns(2))), str(write("one.conll", columns(1)))
    with pytest.raises(BadInput, match=r"two.conll: 2 sentences are too few to hold out test and dev; give at least 3"):
        read_corpus(two)
    with pytest.raises(BadInput, match=r"one.conll: 1 sentence is too few to hold out dev; give at least 2"):
        read_corpus(one, test=two)


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.1, math.nan])
@pytest.mark.parametrize("name", ["dev_fraction", "test_fraction"])
def test_rejects_fractions_out_of_range(name: str, fraction: float, write: Write) -> None:
    with pytest.raises(BadInput, match=f"{name} is {fraction}; give a number between 0 and 1"):
        read_corpus(str(write("a.conll", columns(9))), **{name: fraction})  # type: ignore[arg-type]


def test_rejects_fractions_that_leave_no_train(write: Write) -> None:
    with pytest.raises(BadInput, match=r"dev_fraction 0.5 and test_fraction 0.5 leave nothing to train on"):
        read_corpus(str(write("a.conll", columns(9))), dev_fraction=0.5, test_fraction=0.5)


def test_rejects_file_without_entities(write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.conll: the training data has no entities"):
        read_corpus(str(write("a.conll", columns(9, tag="O"))))


def test_rejects_unknown_lang_before_reading() -> None:
    with pytest.raises(BadInput, match="the lang 'klingon' is unknown"):
        read_corpus("none.conll", lang="klingon")


def test_warns_about_widened_and_dropped_entities(write: Write) -> None:
    lines = [{"text": "Schmerztherapie hilft", "spans": [[0, 7, "A"], [7, 15, "A"]]}] * 4
    file = write("a.jsonl", "\n".join(map(json.dumps, lines)))
    with warnings.catch_warnings(record=True) as told:
        corpus = read_corpus(str(file), lang="de")
    assert corpus.widened == 4
    first, second, _ = (str(warning.message) for warning in told)  # the third is about equal test sentences
    assert first == (
        f"4 entities widened to token borders of the tokenizer of lang 'de', the first at {file}:1: "
        "'Schmerz' to 'Schmerztherapie'"
    )
    assert second.startswith("4 entities dropped: widened to token borders of the tokenizer of lang 'de', they share")
    assert second.endswith(f"the first at {file}:1: 'therapie'")


def test_warns_about_labels_only_in_test(write: Write) -> None:
    train, test = write("a.conll", columns(9)), write("t.conll", columns(1, tag="B-Y"))
    with pytest.warns(UserWarning, match=r"t.conll: test has labels that do not occur in train, .*: \['Y'\]"):
        read_corpus(str(train), test=str(test))


def test_valid_corpus_gives_no_warning(write: Write) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_corpus(str(write("my data/a.conll", columns(9))))


def test_splits_by_sentence_if_documents_are_very_unequal(write: Write) -> None:
    documents = [columns(1, word="a"), columns(1, word="b"), columns(998, word="c")]
    file = write("a.conll", "".join(f"-DOCSTART- O\n\n{document}" for document in documents))
    with pytest.warns(UserWarning, match=r"a.conll: with whole documents a split would be .*; split by sentence"):
        corpus = read_corpus(str(file))
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (800, 100, 100)


def test_warns_about_test_sentences_seen_in_train(write: Write) -> None:
    file = str(write("a.conll", columns(2000)))
    with pytest.warns(UserWarning, match=r"a.conll: 1,800 of 2,000 test sentences are also in train, so scores will"):
        corpus = read_corpus(file, test=file)
    assert corpus.test_seen_in_train == 0.9


@pytest.mark.parametrize(("repeated", "warned"), [(10, False), (11, True)])
def test_tolerates_a_tenth_of_test_tokens_seen_in_train(
    repeated: int, warned: bool, write: Write, tmp_path: Path
) -> None:
    write("c/train.conll", columns(100))
    write("c/dev.conll", columns(3, word="d"))
    # `repeated` sentences of one token are also in train; the last sentence has the other tokens of 100.
    write("c/test.conll", columns(repeated) + "other O\n" * (100 - repeated))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        corpus = read_corpus(str(tmp_path / "c"))
    assert corpus.test_seen_in_train == repeated / (repeated + 1)
    assert bool(told) == warned


@pytest.mark.parametrize(
    ("corpus", "test"),
    [("conll2003/eng.train", "conll2003/eng.testa"), ("conll2003/eng.train", ""), ("med-de/med-corpus.json", "")],
)
def test_real_corpora_give_no_warning_about_seen_sentences(corpus: str, test: str, shared: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(are also in train|whole documents)")
        read_corpus(str(shared / corpus), test=str(shared / test) if test else "")


def test_notes_of_files_are_warnings(write: Write) -> None:
    sentence = "Ann B-PER\nBo I-PER\nlacht O\n\n"
    file = write("a\x1b[1m.conll", sentence * 50 + "Ann I-PER\nsingt O\n\n" + sentence * 60)
    with pytest.warns(UserWarning, match="stray") as told:
        read_corpus(str(file))
    (stray,) = [str(warning.message) for warning in told if "stray" in str(warning.message)]
    assert (
        r"a\x1b[1m.conll:201: the tag 'I-PER' opens a sentence, which IOB2 does not allow; such stray tags, 1 among"
        in stray
    )
    assert not any("\x1b" in str(warning.message) for warning in told)


PAGE = b"<!DOCTYPE html>\n<title>Please log in</title>\n"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (PAGE, r"/a.conll: the file is a web page, not a corpus; download"),
        (b"Please log in\n", r"/a.conll:1: 'in' is not a tag"),
        (b"Ann O\n\n" * 9, r"/a.conll: the training data has no entities"),
        (b"Ann B-PER\n", r"/a.conll: 1 sentence is too few"),
        (b"", r"/a.conll: the file is empty"),
    ],
)
def test_deletes_download_that_can_not_be_used(
    wrong: bytes, words: str, server: Server, own_cache: Path, write: Write
) -> None:
    url = f"{server.url}/a.conll"
    server.files["/a.conll"] = wrong
    for _ in range(2):
        with pytest.raises(BadInput, match=words) as caught:
            read_corpus(url)
        assert str(caught.value).startswith(url)
    assert len(server.requests) == 2
    assert not list(own_cache.rglob("a.conll"))
    server.files["/a.conll"] = columns(9).encode()
    assert len(read_corpus(url).test) == 1
    assert list(own_cache.rglob("a.conll"))


def test_deletes_only_the_wrong_download(server: Server) -> None:
    train, test = f"{server.url}/a.conll", f"{server.url}/t.conll"
    server.files = {"/a.conll": columns(9).encode(), "/t.conll": PAGE}
    with pytest.raises(BadInput, match=r"/t.conll: the file is a web page"):
        read_corpus(train, test=test)
    server.files["/t.conll"] = b"Bo B-X\n"
    assert len(read_corpus(train, test=test).test) == 1
    assert [path for path, _ in server.requests] == ["/a.conll", "/t.conll", "/t.conll"]


def test_never_deletes_files_of_the_user(write: Write) -> None:
    file = write("a.conll", "Ann O\n")
    for corpus in (str(file), file.as_uri()):
        with pytest.raises(BadInput):
            read_corpus(corpus)
    assert file.exists()


def test_keeps_download_if_parameters_are_wrong(server: Server) -> None:
    server.files["/a.conll"] = columns(9).encode()
    read_corpus(f"{server.url}/a.conll")
    for dev, test in ((0.5, 0.5), (2, 0.1)):
        with pytest.raises(BadInput, match="fraction"):
            read_corpus(f"{server.url}/a.conll", dev_fraction=dev, test_fraction=test)
    server.stop()
    read_corpus(f"{server.url}/a.conll")


def test_rejects_pipe_as_corpus(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(
        BadInput, match=r"pipe: a pipe or device can't be read as a corpus, .*; save it to a file first"
    ):
        read_corpus(str(pipe))


def test_reads_folder_of_brat_and_keeps_documents_together(write: Write, tmp_path: Path) -> None:
    for number in range(10):
        write(f"c/{number:02}.txt", f"Ann{number} lacht.\nBo{number} wohnt in Ulm.\n")
        write(f"c/{number:02}.ann", f"T1\tPER 0 4\tAnn{number}\n")
    corpus = read_corpus(str(tmp_path / "c"), lang="de")
    assert [len(split) for split in (corpus.train, corpus.dev, corpus.test)] == [16, 2, 2]
    assert [sentence.text[:3] for sentence in corpus.test] == ["Ann", "Bo" + corpus.test[0].text[3]]
    assert corpus.labels == ["PER"]
    assert corpus.sources["test"] == corpus.files[0] == str(tmp_path / "c")


def test_reads_folder_of_webanno(write: Write, tmp_path: Path) -> None:
    header = "#FORMAT=WebAnno TSV 3.3\n#T_SP=webanno.custom.Place|kind|size\n\n\n"
    for number in range(4):
        write(f"c/{number}.tsv", f"{header}#Text=Ulm{number}\n1-1\t0-4\tUlm{number}\tLOC\tbig\t\n")
    corpus = read_corpus(str(tmp_path / "c"), tag_column="-2")
    assert corpus.labels == ["LOC"]
    assert len(corpus.train) == 2


@pytest.mark.parametrize(("tag_column", "label"), [("", "OUT"), ("3", "OUT"), (" -1 ", "IN"), ("4", "IN")])
def test_tag_column_is_that_of_all_files(tag_column: str, label: str, write: Write) -> None:
    text = "".join(f"1\tw{number}\tB-OUT\tB-IN\n\n" for number in range(9))
    train, test = write("a.tsv", text), write("t.tsv", text.replace("w", "v"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        corpus = read_corpus(str(train), test=str(test), tag_column=tag_column)
    assert {tag for sentence in corpus.train + corpus.test for tag in sentence.tags} == {f"B-{label}"}
    assert len(told) == (2 if tag_column == "" else 0)


def test_rejects_tag_column_of_a_format_without_columns(write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.jsonl: tag_column is '2', but this format has no columns of tags; leave"):
        read_corpus(str(write("a.jsonl", '{"text": "Ann", "spans": []}')), tag_column="2")
