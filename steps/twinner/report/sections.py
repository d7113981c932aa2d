"""What a report says of the runs of one test set: who won, which parameters differ, and the table."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from twinner.tracking.params import is_numeric, number
from twinner.tracking.read import LOWER_IS_BETTER, Run

ALWAYS_SHOWN = ("drop_rate", "epochs", "lr", "seed", "embeddings")
NOT_REPEATED = ("export", "model_name")  # where a result goes, not how it is made


@dataclass(frozen=True)
class Column:
    """A column of the table: `kind` and `key` say where its value is, `digits` how a number is written."""

    group: str
    title: str
    kind: str  # "param", "metric", "fact"
    key: str
    digits: int = 0

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers, which stand to the right and sort by value."""
        return self.kind == "metric" or (self.kind == "param" and is_numeric(self.key))

    def cell(self, run: Run) -> tuple[str, str]:
        """The text of a run's cell, and what it sorts by (empty: last), for numbers to six digits."""
        if self.kind == "metric":
            value = run.metrics.get(self.key)
            return (
                ("", "") if value is None else (f"{value:,.{self.digits}f}", "" if value != value else f"{value:.6g}")
            )
        if self.kind == "param":
            text = run.params.get(self.key, "")
            amount = number(text) if self.numeric else None
            return text, text if amount is None else f"{amount:.6g}"
        text = {
            "framework": run.framework,
            "corpus": run.corpus,
            "commit": run.commit[:10],
            "started": f"{run.started:%Y-%m-%d %H:%M}",
        }[self.key]
        return text, text


@dataclass(frozen=True)
class Section:
    """The runs that share one test set, the ranked ones first and best first.

    digest: of the test set; empty for the runs that never got to one, of which none is ranked.
    """

    digest: str
    metric: str
    ranked: Sequence[Run]
    unranked: Sequence[Run]

    @property
    def runs(self) -> list[Run]:
        """All runs, in the order of the table."""
        return [*self.ranked, *self.unranked]

    @property
    def winner(self) -> Run | None:
        """The best run, if any is ranked."""
        return self.ranked[0] if self.ranked else None

    @property
    def runner_up(self) -> Run | None:
        """The second best run, if there are two."""
        return self.ranked[1] if len(self.ranked) > 1 else None

    @cached_property
    def best_by_framework(self) -> dict[str, Run]:
        """The best ranked run of each framework, the winner's framework first."""
        best: dict[str, Run] = {}
        for run in self.ranked:
            best.setdefault(run.framework, run)
        return best

    @cached_property
    def frameworks(self) -> list[str]:
        """The frameworks that any run is of, sorted, so that each keeps its place and colour."""
        return sorted({run.framework for run in self.runs})

    @cached_property
    def labels(self) -> list[str]:
        """The entity types that some run was scored on, sorted."""
        return sorted({name[8:] for run in self.runs for name in run.metrics if name.startswith("test_f1_")})

    def margin(self, behind: Run) -> str:
        """By how much the winner is ahead of another run, in words."""
        assert self.winner is not None
        ahead, other = self.winner.metrics[self.metric], behind.metrics[self.metric]
        difference = abs(ahead - other)
        if difference == 0:
            return "the same value"
        if max(abs(ahead), abs(other)) <= 1:
            return f"{100 * difference:.1f} points" if difference >= 0.0005 else "less than 0.1 points"
        return f"{difference:,.3g}"

    @cached_property
    def differing(self) -> list[str]:
        """The parameters that have more than one value among the runs of one framework, sorted.

        None at all is a value too, but not of a run that failed: it may have stopped before it had them.
        """
        varied = set()
        for framework in self.frameworks:
            runs = [run for run in self.runs if run.framework == framework]
            for name in {name for run in runs for name in run.params}:
                if len({run.params.get(name) for run in runs if name in run.params or run.status == "FINISHED"}) > 1:
                    varied.add(name)
        return sorted(varied - {"corpus"})  # the corpus has its own column

    @cached_property
    def shared(self) -> dict[str, dict[str, str]]:
        """The parameters with one value, of `All runs` and of each framework; without empty ones and the table's."""
        skipped = {*self.differing, *ALWAYS_SHOWN}
        everywhere = {}
        by_framework = {}
        for framework in self.frameworks:
            runs = [run for run in self.runs if run.framework == framework]
            values: dict[str, set[str]] = {}
            for run in runs:
                for name, value in run.params.items():
                    values.setdefault(name, set()).add(value)
            by_framework[framework] = {
                name: min(found)
                for name, found in sorted(values.items())
                if len(found) == 1 and any(found) and name not in skipped
            }
        first, *others = by_framework.values()
        if others:
            everywhere = {name: value for name, value in first.items() if all(o.get(name) == value for o in others)}
        else:
            everywhere, by_framework = first, {}
        parts = {"All runs": everywhere}
        for framework, params in by_framework.items():
            parts[f"{framework} runs"] = {name: value for name, value in params.items() if name not in everywhere}
        return {title: params for title, params in parts.items() if params}

    @cached_property
    def columns(self) -> list[Column]:
        """The columns of the table, without those that no run fills."""
        names = [*ALWAYS_SHOWN, *(name for name in self.differing if name not in ALWAYS_SHOWN)]
        columns = [Column("Run", "Framework", "fact", "framework")]
        columns += [Column("Parameters", name, "param", name) for name in names]
        scores = [("F1", "test_f1"), ("Precision", "test_precision"), ("Recall", "test_recall")]
        scores += [("Partial F1", "test_partial_f1")]
        if self.metric not in {metric for _, metric in scores}:
            columns.append(Column("Ranked by", self.metric, "metric", self.metric, 3))
        columns += [Column("Test scores", title, "metric", metric, 3) for title, metric in scores]
        columns += [Column("Test F1 by label", label, "metric", f"test_f1_{label}", 3) for label in self.labels]
        columns += [
            Column("Cost", "Training (s)", "metric", "training_time", 1),
            Column("Cost", "Words/s, train", "metric", "train_words_per_second"),
            Column("Cost", "Words/s, test", "metric", "test_words_per_second"),
            Column("Cost", "Peak memory (MB)", "metric", "peak_memory_mb"),
            Column("Origin", "Corpus", "fact", "corpus"),
            Column("Origin", "Commit", "fact", "commit"),
            Column("Origin", "Started (UTC)", "fact", "started"),
        ]
        return [column for column in columns if any(column.cell(run)[0] for run in self.runs)]


def sections_of(runs: Sequence[Run], metric: str) -> list[Section]:
    """The runs by test set, the set with the most ranked runs first; within one, ranked by the metric, best first.

    Runs of different test sets are never ranked together. Of equal runs the earlier one goes first.
    """
    by_digest: dict[str, list[Run]] = {}
    for run in runs:
        by_digest.setdefault(run.test_digest, []).append(run)
    sign = 1 if metric in LOWER_IS_BETTER else -1
    sections = []
    for digest, group in by_digest.items():
        ranked = [run for run in group if run.ranks(metric)]
        ranked.sort(key=lambda run: (sign * run.metrics[metric], run.started, run.id))
        unranked = sorted((run for run in group if not run.ranks(metric)), key=lambda run: run.started, reverse=True)
        sections.append(Section(digest, metric, ranked, unranked))
    return sorted(sections, key=lambda section: (-len(section.ranked), not section.digest, section.digest))


def command_again(run: Run) -> str:
    """The command that makes a run again, quoted for the shell: its entry point and its parameters but empty ones."""
    words = ["mlflow", "run", ".", "-e", run.step]
    manager = run.tags.get("mlflow.project.env", "")
    if re.fullmatch(r"uv|virtualenv|conda|local", manager):
        words += ["--env-manager", manager]
    for name, value in run.settings.items():
        if value != "" and name not in NOT_REPEATED:
            words += ["-P", f"{name}={value}"]
    return shlex.join(words)
