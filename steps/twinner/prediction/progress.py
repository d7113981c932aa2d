"""How far a prediction is: a bar on a terminal, a line now and then elsewhere."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

LINES = 10  # where the output is no terminal


class Progress:
    """Counts texts. Use it as a context manager."""

    def __init__(self, texts: int, done: int) -> None:
        """texts: all of them. done: by an earlier process."""
        self._texts, self._done, self._earlier = texts, done, done
        self._console = Console()
        rate = TextColumn("{task.fields[rate]}")
        columns = [TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn()]
        self._bar = Bar(
            *columns, console=self._console, disable=not self._console.is_terminal, speed_estimate_period=60
        )
        self._task = self._bar.add_task("", total=texts, completed=done, rate="")
        self._began = time.monotonic()
        self._line = 0

    def __enter__(self) -> Self:
        """Begin to show."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state on the terminal."""
        self._bar.stop()

    def advance(self, texts: int) -> None:
        """So many more texts are predicted."""
        self._done += texts
        rate = (self._done - self._earlier) / (time.monotonic() - self._began)
        self._bar.update(self._task, completed=self._done, rate=f"{rate:,.0f} texts/s")
        line = LINES * self._done // max(self._texts, 1)
        if not self._console.is_terminal and line > self._line:
            self._line = line
            left = (self._texts - self._done) / rate if rate else 0.0
            print(f"predicted {self._done:,} of {self._texts:,} texts, {rate:,.0f}/s, {left:.0f} s left", flush=True)
