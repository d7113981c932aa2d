"""From texts with entities as character offsets to sentences of tokens with tags."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, chain, pairwise
from sys import intern
from typing import Any

from twinner.corpus.overlaps import Reduction, Span
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.place import Place
from twinner.corpus.sentence import MAX_CHARACTERS, Sentence
from twinner.errors import BadInput


@dataclass(frozen=True, slots=True)
class AnnotatedText:
    """A text with its entities, before tokenization. starts_document: whether it is the first of a document."""

    text: str
    spans: list[Span]
    place: Place
    starts_document: bool = False


@lru_cache
def tokenizer(lang: str) -> Callable[[str], Any]:
    """spaCy's tokenizer of a language. Errors: BadInput if unknown, or if it needs a package that is missing."""
    import spacy  # takes a second that column formats need not wait for

    try:
        spacy.util.get_lang_class(lang)
    except ImportError as error:
        remedy = "use a code that spaCy knows, such as de, en, fr, es, it, nl, or xx for any language"
        raise BadInput(f"the lang {lang!r} is unknown", remedy) from error
    try:
        return spacy.blank(lang).tokenizer  # type: ignore[no-any-return]
    except ImportError as error:
        problem = f"the tokenizer of lang {lang!r} needs a package that is missing ({error})"
        raise BadInput(problem, "install it, or use lang=xx") from error


def parse_texts(texts: Iterable[AnnotatedText], lang: str, notes: Sequence[str] = ()) -> ParsedFile:
    """Tokenize the texts of one file, their offsets in characters: a sentence each, none for white space.

    Spans that overlap or have several parts are reduced as Reduction says. A span that does not fall on token borders
    is widened to them and counted. If two spans then share a token, the first is kept and the second dropped and
    counted: a token carries one tag, and shortening the second would invent a mention that nobody annotated.
    Errors: BadInput for offsets outside the text, spans that hold no token or have no label.
    """
    parsed = ParsedFile()
    tokenize = tokenizer(lang)
    reduction = Reduction()
    for text in texts:
        _check_length(text)
        check_spans(text)
        if text.starts_document:
            parsed.documents.append(len(parsed.sentences))
        spans = [span._replace(parts=_parts(span, text.text)) for span in text.spans]
        _add_sentence(replace(text, spans=reduction.reduce(spans, text.place)), parsed, tokenize)
    parsed.documents = sorted(set(parsed.documents) - {len(parsed.sentences)})
    parsed.notes = [note for note in (*notes, reduction.note()) if note]
    return parsed


def _parts(span: Span, text: str) -> tuple[tuple[int, int], ...]:
    """The parts of a span; none if only white space is between them, as where a line ends within a mention."""
    gaps = (text[end:start] for (_, end), (start, _) in pairwise(sorted(span.parts)))
    return span.parts if any(gap and not gap.isspace() for gap in gaps) else ()


def _add_sentence(annotated: AnnotatedText, parsed: ParsedFile, tokenize: Callable[[str], Any]) -> None:
    text, place = annotated.text, annotated.place
    words = [(token.idx, token.text) for token in tokenize(text) if not token.is_space]
    starts = [start for start, _ in words]
    ends = [start + len(word) for start, word in words]
    tags = ["O"] * len(words)
    free = 0  # first token after the previous entity
    for start, end, label, *_ in annotated.spans:
        first, behind = bisect_right(ends, start), bisect_left(starts, end)
        if first >= behind:
            problem = f"the span {start} to {end} ({label}) holds only white space"
            raise place.bad_input(problem, "correct its offsets, or remove it")
        if first < free:
            parsed.left_out += 1
            parsed.first_left_out = parsed.first_left_out or f"{place}: {text[start:end]!r}"
            continue
        if starts[first] < start or end < ends[behind - 1]:
            parsed.widened += 1
            wide = text[starts[first] : ends[behind - 1]]
            parsed.first_widened = parsed.first_widened or f"{place}: {text[start:end]!r} to {wide!r}"
        tags[first:behind] = [intern(f"B-{label}"), *[intern(f"I-{label}")] * (behind - first - 1)]
        free = behind
    if words:
        tokens = tuple(intern(word) for _, word in words)
        parsed.sentences.append(Sentence(tokens, tuple(tags), tuple(starts), text))


def _check_length(annotated: AnnotatedText) -> None:
    if len(annotated.text) > MAX_CHARACTERS:
        count = f"{len(annotated.text):,} characters"
        problem = f"the text has {count}, more than the {MAX_CHARACTERS:,} that spaCy takes"
        raise annotated.place.bad_input(problem, "split it into sentences")


def check_spans(annotated: AnnotatedText) -> None:
    """Raise BadInput for a span that is outside the text, empty, or without a label that can be used."""
    text, place = annotated.text, annotated.place
    for start, end, label, *_ in sorted(annotated.spans, key=_start):
        if not 0 <= start < end <= len(text):
            problem = f"the span {start} to {end} ({label}) is outside the text of {len(text)} characters, or empty"
            raise place.bad_input(problem, "count characters (not bytes) from 0")
        if not label.strip() or any(char in label for char in "\t\r\n"):
            problem = f"the span {start} to {end} has the label {label!r}"
            raise place.bad_input(problem, "name a label, without tabs and line ends")
        if any("\ud800" <= char <= "\udfff" for char in label):
            problem = f"the span {start} to {end} has the label {label!r}, which holds half a character"
            raise place.bad_input(problem, "export the file again as UTF-8")


def in_characters(texts: list[AnnotatedText]) -> tuple[list[AnnotatedText], list[str]]:
    """The texts of one file with offsets in characters, and a warning if they were in UTF-16 units, as in JavaScript.

    The two ways of counting differ only after a character beyond U+FFFF, such as an emoji. There a text whose quotes
    fit one way only is read that way. A text without quotes, or whose quotes fit both ways, is read like the rest of
    the file; in characters if no text decides.
    Errors: BadInput for a text whose quotes fit neither way, and for an undecided one in a file that counts both ways.
    """
    by_characters, by_units, undecided = [], [], []  # indices of texts
    converted: dict[int, AnnotatedText | None] = {}
    for index, text in enumerate(texts):
        fits, other = _fits(text), _from_utf16(text)
        if other == text and fits:
            continue
        converted[index] = other
        other_fits = other is not None and _fits(other)
        if fits and (other_fits or not any(span.quote for span in text.spans)):
            undecided.append(index)
        elif fits:
            by_characters.append(index)
        elif other_fits:
            by_units.append(index)
        else:
            raise _misquoted(text)
    if not by_units:
        return texts, []
    first = texts[by_units[0]].place
    for index in undecided:
        if by_characters:
            seen = f"some texts of the file count UTF-16 units ({first}), others characters"
            problem = f"{seen} ({texts[by_characters[0]].place}), and this one has no quotes that decide"
            raise texts[index].place.bad_input(problem, "count characters in the whole file")
        if converted[index] is None:
            problem = f"an offset is inside a character or outside the text if it counts UTF-16 units, as in {first}"
            raise texts[index].place.bad_input(problem, "count characters in the whole file")
    for index in by_characters:
        del converted[index]
    note = f"{first}: the quoted spans show that offsets count UTF-16 units, as in JavaScript; they were converted"
    return [converted.get(index) or text for index, text in enumerate(texts)], [note]


def _fits(annotated: AnnotatedText) -> bool:
    """Whether the spans stand where their quotes say, white space aside; true without quotes."""
    return all(_fits_quote(span, annotated.text) for span in annotated.spans)


def _fits_quote(span: Span, text: str) -> bool:
    return not span.quote or (span.start >= 0 and span.quote.split() == _text_of(span, text).split())


def _text_of(span: Span, text: str) -> str:
    return " ".join(text[start:end] for start, end in span.parts or [(span.start, span.end)])


def _from_utf16(annotated: AnnotatedText) -> AnnotatedText | None:
    """The text with offsets converted from UTF-16 units to characters; None if one falls inside a character."""
    if annotated.text.isascii() or max(annotated.text) <= "\uffff":
        return annotated
    borders = accumulate((1 + (char > "\uffff") for char in annotated.text), initial=0)
    characters = {units: index for index, units in enumerate(borders)}
    spans = []
    for span in annotated.spans:
        if not {span.start, span.end, *chain.from_iterable(span.parts)} <= characters.keys():
            return None
        parts = tuple((characters[start], characters[end]) for start, end in span.parts)
        spans.append(span._replace(start=characters[span.start], end=characters[span.end], parts=parts))
    return replace(annotated, spans=spans)


def _misquoted(annotated: AnnotatedText) -> BadInput:
    check_spans(annotated)  # offsets outside the text are an error of their own
    span = next(span for span in annotated.spans if not _fits_quote(span, annotated.text))
    quote, found = repr(span.quote), repr(_text_of(span, annotated.text))
    problem = f"the span {span.start} to {span.end} ({span.label}) quotes {quote}, but {found} stands there"
    remedy = "correct its offsets: they count characters from 0"
    return annotated.place.bad_input(problem, remedy, [quote, found])


def _start(span: Span) -> int:
    return span.start
