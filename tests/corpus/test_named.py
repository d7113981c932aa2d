"""The named corpora, from a mirror on this machine."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from twinner.corpus import named, read_corpus
from twinner.corpus.named import NAMED, Named, Remote
from twinner.errors import BadInput

from .conftest import Server

SMALL = b"-DOCSTART- -X- O O\n\n" + b"Ann NNP I-NP I-PER\nlacht VBZ I-VP O\n\n" * 5
URL = "https://example.org/corpora/"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, server: Server) -> Mapping[str, Named]:
    """A corpus like conll2003, but of 5 sentences, and a mirror that has it."""
    files = {"train": Remote(f"{URL}eng.train", counts=(5, 10)), "test": Remote(f"{URL}eng.testa", counts=(5, 10))}
    known = {**NAMED, "small": Named("en", files)}
    for module in (named, __import__("twinner.corpus.sources", fromlist=["NAMED"])):
        monkeypatch.setattr(module, "NAMED", known)
    monkeypatch.setenv("TWINNER_CORPORA", f"{server.url}/mirror/")
    server.files = {"/mirror/small/eng.train": SMALL, "/mirror/small/eng.testa": SMALL}
    return known


@pytest.mark.usefixtures("small")
def test_is_read_from_the_mirror_with_its_own_lang_and_test(server: Server) -> None:
    corpus = read_corpus("small")
    assert corpus.lang == "en"
    assert (len(corpus.train) + len(corpus.dev), len(corpus.test)) == (5, 5)
    assert corpus.sources == {"train": f"{URL}eng.train", "dev": f"{URL}eng.train", "test": f"{URL}eng.testa"}
    server.stop()
    assert read_corpus("small").digest == corpus.digest  # the second time without a network


@pytest.mark.usefixtures("small")
def test_its_own_test_is_not_downloaded_when_another_is_given(server: Server, write: Callable[..., Path]) -> None:
    corpus = read_corpus("small", test=str(write("my.conll", "Bo B-PER\n")), lang="de")
    assert [path for path, _ in server.requests] == ["/mirror/small/eng.train"]
    assert (corpus.test[0].text, corpus.lang) == ("Bo", "de")


@pytest.mark.usefixtures("small")
def test_a_copy_with_other_counts_is_refused(server: Server, own_cache: Path) -> None:
    server.files["/mirror/small/eng.train"] = SMALL + b"more X X O\n"
    with pytest.raises(BadInput, match="it has 6 sentences and 11 tokens, not 5 and 10"):
        read_corpus("small")
    server.files["/mirror/small/eng.train"] = b"<html>not here</html>\n"
    with pytest.raises(BadInput, match=r"it can't be read: .*eng.train.part:1: 'here</html>' is no tag"):
        read_corpus("small")
    assert not list(own_cache.rglob("eng.train"))


@pytest.mark.parametrize(("split", "option"), [("train", "corpus=FILE"), ("test", "test=FILE")])
def test_without_a_network_one_line_names_the_file_to_fetch_by_hand(
    split: str, option: str, small: Mapping[str, Named], server: Server
) -> None:
    server.stop()
    with pytest.raises(BadInput) as caught:
        named.named_file("small", split)
    url = small["small"].files[split]
    assert isinstance(url, Remote)
    assert f"(no connection); fetch {url.url} by hand and use {option}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_med_de_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINNER_CORPORA", server.url)
    server.files["/med-de/med-corpus.json"] = b'{"content": "Ibu", "annotation": []}\n'
    with pytest.raises(BadInput, match="its checksum is wrong"):
        read_corpus("med-de")


def test_the_real_med_de_arrives_and_is_split_into_three(
    server: Server, monkeypatch: pytest.MonkeyPatch, shared: Path
) -> None:
    monkeypatch.setenv("TWINNER_CORPORA", server.url)
    server.files["/med-de/med-corpus.json"] = (shared / "med-de" / "med-corpus.json").read_bytes()
    server.faults = [-50_000]
    corpus = read_corpus("med-de")
    everything = corpus.train + corpus.dev + corpus.test
    assert (corpus.lang, len(everything), len(corpus.dev), len(corpus.test)) == ("de", 281, 28, 28)
    assert sum(len(sentence.entities) for sentence in everything) == 659


def test_the_real_conll2003_arrives_with_testa_as_its_test(
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


def test_demo_names_the_projects_own_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(named, "PROJECT", tmp_path)
    with pytest.raises(BadInput, match=re.escape("data/train.conll: the corpus 'demo' lacks this file; restore it")):
        read_corpus("demo")
    (tmp_path / "data").mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / "data" / f"{split}.conll").write_text(f"{split}\tB-X\n")
    corpus = read_corpus("demo")
    assert (corpus.lang, corpus.train[0].text, corpus.dev[0].text, corpus.test[0].text) == (
        "de", "train", "dev", "test",
    )  # fmt: skip
