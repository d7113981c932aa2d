"""From character offsets to tags of tokens."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twinner.corpus.overlaps import Span
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.place import Place
from twinner.corpus.spans import AnnotatedText, parse_texts, tokenizer
from twinner.errors import BadInput


def read(text: str, *spans: tuple[int, int, str], lang: str = "de") -> ParsedFile:
    """Read a text that stands in line 3 of a file."""
    annotated = AnnotatedText(text, [Span(*span) for span in spans], Place(Path("f.jsonl"), 3))
    return parse_texts([annotated], lang)


def test_keeps_text_and_offsets() -> None:
    text = "Dr. Klaas  gab\nIbuprofen 400."
    (sentence,) = read(text, (15, 24, "DRUG"), (4, 9, "PER")).sentences
    assert sentence.text == text
    assert [text[start:end] for start, end in zip(sentence.starts, sentence.ends, strict=True)] == [*sentence.tokens]
    assert [(sentence.tokens[start], label) for start, _, label in sentence.entities] == [
        ("Klaas", "PER"),
        ("Ibuprofen", "DRUG"),
    ]
    assert not any(token.isspace() for token in sentence.tokens)


def test_keeps_adjacent_entities_apart() -> None:
    (sentence,) = read("Ibu Ass", (0, 3, "A"), (4, 7, "A")).sentences
    assert sentence.tags == ("B-A", "B-A")


def test_widens_span_to_token_borders() -> None:
    part = read("Schmerztherapie hilft", (0, 7, "DIAG"))
    assert part.sentences[0].tags == ("B-DIAG", "O")
    assert part.widened == 1
    assert part.first_widened == "f.jsonl:3: 'Schmerz' to 'Schmerztherapie'"


def test_trims_white_space_of_span() -> None:
    part = read("Nur Ibu hilft", (3, 8, "DRUG"))
    assert part.sentences[0].tags == ("O", "B-DRUG", "O")
    assert part.widened == 0


def test_drops_second_span_in_one_token() -> None:
    part = read("Schmerztherapie hilft", (0, 7, "A"), (7, 21, "B"))
    assert part.sentences[0].tags == ("B-A", "O")
    assert (part.widened, part.left_out) == (1, 1)
    assert part.first_left_out == "f.jsonl:3: 'therapie hilft'"


def test_white_space_makes_no_sentence() -> None:
    assert read(" \n\xa0").sentences == []


@pytest.mark.parametrize("char", ["\u2028", "\x85", "\xa0", "\u200b", "👩‍⚕️", "e\u0301"])
def test_unusual_characters_keep_offsets(char: str) -> None:
    text = f"Frau{char} nimmt Ibu"
    start = text.index("Ibu")
    (sentence,) = read(text, (start, start + 3, "A")).sentences
    assert [sentence.tokens[first] for first, _, _ in sentence.entities] == ["Ibu"]


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ([(0, 99, "A")], r"f.jsonl:3: the span 0 to 99 \(A\) is outside the text of 12 characters, or empty; count"),
        ([(-1, 3, "A")], "the span -1 to 3"),
        ([(3, 3, "A")], "the span 3 to 3"),
        ([(3, 4, "A")], "the span 3 to 4 .* holds only white space"),
        ([(0, 3, " ")], "the span 0 to 3 has the label ' '"),
    ],
)
def test_rejects_invalid_spans(spans: list[tuple[int, int, str]], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read("Ibu hilft ja", *spans)


def test_reduces_overlapping_spans_and_counts_them() -> None:
    part = read("Uni Jena hilft", (0, 8, "ORG"), (4, 8, "LOC"))
    assert part.sentences[0].tags == ("B-ORG", "I-ORG", "O")
    assert part.notes == [
        "f.jsonl:3 is the first of the entities left out because they overlap longer or earlier ones: 1"
    ]
    assert (part.widened, part.left_out) == (0, 0)


def test_rejects_unknown_lang() -> None:
    with pytest.raises(BadInput, match="the lang 'klingon' is unknown; use a code that spaCy knows, such as de, en"):
        tokenizer("klingon")


@given(
    words=st.lists(st.tuples(st.text("abäß", min_size=1, max_size=4), st.booleans()), min_size=1, max_size=8),
    gap=st.sampled_from([" ", "  ", "\n"]),
)
def test_finds_entities_on_words_again(words: list[tuple[str, bool]], gap: str) -> None:
    text = gap.join(word for word, _ in words)
    spans, position = [], 0
    for word, marked in words:
        if marked:
            spans.append((position, position + len(word), "X"))
        position += len(word) + len(gap)
    part = read(text, *spans, lang="xx")
    (sentence,) = part.sentences
    assert [(sentence.starts[first], sentence.ends[behind - 1], "X") for first, behind, _ in sentence.entities] == spans
    assert part.widened == part.left_out == 0


def test_rejects_label_with_lone_surrogate() -> None:
    with pytest.raises(BadInput, match=r"f.jsonl:3: the span 0 to 3 has the label 'A\\ud83d', which holds half a char"):
        read("Ibu hilft", (0, 3, "A\ud83d"))
