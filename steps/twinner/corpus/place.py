"""Positions in corpus files, for messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twinner.errors import BadInput
from twinner.terminal import printable


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file or, in a JSON array, an item; both count from 1."""

    file: Path
    line: int | None = None
    item: int | None = None

    def __str__(self) -> str:
        """`file:line`, or `file: item 3`, printable."""
        position = "" if self.line is None else f":{self.line}"
        return printable(f"{self.file}{position}" if self.item is None else f"{self.file}: item {self.item}")

    def bad_input(self, problem: str, remedy: str, quotes: Sequence[str] = ()) -> BadInput:
        """The error for a problem at this place; `quotes` as in BadInput."""
        if self.item is not None:
            problem = f"item {self.item}: {problem}"
        return BadInput(problem, remedy, self.file, self.line, quotes)
