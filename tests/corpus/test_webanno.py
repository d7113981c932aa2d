"""WebAnno TSV 3."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twinner.corpus.formats import read_file
from twinner.corpus.webanno import read_webanno
from twinner.errors import BadInput

Write = Callable[..., Path]
NER = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
POS = "#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|PosValue|coarseValue"
RELATION = (
    "#T_RL=de.tudarmstadt.ukp.dkpro.core.api.syntax.type.dependency.Dependency|DependencyType"
    "|BT_de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS"
)
TSV = f"""\
#FORMAT=WebAnno TSV 3.3
{POS}
{NER}|identifier|value
{RELATION}


#Sentence.id=s1
#Text=Ann Bo besucht  die Uni Ulm.
1-1\t0-3\tAnn\tNE\tNE\t*[1]\tPER[1]\tSB\t1-3\t
1-2\t4-6\tBo\tNE\tNE\t*[1]\tPER[1]\tSB\t1-3\t
1-3\t7-14\tbesucht\tVV\tV\t_\t_\t_\t_\t
1-4\t16-19\tdie\tART\tD\t_\t_\t_\t_\t
1-5\t20-23\tUni\tNN\tN\t*[2]\tORG[2]\t_\t_\t
1-6\t24-27\tUlm\tNE\tN\t*[2]|http://example.org/Ulm[3]\tORG[2]|LOC[3]\tNK\t1-5\t
1-7\t27-28\t.\t$.\t.\t_\t_\t_\t_\t

#Text=Er singt
#Text=Kölsch
2-1\t29-31\tEr\tPP\tP\t*\tPER\t_\t_\t
2-2\t32-37\tsingt\tVV\tV\t_\t_\t_\t_\t
2-3\t38-44\tKölsch\tNE\tN\t_\t_\t_\t_\t
2-3.1\t38-42\tKöls\t_\t_\t*\tLOC\t_\t_\t
"""


def short(*rows: str, layers: str = f"{NER}|value", text: str = "") -> str:
    """A file of one sentence: rows of a token and its cells, separated by spaces."""
    numbered = [f"1-{number}\t0-1\t{row.replace(' ', chr(9))}\t" for number, row in enumerate(rows, start=1)]
    return "\n".join(["#FORMAT=WebAnno TSV 3.2", layers, "", "", f"#Text={text}", *numbered, ""])


def test_reads_layer_of_named_entities(write: Write) -> None:
    parsed = read_file(write("a.tsv", TSV), "xx")
    first, second = parsed.sentences
    assert first.tags == ("B-PER", "I-PER", "O", "O", "B-ORG", "I-ORG", "O")
    assert (first.text, first.starts) == ("Ann Bo besucht  die Uni Ulm.", (0, 4, 7, 16, 20, 24, 27))
    assert (second.text, second.tags) == ("Er singt\nKölsch", ("B-PER", "O", "B-LOC"))
    assert (parsed.widened, parsed.documents) == (1, [0])
    assert parsed.first_widened.endswith("a.tsv:22: 'Köls' to 'Kölsch'")
    (note,) = parsed.notes
    assert "a.tsv:9 is the first of the entities left out because they overlap longer or earlier ones: 1" in note


@pytest.mark.parametrize(
    ("layers", "cells", "tag_column"),
    [
        (f"{NER}|value", "LOC", ""),
        (f"{POS}\n{NER}|identifier|value", "NE NE * LOC", ""),
        (f"#T_SP=webanno.custom.Empty|\n{NER}|value", "_ LOC", ""),
        (f"#T_SP=webanno.custom.Place|kind\n{POS}", "LOC NE NE", ""),
        (f"{POS}\n#T_SP=webanno.custom.Place|kind", "NE NE LOC", ""),
        ("#T_SP=webanno.custom.Place|kind\n#T_CH=webanno.custom.Link|referenceType|referenceRelation", "LOC _ _", ""),
        (
            "#T_SP=webanno.custom.Frame|ROLE_webanno.custom.Frame:Roles_webanno.custom.FrameRolesLink|webanno.custom.Lu"
            "\n#T_SP=webanno.custom.Lu|kind",
            "_ _ LOC",
            "",
        ),
        ("#T_SP=webanno.custom.Place|kind|size", "LOC big", "4"),
        ("#T_SP=webanno.custom.Place|kind|size", "big LOC", "-1"),
        (f"{NER}|value\n#T_SP=webanno.custom.Place|kind", "PER LOC", "5"),
    ],
)
def test_finds_column_of_labels(layers: str, cells: str, tag_column: str, write: Write) -> None:
    (sentence,) = read_webanno(write("a.tsv", short(f"Ulm {cells}", layers=layers)), tag_column=tag_column).sentences
    assert sentence.tags == ("B-LOC",)


@pytest.mark.parametrize("tag_column", ["0", "3", "6", "-3", "11", "value"])
def test_rejects_wrong_tag_column(tag_column: str, write: Write) -> None:
    file = write("a.tsv", short("Ulm LOC big", layers="#T_SP=webanno.custom.Place|kind|size"))
    with pytest.raises(BadInput, match=rf"tag_column is '{tag_column}', but labels are in columns 4 to 5 of this file"):
        read_webanno(file, tag_column=tag_column)


def test_unescapes_tokens_text_and_labels(write: Write) -> None:
    rows = (r"\_ _", r"\* X\_Y", r"a\\b X\|Y[1]", r"\[1\] X\|Y[1]", r"\-> _")
    (sentence,) = read_webanno(write("a.tsv", short(*rows, text=r"_ * a\\b [1] ->"))).sentences
    assert sentence.tokens == ("_", "*", r"a\b", "[1]", "->")
    assert sentence.tags == ("O", "B-X_Y", "B-X|Y", "I-X|Y", "O")
    assert sentence.text == r"_ * a\b [1] ->"


def test_joins_tokens_that_are_not_in_the_text(write: Write) -> None:
    (sentence,) = read_webanno(write("a.tsv", short("Ann PER", "lacht _", text="Ann, lacht"))).sentences
    assert sentence.text == "Ann lacht"


def test_adjacent_annotations_stay_apart(write: Write) -> None:
    (sentence,) = read_webanno(write("a.tsv", short("Ann PER", "Bo PER", "Cem PER[1]", "Du PER[1]"))).sentences
    assert sentence.tags == ("B-PER", "B-PER", "B-PER", "I-PER")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("#FORMAT=WebAnno TSV 2\n", r"a.tsv:1: the file is 'WebAnno TSV 2'; export it as WebAnno TSV v3.3"),
        (
            short("Cem a b", layers="#T_SP=c.Place|kind|size"),
            r"several others: columns 4 \(Place.kind\), 5 \(Place.size\); ch",
        ),
        (short("Cem a b", layers=POS), r"a.tsv:1: no layer of labels; export a layer of spans"),
        (
            short("Cem *"),
            r"a.tsv:6: the annotation of 'Cem' has no value in column 4; give it one in the tool, or choose",
        ),
        (TSV.replace("4-6\tBo\t", ""), r"a.tsv:10: the row has 7 columns where the header declares 9; export the file"),
        (short("Cem PER") + "Cem PER\n", r"a.tsv:7: 'Cem PER' is not a row of WebAnno TSV 3; export"),
        (short("Cem PER").replace("1-1", "1-1.1"), r"a.tsv:6: the row 1-1.1 is part of no token"),
    ],
)
def test_rejects_what_it_can_not_read(content: str, words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        read_file(write("a.tsv", content), "xx")
    assert "Cem" not in caught.value.redacted


WORD = st.text("ab\\_*[]|;->é", min_size=1, max_size=4)


def escaped(text: str) -> str:
    """A text as WebAnno writes it in a cell."""
    for char in ("\\", "[", "]", "|", "_", "*", ";"):
        text = text.replace(char, f"\\{char}")
    return text.replace("->", "\\->")


@given(words=st.lists(st.tuples(WORD, st.none() | WORD), min_size=1, max_size=5))
def test_reads_what_webanno_escapes(
    words: list[tuple[str, str | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("escaped") / "a.tsv"
    rows = [f"{escaped(word)} {'_' if label is None else escaped(label)}" for word, label in words]
    file.write_text(short(*rows), encoding="utf-8")
    (sentence,) = read_webanno(file).sentences
    assert sentence.tokens == tuple(word for word, _ in words)
    assert sentence.tags == tuple("O" if label is None else f"B-{label}" for _, label in words)
