"""CoNLL columns and the blog's TSV."""

from collections.abc import Callable
from pathlib import Path

import pytest
from seqeval.metrics.sequence_labeling import get_entities
from twinner.corpus.conll import read_blog_tsv, read_conll
from twinner.errors import BadInput

Write = Callable[..., Path]


@pytest.mark.parametrize(
    "text",
    [
        "Herr O\nKlaas B-PER\nMeier I-PER\n\nIbu B-DRUG\n",
        "Herr\tO\nKlaas\tB-PER\nMeier\tI-PER\n\nIbu\tB-DRUG",
        "Herr  NN   O\nKlaas NE B-PER \nMeier NE I-PER\n \n\nIbu NN B-DRUG\n\n\n",
        "\nHerr\tNN\tx\tO\nKlaas\t\tx\tI-PER\nMeier\tNE\tx\tI-PER\n\t\nIbu\tNN\tx\tI-DRUG\n",
        "Herr O\r\nKlaas B-PER\r\nMeier I-PER\r\n\r\nIbu B-DRUG\r\n",
        "\ufeffHerr O\nKlaas B-PER\nMeier L-PER\n\nIbu U-DRUG\n",
    ],
    ids=["spaces", "tabs", "runs of spaces", "IOB1 and empty column", "CRLF", "BOM and BILOU"],
)
def test_spellings_of_columns_read_the_same(text: str, write: Write) -> None:
    first, second = read_conll(write("a.conll", text)).sentences
    assert first.tokens == ("Herr", "Klaas", "Meier")
    assert first.tags == ("O", "B-PER", "I-PER")
    assert (first.text, first.starts) == ("Herr Klaas Meier", (0, 5, 11))
    assert (second.tokens, second.tags) == (("Ibu",), ("B-DRUG",))


def test_docstart_marks_documents_and_is_no_sentence(write: Write) -> None:
    text = "-DOCSTART- -X- O\n\na X O\n\nb X B-A\n\n-DOCSTART- -X- O\n\nc X O\n\n-DOCSTART-\n"
    part = read_conll(write("a.conll", text))
    assert [sentence.text for sentence in part.sentences] == ["a", "b", "c"]
    assert part.documents == [0, 2]


def test_what_stands_before_the_first_docstart_is_a_document(write: Write) -> None:
    assert read_conll(write("a.conll", "a O\n\n-DOCSTART- O\n\nb O\n")).documents == [0, 1]
    assert read_conll(write("b.conll", "a O\n\nb O\n")).documents == []


@pytest.mark.parametrize("char", ["\u2028", "\x85", "\xa0", "\u3000", "\x0c"])
def test_odd_white_space_inside_a_token_splits_nothing(char: str, write: Write) -> None:
    (sentence,) = read_conll(write("a.conll", f"1{char}000 O\nmg B-UNIT\n")).sentences
    assert sentence.tokens == (f"1{char}000", "mg")


def test_a_tab_separated_token_may_hold_a_space(write: Write) -> None:
    (sentence,) = read_conll(write("a.conll", "New York\tB-LOC\nliegt\tO\n")).sentences
    assert sentence.tokens == ("New York", "liegt")
    assert sentence.starts == (0, 9)


def test_tokens_of_white_space_alone_are_left_out(write: Write) -> None:
    text = "a\tO\n\xa0\tB-A\n\xa0\tI-A\nb\tI-A\n\xa0\tI-A\nc\tI-A\nd\tO\n\n\u3000\tO\n\ne\tO\n"
    first, second = read_conll(write("a.conll", text)).sentences
    assert (first.tokens, first.tags) == (("a", "b", "c", "d"), ("O", "B-A", "I-A", "O"))
    assert second.tokens == ("e",)


def test_a_hash_is_a_token_not_a_comment(write: Write) -> None:
    assert read_conll(write("a.conll", "# O\n1 O\n")).sentences[0].tokens == ("#", "1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a X O\nb O\n", r"bad.conll:2: 'b O' has 2 columns where line 1 has 3; give every line the same columns"),
        ("a O\n\nb\n", r"bad.conll:3: 'b' has 1 column where line 1 has 2"),
        ("a\tO\nb O\n", r"bad.conll:2: 'b O' has 1 column where"),
        ("a\n", r"bad.conll:1: 'a' has one column; write the token first"),
        ("a\tO\n\tO\n", r"bad.conll:2: '\\tO' has no token in its first column"),
        ("a O\nb X-PER\n", r"bad.conll:2: the tag 'X-PER' has the unknown prefix"),
        ("a B-PER\n\nb O\nc I-LOC\n", r"bad.conll:4: the tag 'I-LOC' follows 'O'"),
    ],
)
def test_bad_lines_are_named(text: str, words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words):
        read_conll(write("bad.conll", text))


def test_the_blogs_tsv_ends_sentences_at_a_full_stop(write: Write) -> None:
    text = "Nur\tO\nIbu\tb-med\nforte\ti-med\n.\tO\nAss\tb-med\nIbu\tb-med\n.\tO\nEnde\tO\n"
    first, second, third = read_blog_tsv(write("a.tsv", text)).sentences
    assert first.tokens == ("Nur", "Ibu", "forte", ".")
    assert first.tags == ("O", "B-med", "I-med", "O")
    assert second.tags == ("B-med", "B-med", "O")
    assert third.tokens == ("Ende",)


def test_eng_train_is_read_as_others_read_it(shared: Path) -> None:
    file = shared / "conll2003" / "eng.train"
    part = read_conll(file)
    assert len(part.sentences) == 14_041
    assert sum(len(sentence.tokens) for sentence in part.sentences) == 203_621
    assert len(part.documents) == 946
    # seqeval's lenient chunker reads IOB1 as it is, sentence by sentence
    blocks = [block.splitlines() for block in file.read_text().split("\n\n")]
    raw = [[line.split()[-1] for line in block] for block in blocks if block and "-DOCSTART-" not in block[0]]
    ours = [get_entities(list(sentence.tags)) for sentence in part.sentences]
    assert ours == [get_entities(tags) for tags in raw]


def test_eng_testa_has_its_known_counts(shared: Path) -> None:
    sentences = read_conll(shared / "conll2003" / "eng.testa").sentences
    assert len(sentences) == 3_250
    assert sum(len(sentence.tokens) for sentence in sentences) == 51_362
    assert sum(len(sentence.entities) for sentence in sentences) == 5_942


def test_the_blogs_tsv_has_its_known_counts(shared: Path) -> None:
    sentences = read_blog_tsv(shared / "med-de" / "med-corpus.tsv").sentences
    assert sum(len(sentence.tokens) for sentence in sentences) == 6_759
    assert sum(len(sentence.entities) for sentence in sentences) == 663
    assert {label for sentence in sentences for _, _, label in sentence.entities} == {"med"}
