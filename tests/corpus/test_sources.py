"""From the user's parameters to files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.corpus import sources
from twinner.corpus.sources import find_sources
from twinner.errors import BadInput

from .conftest import Server

Write = Callable[..., Path]


def names(corpus: str, test: str = "") -> dict[str, str]:
    found, _ = find_sources(corpus, test)
    return {split: source.file.name for split, source in found.items()}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ("train.conll dev.conll test.conll README.md", "train.conll dev.conll test.conll"),
        ("train.jsonl.gz valid.jsonl.gz", "train.jsonl.gz valid.jsonl.gz"),
        ("train.tsv validation.tsv test.tsv", "train.tsv validation.tsv test.tsv"),
        ("eng.train eng.testa eng.testb", "eng.train eng.testa eng.testb"),
        ("de-train.spacy de-dev.spacy .train.swp", "de-train.spacy de-dev.spacy"),
        ("TRAIN.TXT Test.txt contest.txt", "TRAIN.TXT  Test.txt"),
    ],
)
def test_finds_splits_by_file_names(files: str, found: str, write: Write, tmp_path: Path) -> None:
    for name in files.split():
        write(f"corpus/{name}", "")
    splits = zip(("train", "dev", "test"), found.split(" ") if "  " in found else found.split(), strict=False)
    assert names(str(tmp_path / "corpus")) == {split: name for split, name in splits if name}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ("dev.conll test.conll", "corpus: the folder has no train file; name one train"),
        ("train.conll train.jsonl", "corpus: 'train.conll' and 'train.jsonl' could both be train; keep one"),
        ("train.conll dev.conll valid.conll", "'dev.conll' and 'valid.conll' could both be dev"),
        ("train.conll train-test.conll", "the file 'train-test.conll' could be train or test"),
    ],
)
def test_rejects_ambiguous_folders(files: str, words: str, write: Write, tmp_path: Path) -> None:
    for name in files.split():
        write(f"corpus/{name}", "")
    with pytest.raises(BadInput, match=words):
        find_sources(str(tmp_path / "corpus"))


def test_test_file_replaces_that_of_folder(write: Write, tmp_path: Path) -> None:
    for name in ("train.conll", "test.conll", "test.jsonl"):
        write(f"corpus/{name}", "")
    other = write("other.spacy", "")
    assert names(str(tmp_path / "corpus"), str(other)) == {"train": "train.conll", "test": "other.spacy"}


def test_relative_paths_start_at_project_then_current_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "PROJECT", tmp_path / "project")
    monkeypatch.chdir(tmp_path)
    here, there = write("my data/a.conll", "a O"), write("project/my data/a.conll", "a O")
    assert find_sources("my data/a.conll")[0]["train"].file == there
    there.unlink()
    assert find_sources("my data/a.conll")[0]["train"].file == here


@pytest.mark.parametrize("given", ["conl2003", "data/none.conll", "", "x" * 5000, "a\0b"])
def test_unknown_corpus_lists_names_and_asks_for_absolute_path(given: str) -> None:
    words = "no corpus, file or folder is called .*give a known name .demo, med-de, conll2003.*make the path absolute"
    with pytest.raises(BadInput, match=words):
        find_sources(given)


def test_missing_absolute_path_gets_no_such_hint(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        find_sources(str(tmp_path / "none"))
    assert str(caught.value).endswith("a folder or a URL")


def test_rejects_folder_as_test(write: Write, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder; give one file"):
        find_sources(str(write("a.conll", "")), str(tmp_path))


def test_downloads_url_once(server: Server) -> None:
    server.files["/my%20data/a.jsonl.gz?x=1"] = b"packed"
    url = f"{server.url}/my%20data/a.jsonl.gz?x=1"
    for _ in range(2):
        found, lang = find_sources(url)
        assert found["train"].file.name == "a.jsonl.gz"
        assert found["train"].file.read_bytes() == b"packed"
        assert (found["train"].origin, lang) == (url, "xx")
    assert len(server.requests) == 1


def test_reads_file_url_in_place(write: Write) -> None:
    file = write("my data/ä.conll", "a O")
    assert find_sources(file.as_uri())[0]["train"].file == file
    with pytest.raises(BadInput, match=r"no corpus, file or folder is called 'file:///none'; give a known name [^;]*$"):
        find_sources("file:///none")


@pytest.mark.parametrize("given", ["~no-such-user/x", "http://[::1/x", "http://me:secret@[::1/x", "file://[x"])
def test_rejects_paths_and_urls_that_can_not_be_parsed(given: str) -> None:
    for corpus, test in ((given, ""), ("demo", given)):
        with pytest.raises(BadInput, match="no corpus, file or folder is called") as caught:
            find_sources(corpus, test)
        assert "secret" not in str(caught.value)


def test_rejects_url_without_host() -> None:
    with pytest.raises(BadInput, match=r"http:///x can't be downloaded \(.*\); check the URL"):
        find_sources("http:///x")


BRAT = {"a.txt": "Ann lacht", "a.ann": "T1\tPER 0 3\tAnn\n"}


def write_all(write: Write, folder: str, files: dict[str, str]) -> None:
    for name, content in files.items():
        write(f"{folder}/{name}", content)


@pytest.mark.parametrize("names", [("a", "b"), ("a", "test"), ("test_1", "note")])
def test_folder_of_documents_is_one_file(names: tuple[str, str], write: Write, tmp_path: Path) -> None:
    for name in names:
        write_all(write, "c", {file.replace("a.", f"{name}."): content for file, content in BRAT.items()})
    write("c/annotation.conf", "[entities]")
    assert find_sources(str(tmp_path / "c"))[0] == {"train": sources.Source(tmp_path / "c", str(tmp_path / "c"))}


def test_folder_holds_a_folder_of_documents_for_each_split(write: Write, tmp_path: Path) -> None:
    for split in ("training", "dev", "test"):
        write_all(write, f"c/{split}", BRAT)
    write("c/train_pictures/a.png", "")
    found, _ = find_sources(str(tmp_path / "c"))
    assert {split: source.file.name for split, source in found.items()} == {
        "train": "training",
        "dev": "dev",
        "test": "test",
    }
    assert find_sources(str(tmp_path / "c"), str(tmp_path / "c" / "dev"))[0]["test"].file.name == "dev"


def test_documents_are_named_for_splits(write: Write, tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_all(write, "c", {file.replace("a.", f"{split}."): content for file, content in BRAT.items()})
    found, _ = find_sources(str(tmp_path / "c"))
    assert {split: source.file.name for split, source in found.items()} == {"train": "train.ann", "test": "test.ann"}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            ["train_1.ann", "train_2.ann"],
            "'train_1.ann' and 'train_2.ann' could both be train; put the documents of each",
        ),
        (
            ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
            "could both be train; join the parts of a split",
        ),
        (["train.conll", "train.tsv"], "'train.conll' and 'train.tsv' could both be train; keep one of them"),
        (
            ["notes.txt"],
            "the folder has no train file; name one train.*; of brat, give a folder of .txt and .ann files",
        ),
    ],
)
def test_says_what_to_do_with_folders_that_are_not_clear(
    files: list[str], words: str, write: Write, tmp_path: Path
) -> None:
    for name in files:
        write(f"c/{name}", "")
    with pytest.raises(BadInput, match=words):
        find_sources(str(tmp_path / "c"))
