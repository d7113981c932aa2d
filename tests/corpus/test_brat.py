"""brat's standoff format."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twinner.corpus.brat import read_brat, split_at_line_ends
from twinner.corpus.formats import read_file
from twinner.corpus.overlaps import Span
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.place import Place
from twinner.corpus.spans import AnnotatedText
from twinner.errors import BadInput

Write = Callable[..., Path]
TEXT = "Ann Bo wohnt in Ulm.\nDie Uni Ulm liegt dort.\n"
ANNOTATIONS = """\
T1\tPER 0 6\tAnn Bo
T2\tLOC 16 19\tUlm
R1\tLives Arg1:T1 Arg2:T2\t
E1\tLiving:T1 Where:T2
A1\tSure T1
N1\tReference T2 Wikipedia:1\tUlm
#1\tAnnotatorNotes T1\twho is this?
*\tEquiv T1 T2
T3\tORG 25 32\tUni Ulm
T4\tLOC 29 32\tUlm
"""


def mentions(parsed: ParsedFile) -> list[tuple[str, str]]:
    """The text and label of each entity."""
    found = []
    for sentence in parsed.sentences:
        for first, end, label in sentence.entities:
            found.append((sentence.text[sentence.starts[first] : sentence.ends[end - 1]], label))
    return found


@pytest.fixture
def document(write: Write) -> Callable[..., Path]:
    def write_document(annotations: str, text: str | bytes = TEXT, name: str = "a") -> Path:
        write(f"{name}.txt", text)
        return write(f"{name}.ann", annotations)

    return write_document


def test_reads_entities_of_lines(document: Callable[..., Path]) -> None:
    parsed = read_brat(document(ANNOTATIONS), "de")
    assert [sentence.text for sentence in parsed.sentences] == TEXT.splitlines(keepends=True)
    assert mentions(parsed) == [("Ann Bo", "PER"), ("Ulm", "LOC"), ("Uni Ulm", "ORG")]
    assert parsed.documents == [0]
    (note,) = parsed.notes
    assert "a.ann is the first of the entities left out because they overlap longer or earlier ones: 1" in note


def test_text_or_annotations_name_a_document(document: Callable[..., Path], tmp_path: Path) -> None:
    file = document(ANNOTATIONS)
    assert read_file(file, "de") == read_file(tmp_path / "a.txt", "de")


def test_text_without_entities_has_no_annotations(document: Callable[..., Path]) -> None:
    assert [sentence.entities for sentence in read_file(document(""), "de").sentences] == [[], []]


@pytest.mark.parametrize(
    ("offsets", "quote", "found", "noted"),
    [
        ("0 3;7 12", "Ann wohnt", "Ann Bo wohnt", True),
        ("7 12;0 3", "wohnt Ann", "Ann Bo wohnt", True),
        ("0 3;4 6", "Ann Bo", "Ann Bo", False),  # only a space between
        ("16 20;21 24", "Ulm. Die", "Ulm.\nDie", False),  # a line end between
    ],
)
def test_reads_parts_as_one_span(
    offsets: str, quote: str, found: str, noted: bool, document: Callable[..., Path]
) -> None:
    parsed = read_brat(document(f"T1\tX {offsets}\t{quote}\n"), "de")
    assert mentions(parsed) == [(found, "X")]
    assert [note.endswith("of several parts, read as one span over all of them: 1") for note in parsed.notes] == [
        True
    ] * noted


def test_entity_over_a_line_end_joins_lines(document: Callable[..., Path]) -> None:
    parsed = read_brat(document("T1\tX 16 24\n"), "de")
    assert [sentence.text for sentence in parsed.sentences] == [TEXT]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("Herr\r\nAnn lacht", 6),  # brat counts both characters
        ("\ufeffHerr\nAnn lacht", 6),
        ("😀 Herr\nAnn lacht", 7),
        ("😀 Herr\nAnn lacht", 8),  # in UTF-16 units, which the quote tells
    ],
)
def test_offsets_count_characters_of_the_file(text: str, start: int, document: Callable[..., Path]) -> None:
    assert mentions(read_brat(document(f"T1\tPER {start} {start + 3}\tAnn\n", text), "de")) == [("Ann", "PER")]


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ("\nT1\tPER 0 x\tAnn\n", r"a.ann:2: 'T1\\tPER 0 x\\tAnn' is not an entity of brat; write T1<TAB>LABEL"),
        ("T1 PER 0 3 Ann\n", r"a.ann:1: 'T1 PER 0 3 Ann' is not an entity of brat"),
        ("T1\tPER 3 3\t\n", r"a.ann:1: the part 3 to 3 \(PER\) is empty"),
        ("T1\tPER 0 99\n", r"a.ann: the span 0 to 99 \(PER\) is outside the text of 45 characters"),
        ("T1\tPER 1 4\tAnn\n", r"a.ann: the span 1 to 4 \(PER\) quotes 'Ann', but 'nn ' stands there; correct its"),
        ("T1\tX 0 3;7 12\tAnn Bo\n", r"a.ann: the span 0 to 12 \(X\) quotes 'Ann Bo', but 'Ann wohnt' stands there"),
    ],
)
def test_rejects_annotations_that_do_not_fit(annotations: str, words: str, document: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        read_brat(document(annotations), "de")
    assert "Ann" not in caught.value.redacted


def test_rejects_annotations_without_text(write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.ann: the text 'a.txt' of these annotations is missing; put it beside them"):
        read_file(write("a.ann", ANNOTATIONS), "de")


def test_names_line_that_is_not_utf8(document: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match=r"a.txt:2: the line is not UTF-8 text \(byte 0xe4\); convert"):
        read_brat(document("", b"Ann\nB\xe4r\n"), "de")


def test_tag_column_is_refused(document: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match=r"a.ann: tag_column is '2', but this format has no columns of tags; leave"):
        read_file(document(ANNOTATIONS), "de", "2")


@given(
    text=st.text("ab \n", max_size=30),
    offsets=st.lists(st.tuples(st.integers(0, 29), st.integers(1, 9)), max_size=4),
)
def test_split_keeps_text_and_entities(text: str, offsets: list[tuple[int, int]]) -> None:
    spans = [Span(start, start + length, "X") for start, length in offsets if start + length <= len(text)]
    pieces = split_at_line_ends(AnnotatedText(text, spans, Place(Path("a.ann")), starts_document=True))
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.starts_document for piece in pieces] == [True] + [False] * (len(pieces) - 1)
    moved, before = [], 0
    for piece in pieces:
        assert all(0 <= span.start < span.end <= len(piece.text) for span in piece.spans)
        moved += [(span.start + before, span.end + before) for span in piece.spans]
        before += len(piece.text)
        inner_ends = [place + 1 for place, char in enumerate(piece.text[:-1]) if char == "\n"]
        assert all(any(span.start < end < span.end for span in piece.spans) for end in inner_ends)
    assert sorted(moved) == sorted((span.start, span.end) for span in spans)
