"""What a user can get wrong, in one line that names the place, the value and the remedy."""

from pathlib import Path


class BadInput(Exception):
    """An input that can't be used: `str(error)` is one line for the user, without a traceback.

    A step that meets it ends with exit status 2, its run FAILED with the same words in the tag `twinner.error`.
    """

    def __init__(self, problem: str, remedy: str, file: str | Path | None = None, line: int | None = None) -> None:
        """Join the parts to `file:line: problem; remedy`, all on one line.

        problem: the fact, with the offending value in it, as in `the tag 'X-PER' has the unknown prefix 'X'`.
        remedy: what to do, as in `use B-, I- and O`.
        file, line: the place, where there is one; lines count from 1.
        """
        place = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(" ".join(f"{place}{problem}; {remedy}".split()))
