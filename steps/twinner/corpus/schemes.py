"""Tagging schemes as data: recognising a file's scheme, and converting its tags to IOB2.

A scheme defines which two tags may be neighbours, so counting the distinct pairs of neighbours in a file is enough to
recognise its scheme, however long the file is.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from sys import intern

from twinner.corpus.place import Place
from twinner.errors import BadInput

BORDER = ""  # stands before the first and after the last tag of a sentence; schemes treat it like `O`
MAX_STRAY = 0.01  # share of a file's entities that may begin against its scheme


@dataclass(frozen=True)
class Scheme:
    """A tagging scheme: its prefixes, and which of them may be neighbours.

    free: pairs allowed whatever their labels. same: pairs allowed if their labels are equal.
    """

    name: str
    prefixes: str
    free: frozenset[str]
    same: frozenset[str]

    def allows(self, before: str, tag: str) -> bool:
        """Whether `tag` may follow `before`; either may be BORDER."""
        pair = (before[:1] or "O") + (tag[:1] or "O")
        return pair in self.free or (pair in self.same and before[2:] == tag[2:])


def _scheme(name: str, prefixes: str, free: str, same: str) -> Scheme:
    return Scheme(name, prefixes, frozenset(free.split()), frozenset(same.split()))


IOB2 = _scheme("IOB2", "BIO", free="OO OB BO BB IO IB", same="BI II")
IOB1 = _scheme("IOB1", "BIO", free="OO OI BO BI IO II", same="BB IB")
BILOU = _scheme("BILOU", "BILOU", free="OO OB OU LO LB LU UO UB UU", same="BI BL II IL")
IOBES = _scheme("IOBES", "BIOES", free="OO OB OS EO EB ES SO SB SS", same="BI BE II IE")
SCHEMES = (IOB2, IOB1, BILOU, IOBES)  # in order of preference


def is_tag(text: str) -> bool:
    """Whether a text is a tag of any scheme: `O`, or a prefix, `-` and a label."""
    return text == "O" or (text[:1] in tuple("BILUES") and text[1:2] == "-" and bool(text[2:].strip()))


def misspelt_tag(text: str) -> str:
    """The tag that was most likely meant, as in `B-PER` for `B_PER`, `PER-B` or `b-PER`; empty if none is likely."""
    if text in ("o", "0", "_", "-"):
        return "O"
    if prefix_first := re.fullmatch(r"([BILUESbi])[-_:.](.*\S.*)", text):
        return f"{prefix_first[1].upper()}-{prefix_first[2]}"
    if prefix_last := re.fullmatch(r"(.*\S.*)[-_]([BILUES])", text):
        return f"{prefix_last[2]}-{prefix_last[1]}"
    return ""


def begins_entity(before: str, tag: str) -> bool:
    """Whether a tag begins an entity, as conlleval and seqeval read it; the same in every scheme."""
    continues = before[:1] in ("B", "I") and tag[:1] in ("I", "L", "E") and before[2:] == tag[2:]
    return tag not in ("O", BORDER) and not continues


class TagPairs:
    """The distinct pairs of neighbouring tags of one file, with their counts and the line of their first occurrence.

    items: whether the lines are items of a JSON array or rows of a table.
    """

    def __init__(self, file: Path, items: bool = False) -> None:
        self._file, self._items = file, items
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lines: dict[tuple[str, str], int] = {}
        self._iob2: dict[tuple[str, str], str] = {}

    def add(self, tags: Sequence[str], lines: Sequence[int]) -> list[str]:
        """Add one sentence, n tags and the n lines that they stand on, and return the n tags in IOB2.

        IOB2 needs the previous tag only, not the scheme, so a file is converted while it is read.
        Errors: BadInput for a tag of no scheme.
        """
        self._counts.update(pairwise((BORDER, *tags, BORDER)))
        if len(self._counts) != len(self._lines):
            self._add_new(tags, lines)
        return [self._iob2[pair] for pair in pairwise((BORDER, *tags))]

    def _add_new(self, tags: Sequence[str], lines: Sequence[int]) -> None:
        for position, pair in enumerate(pairwise((BORDER, *tags, BORDER))):
            if pair not in self._lines:
                before, tag = pair
                self._lines[pair] = line = lines[min(position, len(lines) - 1)]
                if tag != BORDER and not is_tag(tag):
                    raise self._no_tag(tag, line)
                prefix = "B" if begins_entity(before, tag) else "I"
                self._iob2[pair] = intern(f"{prefix}-{tag[2:]}") if tag not in ("O", BORDER) else tag

    def _place(self, line: int) -> Place:
        return Place(self._file, item=line) if self._items else Place(self._file, line)

    def _no_tag(self, tag: str, line: int) -> BadInput:
        remedy = "write O, or B- or I- and a label, as in B-PER (or BILOU or IOBES), or choose other tags by tag_column"
        if meant := misspelt_tag(tag):
            remedy = f"write {meant}" + (" (the capital letter)" if meant == "O" else "")
        if tag[1:2] == "-" and not tag[2:].strip():
            problem = f"the tag {tag!r} names no label"
        elif tag[1:2] == "-":
            problem = f"the tag {tag!r} has the unknown prefix {tag[:1]!r}"
        else:
            problem = f"{tag!r} is not a tag"
        # A file in another format has words in its last column.
        quotes = (repr(tag), meant) if meant != "O" else ()
        return self._place(line).bad_input(problem, remedy, quotes)

    def scheme(self) -> Scheme:
        """The first of SCHEMES that allows every pair, or else all but a few (MAX_STRAY).

        Errors: BadInput that names the first line which breaks the scheme that was most likely meant.
        """
        for scheme in SCHEMES:
            if not self._offences(scheme):
                return scheme
        prefixes = {tag[:1] for pair in self._lines for tag in pair if tag}
        if prefixes & {"L", "U"}:
            meant = BILOU
        elif prefixes & {"E", "S"}:
            meant = IOBES
        else:
            meant = min((IOB2, IOB1), key=self._count_offences)
        if prefixes <= set(meant.prefixes) and self._count_offences(meant) <= MAX_STRAY * self._count_entities():
            return meant
        raise self._breaks_scheme(IOB2 if meant is IOB1 else meant)

    def stray_tags(self) -> str:
        """A warning about the tags that break the file's scheme and were read nevertheless; empty if there are none."""
        scheme = self.scheme()
        offences = self._offences(scheme)
        if not offences:
            return ""
        line, before, tag = offences[0]
        first = f"{self._place(line)}: {_describe(before, tag)}, which {scheme.name} does not allow"
        count = f"{self._count_offences(scheme):,} among {self._count_entities():,} entities"
        return f"{first}; such stray tags, {count}, are read as conlleval does"

    def _offences(self, scheme: Scheme) -> list[tuple[int, str, str]]:
        """The pairs that a scheme does not allow as (line, previous tag, tag), in order of their lines."""
        return sorted((line, *pair) for pair, line in self._lines.items() if not scheme.allows(*pair))

    def _count_offences(self, scheme: Scheme) -> int:
        return sum(count for pair, count in self._counts.items() if not scheme.allows(*pair))

    def _count_entities(self) -> int:
        return sum(count for pair, count in self._counts.items() if begins_entity(*pair))

    def _breaks_scheme(self, meant: Scheme) -> BadInput:
        line, before, tag = self._offences(meant)[0]
        remedy = f"correct the tags so that the whole file uses one scheme ({', '.join(s.name for s in SCHEMES)})"
        if tag[:1] not in meant.prefixes:
            problem = f"the tag {tag!r} is not of the scheme {meant.name}, which other tags of the file use"
        else:
            problem = f"{_describe(before, tag)}, which the scheme {meant.name} does not allow"
        if meant is IOB2:
            remedy = f"an I- only follows a tag of its own label: write B-{tag[2:]}"
            if iob1 := self._offences(IOB1):
                unit = "item" if self._items else "line"
                remedy += f" (it is not IOB1 either: see {iob1[0][2]!r} in {unit} {iob1[0][0]})"
        return self._place(line).bad_input(problem, remedy)


def _describe(before: str, tag: str) -> str:
    if tag == BORDER:
        return f"the tag {before!r} ends a sentence"
    return f"the tag {tag!r} follows {before!r}" if before else f"the tag {tag!r} opens a sentence"
