"""The trials of a sweep on the terminal: a live table, or a line for each where the output is no terminal."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from twinner.sweep.space import shown, spell

SHOWN = 30  # rows; those of earlier trials are left out
STYLES = {"best": "bold green", "pruned": "dim", "failed": "red", "interrupted": "red"}


@dataclass
class Row:
    """One trial. state: `waiting`, `training`, `done`, `pruned`, `failed` or `interrupted`. score: on dev, so far."""

    number: int
    params: Mapping[str, Any]
    epochs: int
    state: str = "waiting"
    epoch: int = 0
    score: float | None = None
    began: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    error: str = ""

    def end(self, state: str, score: float | None = None, error: str = "") -> None:
        """The trial has ended. error: why it failed."""
        self.state, self.error = state, error
        self.score = self.score if score is None else score
        self.seconds = time.monotonic() - self.began


class TrialTable:
    """Shows trials while they are trained. Use it as a context manager."""

    def __init__(self, title: str, trials: int, names: Sequence[str]) -> None:
        """trials: how many there will be. names: of the parameters that differ between them."""
        self._title = title
        self._trials = trials
        self._names = names
        self._rows: list[Row] = []
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=False)

    def __enter__(self) -> "TrialTable":
        """Begin to show."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state on the terminal."""
        if self._console.is_terminal:
            self.refresh()
            self._live.stop()

    def add(self, row: Row) -> None:
        """Add a trial."""
        self._rows.append(row)
        self.refresh()

    def ended(self, row: Row) -> None:
        """Show that a trial has ended."""
        self.refresh()
        if not self._console.is_terminal:
            score = "" if row.score is None else f", dev F1 {row.score:.4f}"
            seconds = "" if row.seconds is None else f" in {row.seconds:.0f} s"
            error = f": {row.error}" if row.error else ""
            print(
                f"trial {row.number + 1} of {self._trials}: {spell(row.params)}: {row.state}{score}{seconds}{error}",
                flush=True,
            )

    def refresh(self) -> None:
        """Draw the table again."""
        if self._console.is_terminal:
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        scored = [row.score for row in self._rows if row.state == "done" and row.score is not None]
        best = max(scored, default=None)
        ended = sum(row.seconds is not None for row in self._rows)
        table = Table(
            title=f"{self._title}: {ended} of {self._trials} trials", box=box.SIMPLE_HEAD, title_justify="left"
        )
        for name in ("trial", *self._names, "epoch", "dev F1", "time (s)"):
            table.add_column(name, justify="right")
        table.add_column("state")
        for row in self._rows[-SHOWN:]:
            is_best = row.state == "done" and row.score == best
            values = [row.params.get(name, "") for name in self._names]
            cells = [
                str(row.number + 1),
                *map(shown, values),
                f"{row.epoch}/{row.epochs}",
                "" if row.score is None else f"{row.score:.4f}",
                f"{row.seconds if row.seconds is not None else time.monotonic() - row.began:.0f}",
            ]
            state = "best" if is_best else row.state
            cells.append(f"{state}: {row.error}" if row.error else state)
            table.add_row(*map(Text, cells), style=STYLES.get(state, ""))
        return table
