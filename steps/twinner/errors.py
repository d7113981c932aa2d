"""Failures that are reported in one line, without a traceback."""

from collections.abc import Sequence
from pathlib import Path


class Failure(Exception):
    """Something outside the project failed; `str(error)` is one line for the user. A step ends with exit status 1."""


class BadInput(Exception):
    """An input that can't be used; `str(error)` is one line for the user. A step ends with exit status 2.

    The run of the step ends FAILED, with the same words in its tag `twinner.error`.
    """

    def __init__(
        self,
        problem: str,
        remedy: str,
        file: str | Path | None = None,
        line: int | None = None,
        quotes: Sequence[str] = (),
    ) -> None:
        """Join the parts to `file:line: problem; remedy`, on one line.

        problem: the fact, with the offending value in it, as in `the tag 'X-PER' has the unknown prefix 'X'`.
        remedy: what to do, as in `use B-, I- and O`. file, line: the place, if there is one; lines count from 1.
        quotes: the parts of the message that are text of the corpus, which `redacted` leaves out.
        """
        place = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(_one_line(f"{place}{problem}; {remedy}"))
        for quote in quotes:
            problem, remedy = problem.replace(quote, "…"), remedy.replace(quote, "…")
        self.redacted = _one_line(f"{place}{problem}; {remedy}")


def _one_line(text: str) -> str:
    return " ".join(text.split())
