"""Tagging schemes as data: which one a file keeps to, and its tags as IOB2.

A scheme says which two tags may stand side by side, so the distinct pairs of neighbours in a file are all that is
needed to tell its scheme, however long the file is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from twinner.errors import BadInput

BORDER = ""  # stands before the first and behind the last tag of a sentence; to a scheme it is like `O`


@dataclass(frozen=True)
class Scheme:
    """A tagging scheme: its prefixes, and which of them may stand side by side.

    free: pairs that may stand whatever their labels are. same: pairs that may stand if their labels are the same.
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
SCHEMES = (IOB2, IOB1, BILOU, IOBES)  # the first that fits is taken


def _opens(before: str, tag: str) -> bool:
    """Whether a tag opens an entity, in any scheme that allows the pair."""
    continues = before[:1] in ("B", "I") and tag[:1] in ("I", "L", "E") and before[2:] == tag[2:]
    return tag != "O" and not continues


class TagPairs:
    """The distinct pairs of neighbouring tags of one file, each with the line where it was first seen."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lines: dict[tuple[str, str], int] = {}

    def add(self, tags: Sequence[str], lines: Sequence[int]) -> None:
        """Add one sentence: n tags and the n lines that they stand on. Errors: BadInput for a tag that is no tag."""
        known = self._lines
        for position, pair in enumerate(pairwise((BORDER, *tags, BORDER))):
            if pair not in known:
                known[pair] = line = lines[min(position, len(lines) - 1)]
                self._check(pair[1], line)

    def _check(self, tag: str, line: int) -> None:
        prefix, dash, label = tag[:1], tag[1:2], tag[2:]
        if tag in ("O", BORDER) or (prefix in "BILUES" and dash == "-" and label.strip()):
            return
        if tag[1:2] == "-" and not label.strip():
            problem = f"the tag {tag!r} names no label"
        elif tag[1:2] == "-":
            problem = f"the tag {tag!r} has the unknown prefix {prefix!r}"
        else:
            problem = f"{tag!r} is no tag"
        remedy = "the last column takes O, or B- and I- with a label, as in B-PER (or BILOU or IOBES)"
        raise BadInput(problem, remedy, self._file, line)

    def scheme(self) -> Scheme:
        """The first of SCHEMES that allows every pair; of those with B and I alone, IOB2 before IOB1.

        Errors: BadInput that names the first line which breaks the scheme that was most likely meant.
        """
        for scheme in SCHEMES:
            if self._first_offence(scheme) is None:
                return scheme
        raise self._neither()

    def _first_offence(self, scheme: Scheme) -> tuple[int, str, str] | None:
        """The first line that the scheme does not allow, with the tag before and the tag there."""
        return min(
            ((line, *pair) for pair, line in self._lines.items() if not scheme.allows(*pair)),
            default=None,
        )

    def _neither(self) -> BadInput:
        prefixes = {tag[:1] for pair in self._lines for tag in pair}
        meant = BILOU if prefixes & {"L", "U"} else IOBES if prefixes & {"E", "S"} else IOB2
        offence = self._first_offence(meant)
        assert offence is not None  # else the scheme would have been taken
        line, before, tag = offence
        remedy = f"mend the tags so that the whole file keeps to one scheme ({', '.join(s.name for s in SCHEMES)})"
        if tag[:1] not in meant.prefixes:
            problem = f"the tag {tag!r} is of another scheme than {meant.name}, which other tags of the file are of"
        elif tag == BORDER:
            problem = f"the tag {before!r} ends a sentence, and the scheme {meant.name} does not allow that"
        else:
            place = f"follows {before!r}" if before else "opens a sentence"
            problem = f"the tag {tag!r} {place}, and the scheme {meant.name} does not allow that"
        if meant is IOB2:
            remedy = f"an I- only follows a tag of its own label: write B-{tag[2:]}"
            if other := self._first_offence(IOB1):
                remedy += f" (it is not IOB1 either: see {other[2]!r} in line {other[0]})"
        return BadInput(problem, remedy, self._file, line)

    def iob2(self) -> "dict[tuple[str, str], str]":
        """For each pair (tag before, tag) of the file the IOB2 tag to write. Errors: as `scheme`."""
        self.scheme()
        return {
            (before, tag): "O" if tag == "O" else f"{'B' if _opens(before, tag) else 'I'}-{tag[2:]}"
            for before, tag in self._lines
            if tag != BORDER
        }
