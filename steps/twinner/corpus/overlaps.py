"""Entities that overlap or have several parts, reduced to what one tag a token can say, and counted."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

from twinner.corpus.place import Place


class Span(NamedTuple):
    """An entity: offsets in characters, the end exclusive, and the text that the file says it has, if it does.

    parts: (start, end) of each part if it has several; start and end then cover them all.
    """

    start: int
    end: int
    label: str
    quote: str | None = None
    parts: tuple[tuple[int, int], ...] = ()


class Reduction:
    """Reduces the spans of each text of a file and counts what that loses.

    The rule: of spans that overlap, the longest is kept, and of equally long ones the first in the file. A span of
    several parts is read as one span from its first part to its last, but only if it overlaps no other span that is
    kept: what nobody marked must not displace what somebody did. The same span twice counts once.
    """

    def __init__(self) -> None:
        self._overlapping = self._covered = 0
        self._first: Place | None = None

    def reduce(self, spans: Iterable[Span], place: Place) -> list[Span]:
        """Return the spans of a text that are kept, in order of their starts; no two of them overlap."""
        distinct = {(span.start, span.end, span.label): span for span in sorted(spans, key=_has_parts, reverse=True)}
        kept: list[Span] = []
        for span in sorted(distinct.values(), key=_preference):
            where = bisect_left(kept, span.start, key=_start)
            if (where and kept[where - 1].end > span.start) or (where < len(kept) and kept[where].start < span.end):
                self._overlapping += 1
                self._first = self._first or place
                continue
            kept.insert(where, span)
            if span.parts:
                self._covered += 1
                self._first = self._first or place
        return kept

    def note(self) -> str:
        """A warning with the counts; empty if nothing was reduced."""
        said = []
        if self._overlapping:
            said.append(f"left out because they overlap longer or earlier ones: {self._overlapping:,}")
        if self._covered:
            said.append(f"of several parts, read as one span over all of them: {self._covered:,}")
        return f"{self._first} is the first of the entities {'; '.join(said)}" if said else ""


def _start(span: Span) -> int:
    return span.start


def _has_parts(span: Span) -> bool:
    return bool(span.parts)


def _preference(span: Span) -> tuple[bool, int]:
    return bool(span.parts), span.start - span.end
