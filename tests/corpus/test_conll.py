"""CoNLL columns and the blog's TSV."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
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
def test_reads_all_spellings_of_columns_alike(text: str, write: Write) -> None:
    first, second = read_conll(write("a.conll", text)).sentences
    assert first.tokens == ("Herr", "Klaas", "Meier")
    assert first.tags == ("O", "B-PER", "I-PER")
    assert (first.text, first.starts) == ("Herr Klaas Meier", (0, 5, 11))
    assert (second.tokens, second.tags) == (("Ibu",), ("B-DRUG",))


def test_docstart_marks_documents(write: Write) -> None:
    text = "-DOCSTART- -X- O\n\na X O\n\nb X B-A\n\n-DOCSTART- -X- O\n\nc X O\n\n-DOCSTART-\n"
    part = read_conll(write("a.conll", text))
    assert [sentence.text for sentence in part.sentences] == ["a", "b", "c"]
    assert part.documents == [0, 2]


def test_sentences_before_first_docstart_are_a_document(write: Write) -> None:
    assert read_conll(write("a.conll", "a O\n\n-DOCSTART- O\n\nb O\n")).documents == [0, 1]
    assert read_conll(write("b.conll", "a O\n\nb O\n")).documents == []


@pytest.mark.parametrize("char", ["\u2028", "\x85", "\xa0", "\u3000", "\x0c"])
def test_unusual_white_space_does_not_split_tokens(char: str, write: Write) -> None:
    (sentence,) = read_conll(write("a.conll", f"1{char}000 O\nmg B-UNIT\n")).sentences
    assert sentence.tokens == (f"1{char}000", "mg")


def test_tab_separated_token_may_contain_space(write: Write) -> None:
    (sentence,) = read_conll(write("a.conll", "New York\tB-LOC\nliegt\tO\n")).sentences
    assert sentence.tokens == ("New York", "liegt")
    assert sentence.starts == (0, 9)


def test_drops_white_space_tokens(write: Write) -> None:
    text = "a\tO\n\xa0\tB-A\n\xa0\tI-A\nb\tI-A\n\xa0\tI-A\nc\tI-A\nd\tO\n\n\u3000\tO\n\ne\tO\n"
    first, second = read_conll(write("a.conll", text)).sentences
    assert (first.tokens, first.tags) == (("a", "b", "c", "d"), ("O", "B-A", "I-A", "O"))
    assert second.tokens == ("e",)


def test_hash_with_tag_is_a_token(write: Write) -> None:
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
def test_rejects_invalid_rows(text: str, words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words):
        read_conll(write("bad.conll", text))


def test_full_stop_ends_sentences_of_blog_tsv(write: Write) -> None:
    text = "Nur\tO\nIbu\tb-med\nforte\ti-med\n.\tO\nAss\tb-med\nIbu\tb-med\n.\tO\nEnde\tO\n"
    first, second, third = read_blog_tsv(write("a.tsv", text)).sentences
    assert first.tokens == ("Nur", "Ibu", "forte", ".")
    assert first.tags == ("O", "B-med", "I-med", "O")
    assert second.tags == ("B-med", "B-med", "O")
    assert third.tokens == ("Ende",)


def test_reads_eng_train_as_seqeval_does(shared: Path) -> None:
    file = shared / "conll2003" / "eng.train"
    part = read_conll(file)
    assert len(part.sentences) == 14_041
    assert sum(len(sentence.tokens) for sentence in part.sentences) == 203_621
    assert len(part.documents) == 946
    # seqeval's default mode reads IOB1
    blocks = [block.splitlines() for block in file.read_text().split("\n\n")]
    raw = [[line.split()[-1] for line in block] for block in blocks if block and "-DOCSTART-" not in block[0]]
    ours = [get_entities(list(sentence.tags)) for sentence in part.sentences]
    assert ours == [get_entities(tags) for tags in raw]


def test_eng_testa_has_published_counts(shared: Path) -> None:
    sentences = read_conll(shared / "conll2003" / "eng.testa").sentences
    assert len(sentences) == 3_250
    assert sum(len(sentence.tokens) for sentence in sentences) == 51_362
    assert sum(len(sentence.entities) for sentence in sentences) == 5_942


def test_blog_tsv_has_published_counts(shared: Path) -> None:
    sentences = read_blog_tsv(shared / "med-de" / "med-corpus.tsv").sentences
    assert sum(len(sentence.tokens) for sentence in sentences) == 6_759
    assert sum(len(sentence.entities) for sentence in sentences) == 663
    assert {label for sentence in sentences for _, _, label in sentence.entities} == {"med"}


GERMEVAL = """\
#\thttp://de.wikipedia.org/wiki/Manfred_Korfmann [2009-10-17]
1\tAufgrund\tO\tO
2\tseiner\tO\tO
3\tJenaer\tB-LOCderiv\tO
4\tUni\tB-ORG\tB-LOC
5\t#\tI-ORG\tO

#\thttp://de.wikipedia.org/wiki/1923 [2009-10-18]
1\t1\tB-OTHpart\tO
2\t2\tO\tO
"""


def test_germeval_uses_second_column_and_outer_tags(write: Write) -> None:
    parsed = read_conll(write("NER-de-train.tsv", GERMEVAL))
    first, second = parsed.sentences
    assert first.tokens == ("Aufgrund", "seiner", "Jenaer", "Uni", "#")
    assert first.tags == ("O", "O", "B-LOCderiv", "B-ORG", "I-ORG")
    assert (second.tokens, second.tags) == (("1", "2"), ("B-OTHpart", "O"))
    (note,) = parsed.notes
    assert note.endswith(
        "NER-de-train.tsv: columns 3 and 4 hold tags; column 3 is used, which in GermEval holds the outer entities; "
        "see tag_column; 1 entities of the others are left out"
    )


def test_tag_column_chooses_inner_tags(write: Write) -> None:
    file = write("NER-de-train.tsv", GERMEVAL)
    for tag_column in ("4", "-1"):
        parsed = read_conll(file, tag_column=tag_column)
        assert [sentence.tags for sentence in parsed.sentences] == [("O", "O", "O", "B-LOC", "O"), ("O", "O")]
        assert parsed.notes == []


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("B-PER\tAnn\nI-PER\tBo\nO\tlacht\n", 1),  # tag first, as in the MIT movie corpus
        ("Ann B-PER NE\nBo I-PER NE\nlacht O VV\n", 2),
        ("Ann NE B-PER 0.9\nBo NE I-PER 0.8\nlacht VV O 0.9\n", 3),
        ("Ann B-NP B-PER x\nBo I-NP I-PER x\nlacht B-VP O x\n", 3),  # chunks are no entities
    ],
)
def test_finds_the_only_column_of_tags(text: str, column: int, write: Write) -> None:
    parsed = read_conll(write("a.conll", text))
    assert [(s.tokens, s.tags) for s in parsed.sentences] == [(("Ann", "Bo", "lacht"), ("B-PER", "I-PER", "O"))]
    (note,) = parsed.notes
    assert f"the tags are taken from column {column}, the only one that holds tags; see tag_column" in note


def test_asks_for_tag_column_if_several_could_be_meant(write: Write) -> None:
    file = write("a.conll", "Ann B-PER B-X NE\nlacht O O VV\n")
    with pytest.raises(
        BadInput,
        match=r"a.conll:1: columns 2 and 3 hold tags, and the last does not; choose one: tag_column=2 or tag_column=3",
    ):
        read_conll(file)
    assert read_conll(file, tag_column="3").sentences[0].tags == ("B-X", "O")


def test_warns_that_the_last_of_several_columns_of_tags_is_used(write: Write) -> None:
    parsed = read_conll(write("a.conll", "Ann B-PER B-X\nBo I-PER O\nUlm B-LOC B-Y\n"))
    assert parsed.sentences[0].tags == ("B-X", "O", "B-Y")
    (note,) = parsed.notes
    assert note.endswith(
        "columns 2 and 3 hold tags; column 3 is used, the last; see tag_column; 2 entities of the others are left out"
    )


@pytest.mark.parametrize(
    ("text", "tag_column", "words"),
    [
        (
            "Ann O x\n",
            "4",
            r"a.conll:1: tag_column is 4, but the rows have 3 columns; 1 is the first column, -1 the last",
        ),
        ("Ann O x\n", "-4", r"a.conll:1: tag_column is -4, but the rows have 3 columns"),
        ("Ann O x\n", "0", r"a.conll:1: tag_column is 0, but the rows have 3 columns"),
        (
            "Ann O x\n",
            "ner_tags",
            r"a.conll: tag_column is 'ner_tags', but the columns of this file have no names; give",
        ),
        ("Ann O x\n", "3", r"a.conll:1: 'x' is not a tag; write O, .* or choose other tags by tag_column"),
        ("Ann\n", "1", r"a.conll:1: tag_column is 1, but that column is the only one; give the column"),
        (GERMEVAL, "1", r"a.conll:2: tag_column is 1, but that column numbers the tokens"),
    ],
)
def test_rejects_tag_column_that_can_not_be_used(text: str, tag_column: str, words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words):
        read_conll(write("a.conll", text), tag_column=tag_column)


@given(
    rows=st.lists(st.tuples(st.sampled_from(["Ann", "#", "1", "O"]), st.sampled_from(["O", "B-A", "B-B"])), min_size=1),
    others=st.lists(st.sampled_from(["x", "NN", "_"]), max_size=3),
    where=st.integers(0, 3),
    from_end=st.booleans(),
)
def test_tags_may_be_in_any_column(
    rows: list[tuple[str, str]],
    others: list[str],
    where: int,
    from_end: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    width = 2 + len(others)
    column = where % width
    file = tmp_path_factory.mktemp("columns") / "a.conll"
    lines = []
    for token, tag in rows:
        cells = [token, *others]
        cells.insert(column, tag)
        lines.append("\t".join(cells))
    file.write_text("\n".join(lines), encoding="utf-8")
    number = column - width if from_end else column + 1
    (sentence,) = read_conll(file, tag_column=str(number)).sentences
    assert list(zip(sentence.tokens, sentence.tags, strict=True)) == rows


CONLL_U = """\
# newdoc id = a
# sent_id = 1
# text = Im Haus O
1-2\tIm\t_\t_\t_
1\tIn\tADP\tin\tO
2\tdem\tDET\tder\tO
3\tHaus\tNOUN\tHaus\tB-LOC
3.1\tsteht\tVERB\tstehen\tO

# sent_id = 2
1\tAnn\tPROPN\tAnn\tB-PER

# newdoc id = b
# sent_id = 3
1\t#\tSYM\t#\tO
"""


def test_numbered_rows_with_one_tag_column(write: Write) -> None:
    parsed = read_conll(write("a.conllu", CONLL_U))
    assert [sentence.tokens for sentence in parsed.sentences] == [("In", "dem", "Haus"), ("Ann",), ("#",)]
    assert [sentence.tags for sentence in parsed.sentences] == [("O", "O", "B-LOC"), ("B-PER",), ("O",)]
    assert (parsed.documents, parsed.notes) == ([0, 2], [])


@pytest.mark.parametrize(
    ("row", "tags"),
    [
        ("{n}\t{token}\t{tag}\t-\tannotator", ("O", "B-PER")),  # Universal NER
        ("{n} {token} NN B-NP {tag}", ("O", "B-PER")),  # chunks are no entities
        ("{zero}\t{token}\t{tag}", ("O", "B-PER")),  # counted from 0
        ("{n}\t{token}\tNN\t{tag}", ("B-PER",)),  # one token per sentence
    ],
)
def test_finds_tags_of_numbered_rows(row: str, tags: tuple[str, ...], write: Write) -> None:
    sentence = "\n".join(
        row.format(n=number, zero=number - 1, token=token, tag=tag)
        for number, (token, tag) in enumerate(zip(("Herr", "Klaas"), tags, strict=False), start=1)
    )
    parsed = read_conll(write("a.conll", f"{sentence}\n\n{sentence}\n"))
    assert [(s.tokens, s.tags) for s in parsed.sentences] == [(("Herr", "Klaas")[: len(tags)], tags)] * 2


def test_numbers_that_do_not_count_are_tokens(write: Write) -> None:
    text = "1996\tCD\tO\n3\tCD\tO\n\n1\tCD\tO\n0\tCD\tO\nAnn\tNN\tB-PER\n"
    assert read_conll(write("a.conll", text)).sentences[1].tokens == ("1", "0", "Ann")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GERMEVAL.replace("5\t#", "6\t#"), r"a.tsv:6: the row begins with '6' where the number 5 is expected; number"),
        (GERMEVAL.replace("2\tseiner", "seiner\tART"), r"a.tsv:3: .* begins with 'seiner' where the number 2 is"),
        (
            "7\tAnn\tB-PER\n7\tlacht\tO\n\n" * 5,
            r"a.tsv:1: the first column holds numbers, but they don't count .*; remove",
        ),
        (GERMEVAL.replace("B-LOCderiv", "B_LOC"), r"a.tsv:4: 'B_LOC' is not a tag; write B-LOC"),
    ],
)
def test_rejects_numbers_that_are_not_understood(text: str, words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words):
        read_conll(write("a.tsv", text))


@pytest.mark.parametrize(
    "comment",
    [
        "# id 0f3a-4b domain=de",  # MultiCoNER, with as many columns as its rows
        "# id 0f3a-4b\tdomain=de",
        "#begin document (bc/cctv); part 000",  # OntoNotes
        "#",
        "# sent_id = 1\n# text = Ann lacht",
    ],
)
def test_skips_comments(comment: str, write: Write) -> None:
    parsed = read_conll(write("a.conll", f"{comment}\nAnn _ _ B-PER\n# _ _ O\n\n{comment}\n# _ _ O\n"))
    assert [sentence.tokens for sentence in parsed.sentences] == [("Ann", "#"), ("#",)]


@pytest.mark.parametrize("row", ["# o", "#Ann", "# O x\nAnn O x", "#Ann NN O", "Ann O\n# text = 1"])
def test_does_not_mistake_rows_for_comments(row: str, write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.conll:[1-4]: "):
        read_conll(write("a.conll", f"{row}\nBo B-PER\n"))


def test_rejects_tab_separated_hash_with_wrong_separator(write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.conll:1: '# O' has 1 column where line 2 has 2"):
        read_conll(write("a.conll", "# O\nAnn\tB-PER\n"))


@pytest.mark.parametrize("header", ["token\ttag", "word\tner", "Words\tLabel", "FORM\tNER_TAG"])
def test_rejects_header(header: str, write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.tsv:1: the row '.*' is a header; remove it"):
        read_conll(write("a.tsv", f"{header}\nAnn\tB-PER\n"))


def test_word_that_could_be_a_header_may_be_a_token(write: Write) -> None:
    assert read_conll(write("a.tsv", "word\tO\nner\tB-ORG\n")).sentences[0].tokens == ("word", "ner")


def test_messages_do_not_contain_raw_escapes_and_can_be_redacted(write: Write) -> None:
    file = write("a\x1b[31m.conll", "Ann O\nBo\x1b[0mBo\n")
    with pytest.raises(BadInput) as caught:
        read_conll(file)
    assert str(caught.value).endswith(
        r"a\x1b[31m.conll:2: 'Bo\x1b[0mBo' has 1 column where line 1 has 2; give every line the same columns"
    )
    assert "Bo" not in caught.value.redacted
    assert read_conll(write("b.conll", "Bo\x1b[0m B-PER\n")).sentences[0].tokens == ("Bo\x1b[0m",)


@pytest.mark.parametrize("line", ["Ann Smith wohnt", "Ann T-Smith", "Ann Smith-B", "Smith", "Ann o Smith"])
def test_redacts_words_of_files_that_are_no_column_files(line: str, write: Write) -> None:
    with pytest.raises(BadInput) as caught:
        read_conll(write("a.txt", f"{line}\n"))
    assert str(caught.value) != caught.value.redacted
    assert not {"Ann", "Smith", "wohnt"} & set(caught.value.redacted.replace("'", " ").replace("-", " ").split())
