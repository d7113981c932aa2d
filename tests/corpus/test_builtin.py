"""The builtin corpora, from a local mirror."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from twinner.corpus import builtin, read_corpus
from twinner.corpus.builtin import BUILTIN, BuiltinCorpus, RemoteFile
from twinner.errors import BadInput

from .conftest import Server

SMALL = b"-DOCSTART- -X- O O\n\n" + b"Ann NNP I-NP I-PER\nlacht VBZ I-VP O\n\n" * 5
URL = "https://example.org/corpora/"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, server: Server) -> Mapping[str, BuiltinCorpus]:
    """A corpus like conll2003 with 5 sentences, on a mirror."""
    files = {
        "train": RemoteFile(f"{URL}eng.train", counts=(5, 10)),
        "test": RemoteFile(f"{URL}eng.testa", counts=(5, 10)),
    }
    corpora = {**BUILTIN, "small": BuiltinCorpus("en", files)}
    for module in (builtin, __import__("twinner.corpus.sources", fromlist=["BUILTIN"])):
        monkeypatch.setattr(module, "BUILTIN", corpora)
    monkeypatch.setenv("TWINNER_CORPORA", f"{server.url}/mirror/")
    server.files = {"/mirror/small/eng.train": SMALL, "/mirror/small/eng.testa": SMALL}
    return corpora


@pytest.mark.usefixtures("small")
def test_reads_mirror_with_own_lang_and_test(server: Server) -> None:
    corpus = read_corpus("small")
    assert corpus.lang == "en"
    assert (len(corpus.train) + len(corpus.dev), len(corpus.test)) == (5, 5)
    assert corpus.sources == {"train": f"{URL}eng.train", "dev": f"{URL}eng.train", "test": f"{URL}eng.testa"}
    server.stop()
    assert read_corpus("small").digest == corpus.digest  # needs no network the second time


@pytest.mark.usefixtures("small")
def test_skips_download_of_replaced_test(server: Server, write: Callable[..., Path]) -> None:
    corpus = read_corpus("small", test=str(write("my.conll", "Bo B-PER\n")), lang="de")
    assert [path for path, _ in server.requests] == ["/mirror/small/eng.train"]
    assert (corpus.test[0].text, corpus.lang) == ("Bo", "de")


@pytest.mark.usefixtures("small")
def test_rejects_copy_with_other_counts(server: Server, own_cache: Path) -> None:
    server.files["/mirror/small/eng.train"] = SMALL + b"more X X O\n"
    with pytest.raises(BadInput, match="it has 6 sentences and 11 tokens, not 5 and 10"):
        read_corpus("small")
    server.files["/mirror/small/eng.train"] = b"<html>not here</html>\n"
    with pytest.raises(BadInput, match=r"it can't be read: .*eng.train.part: the file is a web page, not a corpus;"):
        read_corpus("small")
    assert not list(own_cache.rglob("eng.train"))


@pytest.mark.parametrize(("split", "option"), [("train", "corpus=FILE"), ("test", "test=FILE")])
def test_offline_error_names_file_to_download(
    split: str, option: str, small: Mapping[str, BuiltinCorpus], server: Server
) -> None:
    server.stop()
    with pytest.raises(BadInput) as caught:
        builtin.builtin_file("small", split)
    url = small["small"].files[split]
    assert isinstance(url, RemoteFile)
    assert f"(no connection); download {url.url} by hand and use {option}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rejects_wrong_med_de(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINNER_CORPORA", server.url)
    server.files["/med-de/med-corpus.json"] = b'{"content": "Ibu", "annotation": []}\n'
    with pytest.raises(BadInput, match="its checksum is wrong"):
        read_corpus("med-de")


def test_downloads_and_splits_real_med_de(server: Server, monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    monkeypatch.setenv("TWINNER_CORPORA", server.url)
    server.files["/med-de/med-corpus.json"] = (shared / "med-de" / "med-corpus.json").read_bytes()
    server.faults = [-50_000]
    corpus = read_corpus("med-de")
    everything = corpus.train + corpus.dev + corpus.test
    assert (corpus.lang, len(everything), len(corpus.dev), len(corpus.test)) == ("de", 281, 28, 28)
    assert sum(len(sentence.entities) for sentence in everything) == 659


def test_downloads_real_conll2003_with_testa_as_test(
    server: Server, monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    monkeypatch.setenv("TWINNER_CORPORA", server.url)
    for name in ("eng.train", "eng.testa"):
        server.files[f"/conll2003/{name}"] = (shared / "conll2003" / name).read_bytes()
    corpus = read_corpus("conll2003")
    assert corpus.lang == "en"
    assert len(corpus.train) + len(corpus.dev) == 14_041
    assert len(corpus.test) == 3_250
    assert corpus.labels == ["LOC", "MISC", "ORG", "PER"]


def test_demo_reads_files_of_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(builtin, "PROJECT", tmp_path)
    with pytest.raises(BadInput, match=re.escape("data/train.conll: the corpus 'demo' lacks this file; restore it")):
        read_corpus("demo")
    (tmp_path / "data").mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / "data" / f"{split}.conll").write_text(f"{split}\tB-X\n")
    corpus = read_corpus("demo")
    assert (corpus.lang, corpus.train[0].text, corpus.dev[0].text, corpus.test[0].text) == (
        "de", "train", "dev", "test",
    )  # fmt: skip
