"""Errors that are reported in one line, without a traceback."""

from collections.abc import Sequence
from pathlib import Path

from twinner.terminal import one_line


class Failure(Exception):
    """Something outside the project failed: `str(error)` is one line, and the step ends with exit status 1."""


class Undelivered(Failure):
    """What a run has produced did not all arrive in MLflow; it is kept on disk, and nothing has to be done again."""


class BadInput(Exception):
    """An input that can't be used: `str(error)` is one printable line for the user, without a traceback.

    The step ends with exit status 2 and its run FAILED, with the same words in the tag `twinner.error`.
    """

    def __init__(
        self,
        problem: str,
        remedy: str,
        file: str | Path | None = None,
        line: int | None = None,
        quotes: Sequence[str] = (),
    ) -> None:
        """Join the parts to one line: `file:line: problem; remedy`.

        problem: the fact with the offending value, as in `the tag 'X-PER' has the unknown prefix 'X'`.
        remedy: what to do, as in `use B-, I- and O`.
        file, line: the place, where there is one; lines count from 1.
        quotes: each piece of corpus text in problem or remedy, spelled as it is there; `redacted` leaves it out.
        """
        self.problem, self.remedy, self.line, self.quotes = problem, remedy, line, tuple(quotes)
        self._place = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(one_line(f"{self._place}{problem}; {remedy}"))

    @property
    def redacted(self) -> str:
        """The message with `…` in place of quoted corpus text, for stores that must not hold any."""
        message = one_line(f"{self.problem}; {self.remedy}")
        for quote in sorted(filter(None, map(one_line, self.quotes)), key=len, reverse=True):
            message = message.replace(quote, "…")
        return one_line(f"{self._place}{message}")
