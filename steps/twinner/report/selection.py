"""Select the runs that a report covers: by values, lists and ranges of parameters, and by sweep."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from twinner.errors import BadInput
from twinner.terminal import one_line
from twinner.tracking.params import number
from twinner.tracking.run import Run

REMEDY = "give a value (0.2), several (0.1,0.3), a range (0.1:0.3), or nothing for all"


@dataclass(frozen=True)
class Selection:
    """The user's selection by `drop_rate`, `epochs`, `lr` and `sweep`; an empty text selects all."""

    drop_rate: str = ""
    epochs: str = ""
    lr: str = ""
    sweep: str = ""

    def apply(self, runs: Sequence[Run]) -> list[Run]:
        """Return the selected runs in the given order. Raises BadInput for a malformed selection or an empty result."""
        selected = list(runs)
        if self.sweep:
            selected = [run for run in selected if run.sweep == self.sweep]
            if not selected:
                listed = ", ".join(sorted({one_line(run.sweep) for run in runs if run.sweep})) or "(none)"
                raise BadInput(f"no training run belongs to the sweep {self.sweep!r}", f"choose among: {listed}")
        for name in ("drop_rate", "epochs", "lr"):
            text = getattr(self, name)
            ranges = parse_ranges(name, text)
            if ranges:
                tried = {run.params.get(name, "") for run in selected}
                selected = [run for run in selected if _is_within(number(run.params.get(name)), ranges)]
                if not selected:
                    values = sorted({value for value in map(number, tried) if value is not None})
                    listed = ", ".join(f"{value:g}" for value in values) or "(none)"
                    raise BadInput(f"no training run has {name} {text}", f"choose among the values tried: {listed}")
        return selected


def parse_ranges(name: str, text: str) -> list[tuple[float, float]]:
    """Parse a selection such as `0.1,0.3:0.5` into ranges (from, to) that include their ends; empty: all.

    A single value is a range from itself to itself. One end may be omitted: `0.1:` is 0.1 and above. Raises BadInput.
    """
    if not text.strip():
        return []
    ranges = []
    for part in text.split(","):
        ends = [end.strip() for end in part.split(":")]
        if len(ends) == 1:
            ends *= 2
        defaults = (-math.inf, math.inf)
        values = [number(end) if end else default for end, default in zip(ends, defaults, strict=False)]
        if len(ends) != 2 or not any(ends) or None in values:
            raise BadInput(f"{name} {text!r}: {part.strip()!r} is neither a number nor a range", REMEDY)
        low, high = (value for value in values if value is not None)
        if low > high:
            raise BadInput(f"{name} {text!r}: the range {part.strip()!r} runs backwards", REMEDY)
        ranges.append((low, high))
    return ranges


def _is_within(value: float | None, ranges: Sequence[tuple[float, float]]) -> bool:
    """Whether a value lies in one of the ranges; 0.1 + 0.2 counts as 0.3."""
    return value is not None and any(
        low <= value <= high or math.isclose(value, low) or math.isclose(value, high) for low, high in ranges
    )
