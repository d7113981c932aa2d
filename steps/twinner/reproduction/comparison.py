"""Compare the results of two runs: every final metric and every value of an epoch, a verdict, and the causes."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from prettytable import PrettyTable, TableStyle

from twinner.machine import ENVIRONMENT, PROCESSOR, Machine, differences
from twinner.terminal import one_line
from twinner.tracking.artifacts import fetch_artifacts
from twinner.tracking.read import read_histories
from twinner.tracking.run import Run
from twinner.tracking.tags import CODE, MACHINE

COSTS = frozenset(
    {
        "training_time",
        "test_time",
        "epoch_seconds",
        "train_words_per_second",
        "test_words_per_second",
        "peak_memory_mb",
    }
)
MAX_NAMED = 6  # differences in the sentence about a cause
IDENTICAL, WITHIN, DIFFERENT = "identical", "within tolerance", "different"


@dataclass(frozen=True)
class Value:
    """A metric then and now; None: the run does not have it, or it is not finite. epoch: 0 for a final metric."""

    metric: str
    epoch: int
    then: float | None
    now: float | None

    @property
    def difference(self) -> float | None:
        """Now less then; None if one of them is missing."""
        return None if self.then is None or self.now is None else self.now - self.then

    def state(self, tolerance: float) -> str:
        """`identical`, `within tolerance` or `different`; above 1 the tolerance is a share of the value."""
        if self.then == self.now:
            return IDENTICAL
        if self.then is None or self.now is None:
            return DIFFERENT
        return WITHIN if abs(self.now - self.then) <= tolerance * max(1.0, abs(self.then)) else DIFFERENT


@dataclass(frozen=True)
class Comparison:
    """Two runs compared. values: final metrics first, then by metric and epoch. causes: cause -> what differs."""

    values: Sequence[Value]
    tolerance: float
    causes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def verdict(self) -> str:
        """`identical`, `within tolerance` or `different`, as the worst of the values; without values different."""
        states = {value.state(self.tolerance) for value in self.values} or {DIFFERENT}
        return next(state for state in (DIFFERENT, WITHIN, IDENTICAL) if state in states)

    @property
    def sentence(self) -> str:
        """The verdict with its causes."""
        if self.verdict == IDENTICAL:
            return f"{IDENTICAL}: {len(self.values)} of {len(self.values)} values"
        told = []
        for cause, details in self.causes.items():
            more = f" and {len(details) - MAX_NAMED} more" if len(details) > MAX_NAMED else ""
            told.append(f"{cause} ({'; '.join(details[:MAX_NAMED])}{more})")
        return one_line(f"{self.verdict}: {', '.join(told)}")

    @property
    def markdown(self) -> str:
        """The tables of final metrics and of epochs; what differs comes first."""
        if not self.values:
            return "Nothing was trained."
        final = [value for value in self.values if not value.epoch]
        by_epoch = [value for value in self.values if value.epoch]
        return "\n\n".join(
            [
                f"Final metrics: {self._count(final)}",
                self._table(final, with_epoch=False),
                f"Values of epochs: {self._count(by_epoch)}",
                *([self._table(moved, with_epoch=True)] if (moved := self._moved(by_epoch)) else []),
                *self._equal_curves(by_epoch),
            ]
        )

    @property
    def csv(self) -> str:
        """All values as CSV, in full precision."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["metric", "epoch", "then", "now", "difference", "state"])
        for one in self.values:
            writer.writerow([one.metric, one.epoch or "", one.then, one.now, one.difference, one.state(self.tolerance)])
        return text.getvalue()

    def _moved(self, values: Sequence[Value]) -> list[Value]:
        return [value for value in values if value.state(self.tolerance) != IDENTICAL]

    def _count(self, values: Sequence[Value]) -> str:
        return f"{len(values) - len(self._moved(values))} of {len(values)} identical"

    def _table(self, values: Sequence[Value], with_epoch: bool) -> str:
        table = PrettyTable(["Metric", *(["Epoch"] if with_epoch else []), "Then", "Now", "Difference", "Verdict"])
        table.set_style(TableStyle.MARKDOWN)
        table.align = "r"
        table.align["Metric"] = table.align["Verdict"] = "l"
        for one in sorted(values, key=lambda value: value.state(self.tolerance) == IDENTICAL):
            change = "" if one.difference is None else f"{one.difference:+.3g}" if one.difference else "0"
            cells = [_shown(one.then), _shown(one.now), change, one.state(self.tolerance)]
            table.add_row([one_line(one.metric).replace("|", "\\|"), *([one.epoch] if with_epoch else []), *cells])
        return str(table)

    def _equal_curves(self, values: Sequence[Value]) -> list[str]:
        """The values of epochs that are identical, a line for each metric."""
        lines = []
        for metric, group in groupby(values, key=lambda value: value.metric):
            equal = [f"{one.epoch}: {_shown(one.then)}" for one in group if one.state(self.tolerance) == IDENTICAL]
            if equal:
                lines.append(f"- {one_line(metric)} ({', '.join(equal)})")
        return ["Identical, by epoch:", "\n".join(lines)] if lines else []


def compare_runs(then: Run, now: Run, tolerance: float, pins: Sequence[str]) -> Comparison:
    """Compare all results of two runs except costs. pins: how the pinned versions differ.

    tolerance: of a value up to 1 the largest difference, of a larger one the largest share of it.
    """
    before, after = _values(then), _values(now)
    values = [Value(*key, before.get(key), after.get(key)) for key in sorted({**before, **after}, key=_order)]
    compared = Comparison(values, tolerance)
    return compared if compared.verdict == IDENTICAL else Comparison(values, tolerance, _causes(then, now, pins))


def differing_data(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what differs between the digests of splits, by split."""
    return [f"{split}: digest {then[split]} → {now[split]}" for split in then if then[split] != now.get(split)]


def _values(run: Run) -> dict[tuple[str, int], float]:
    histories = read_histories([run], [name for name in run.metrics if name not in COSTS])
    return {(metric, epoch): value for (_, metric), points in histories.items() for epoch, value in points}


def _order(key: tuple[str, int]) -> tuple[bool, bool, str, int]:
    """Final metrics first, and of these the scores over entities before those by tag."""
    metric, epoch = key
    return epoch > 0, not metric.startswith(("test_", "best_")), metric, epoch


def _causes(then: Run, now: Run, pins: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """What differs between two runs besides their results, by cause; without any the seed is to blame."""
    machines = _machines(then, now)
    versions = {name for name in (*then.params, *now.params) if name.endswith("_version")}
    found = {
        "code": _changes(then.tags, now.tags, [CODE]),
        "data": differing_data(then.digests, now.digests),
        ENVIRONMENT: [*pins, *_changes(then.params, now.params, sorted(versions)), *machines[ENVIRONMENT]],
        PROCESSOR: machines[PROCESSOR],
    }
    found = {cause: details for cause, details in found.items() if details}
    return found or {"seed": ["nothing else differs, so the training draws numbers that the seed does not reach"]}


def _machines(then: Run, now: Run) -> dict[str, list[str]]:
    files = fetch_artifacts([then, now], [MACHINE])
    read: list[Machine] = [
        json.loads(files[run.id][MACHINE].read_text(encoding="utf-8"))
        for run in (then, now)
        if MACHINE in files[run.id]
    ]
    if len(read) < 2:
        return {ENVIRONMENT: [], PROCESSOR: ["it was not recorded"]}
    return differences(*read)


def _changes(then: Mapping[str, str], now: Mapping[str, str], names: Sequence[str]) -> list[str]:
    return [f"{n}: {then.get(n, '–')} → {now.get(n, '–')}" for n in names if then.get(n) != now.get(n)]


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.10g}"
