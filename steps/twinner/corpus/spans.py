"""From a text with entities as character offsets to a sentence of tokens with tags."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any

from twinner.corpus.part import Part
from twinner.corpus.sentence import Sentence
from twinner.errors import BadInput

Span = tuple[int, int, str]  # first character, behind the last character, label


@lru_cache
def tokenizer(lang: str) -> Callable[[str], Any]:
    """spaCy's tokenizer of a language. Errors: BadInput if unknown, or if it needs a package that is missing."""
    import spacy  # here, for it takes a second that column formats need not wait for

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


class SpanReader:
    """Makes sentences of the texts and spans of one file, and gathers them in `part`."""

    def __init__(self, file: Path, lang: str) -> None:
        self.part = Part()
        self._file = file
        self._lang = lang
        self._tokenize = tokenizer(lang)

    def add(self, text: str, spans: Sequence[Span], line: int) -> None:
        """Add one sentence; none if the text holds nothing but white space.

        A span that does not fall on token borders is widened to them and counted. Where two spans then share a token,
        the first is kept and the second left out, counted too: a token carries one tag, and to shorten the
        second would make up a mention that nobody annotated.
        Errors: BadInput for offsets outside the text, spans that overlap, hold no token, or have no label.
        """
        spans = sorted(spans)
        self._check(text, spans, line)
        words = [(token.idx, token.text) for token in self._tokenize(text) if not token.is_space]
        starts = [start for start, _ in words]
        ends = [start + len(word) for start, word in words]
        tags = ["O"] * len(words)
        free = 0  # the first token behind the entity before
        for start, end, label in spans:
            first, behind = bisect_right(ends, start), bisect_left(starts, end)
            if first >= behind:
                problem = f"the span {start} to {end} ({label}) holds nothing but white space"
                raise BadInput(problem, "mend its offsets, or drop it", self._file, line)
            place = f"{self._file}:{line}: {text[start:end]!r}"
            if first < free:
                self.part.left_out += 1
                self.part.first_left_out = self.part.first_left_out or place
                continue
            if starts[first] < start or end < ends[behind - 1]:
                self.part.widened += 1
                wide = text[starts[first] : ends[behind - 1]]
                self.part.first_widened = self.part.first_widened or f"{place} to {wide!r}"
            tags[first:behind] = [intern(f"B-{label}"), *[intern(f"I-{label}")] * (behind - first - 1)]
            free = behind
        if words:
            tokens = tuple(intern(word) for _, word in words)
            self.part.sentences.append(Sentence(tokens, tuple(tags), tuple(starts), text))

    def _check(self, text: str, spans: Sequence[Span], line: int) -> None:
        before: Span | None = None
        for span in spans:
            start, end, label = span
            if not 0 <= start < end <= len(text):
                problem = f"the span {start} to {end} ({label}) is outside the text of {len(text)} characters, or empty"
                raise BadInput(problem, "count characters (not bytes) from 0", self._file, line)
            if not label.strip() or any(char in label for char in "\t\r\n"):
                problem = f"the span {start} to {end} has the label {label!r}"
                raise BadInput(problem, "name a label, without tabs and line ends", self._file, line)
            if before and start < before[1]:
                first, second = (f"{s} to {e} ({name})" for s, e, name in (before, span))
                problem = f"the spans {first} and {second} overlap"
                raise BadInput(problem, "keep one of them: a token carries one tag", self._file, line)
            before = span
