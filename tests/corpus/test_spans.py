"""From character offsets to tags on tokens."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twinner.corpus.spans import Span, SpanReader, tokenizer
from twinner.errors import BadInput


def read(text: str, *spans: Span, lang: str = "de") -> SpanReader:
    reader = SpanReader(Path("f.jsonl"), lang)
    reader.add(text, spans, 3)
    return reader


def test_offsets_and_text_stay_those_of_the_original() -> None:
    text = "Dr. Klaas  gab\nIbuprofen 400."
    (sentence,) = read(text, (15, 24, "DRUG"), (4, 9, "PER")).part.sentences
    assert sentence.text == text
    assert [text[start:end] for start, end in zip(sentence.starts, sentence.ends, strict=True)] == [*sentence.tokens]
    assert [(sentence.tokens[start], label) for start, _, label in sentence.entities] == [
        ("Klaas", "PER"),
        ("Ibuprofen", "DRUG"),
    ]
    assert not any(token.isspace() for token in sentence.tokens)


def test_neighbours_of_one_type_stay_two_entities() -> None:
    (sentence,) = read("Ibu Ass", (0, 3, "A"), (4, 7, "A")).part.sentences
    assert sentence.tags == ("B-A", "B-A")


def test_a_span_off_token_borders_is_widened_and_counted() -> None:
    part = read("Schmerztherapie hilft", (0, 7, "DIAG")).part
    assert part.sentences[0].tags == ("B-DIAG", "O")
    assert part.widened == 1
    assert part.first_widened == "f.jsonl:3: 'Schmerz' to 'Schmerztherapie'"


def test_white_space_at_the_borders_of_a_span_is_not_counted_as_widened() -> None:
    part = read("Nur Ibu hilft", (3, 8, "DRUG")).part
    assert part.sentences[0].tags == ("O", "B-DRUG", "O")
    assert part.widened == 0


def test_of_two_spans_in_one_token_the_first_is_kept_and_the_second_counted() -> None:
    part = read("Schmerztherapie hilft", (0, 7, "A"), (7, 21, "B")).part
    assert part.sentences[0].tags == ("B-A", "O")
    assert (part.widened, part.left_out) == (1, 1)
    assert part.first_left_out == "f.jsonl:3: 'therapie hilft'"


def test_a_text_of_white_space_makes_no_sentence() -> None:
    assert read(" \n\xa0").part.sentences == []


@pytest.mark.parametrize("char", ["\u2028", "\x85", "\xa0", "\u200b", "👩‍⚕️", "e\u0301"])
def test_odd_characters_shift_no_offset(char: str) -> None:
    text = f"Frau{char} nimmt Ibu"
    start = text.index("Ibu")
    (sentence,) = read(text, (start, start + 3, "A")).part.sentences
    assert [sentence.tokens[first] for first, _, _ in sentence.entities] == ["Ibu"]


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ([(0, 99, "A")], r"f.jsonl:3: the span 0 to 99 \(A\) is outside the text of 12 characters, or empty; count"),
        ([(-1, 3, "A")], "the span -1 to 3"),
        ([(3, 3, "A")], "the span 3 to 3"),
        ([(0, 3, "A"), (2, 5, "B")], r"f.jsonl:3: the spans 0 to 3 \(A\) and 2 to 5 \(B\) overlap; keep one"),
        ([(0, 3, "A"), (0, 3, "A")], "overlap"),
        ([(3, 4, "A")], "the span 3 to 4 .* holds nothing but white space"),
        ([(0, 3, " ")], "the span 0 to 3 has the label ' '"),
    ],
)
def test_bad_spans_are_told_of(spans: list[Span], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read("Ibu hilft ja", *spans)


def test_an_unknown_lang_is_told_of() -> None:
    with pytest.raises(BadInput, match="the lang 'klingon' is unknown; use a code that spaCy knows, such as de, en"):
        tokenizer("klingon")


@given(
    words=st.lists(st.tuples(st.text("abäß", min_size=1, max_size=4), st.booleans()), min_size=1, max_size=8),
    gap=st.sampled_from([" ", "  ", "\n"]),
)
def test_entities_on_words_are_found_again(words: list[tuple[str, bool]], gap: str) -> None:
    text = gap.join(word for word, _ in words)
    spans, position = [], 0
    for word, marked in words:
        if marked:
            spans.append((position, position + len(word), "X"))
        position += len(word) + len(gap)
    part = read(text, *spans, lang="xx").part
    (sentence,) = part.sentences
    assert [(sentence.starts[first], sentence.ends[behind - 1], "X") for first, behind, _ in sentence.entities] == spans
    assert part.widened == part.left_out == 0
