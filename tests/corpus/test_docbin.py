"""spaCy's .spacy files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from twinner.corpus.docbin import read_docbin
from twinner.errors import BadInput

NLP = spacy.blank("de")


def doc_of(words: str, ents: str, sent_starts: str = "") -> Doc:
    starts = [mark == "1" for mark in sent_starts] if sent_starts else None
    return Doc(NLP.vocab, words=words.split("|"), ents=ents.split(), sent_starts=starts)


def written(folder: Path, *docs: Doc) -> Path:
    file = folder / "train.spacy"
    DocBin(docs=docs).to_disk(file)
    return file


def test_reads_sentences_and_documents(tmp_path: Path) -> None:
    docs = [doc_of("Ibu|hilft|.|Ja", "B-DRUG O O O", "1001"), doc_of("Gut|so", "O O")]
    part = read_docbin(written(tmp_path, *docs))
    assert [sentence.tokens for sentence in part.sentences] == [("Ibu", "hilft", "."), ("Ja",), ("Gut", "so")]
    assert part.sentences[0].tags == ("B-DRUG", "O", "O")
    assert part.documents == [0, 2]


def test_drops_white_space_tokens_and_keeps_offsets(tmp_path: Path) -> None:
    doc = NLP("Ja.  Ibu\n\nforte hilft")
    words = [token.text for token in doc]
    first, last = words.index("Ibu"), words.index("forte")
    doc.set_ents([spacy.tokens.Span(doc, first - 1, last + 1, label="DRUG")])
    (sentence,) = read_docbin(written(tmp_path, doc)).sentences
    assert sentence.tokens == ("Ja", ".", "Ibu", "forte", "hilft")
    assert sentence.tags == ("O", "O", "B-DRUG", "I-DRUG", "O")
    assert [sentence.text[start:][:3] for start in sentence.starts] == ["Ja.", ".  ", "Ibu", "for", "hil"]


def test_entity_across_sentences_joins_them(tmp_path: Path) -> None:
    (sentence,) = read_docbin(written(tmp_path, doc_of("Dr|.|Klaas", "B-PER I-PER I-PER", "101"))).sentences
    assert sentence.entities == [(0, 3, "PER")]


def test_rejects_other_files(write: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match=r"x.spacy: not a .spacy file \(.*\); write it with DocBin.to_disk"):
        read_docbin(write("x.spacy", "Ibu O\n"))
