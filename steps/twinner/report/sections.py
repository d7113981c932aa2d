"""Group runs by test set: which setting won, which parameters differ, and the table of all runs."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from twinner.report.selection import Selection
from twinner.report.settings import WITHOUT_EFFECT, Setting, rank_settings
from twinner.terminal import shorten
from twinner.tracking.params import is_numeric, number
from twinner.tracking.ranking import CHOICE, FALLBACK, check_metric, kept_epoch_metric, metrics_to_rank_by
from twinner.tracking.read import find_training_runs, score_kept_epochs
from twinner.tracking.run import Run

ALWAYS_SHOWN = ("drop_rate", "epochs", "lr", "seed", "embeddings")
MAX_FRAMEWORKS = 6  # compared in detail
MAX_COLUMNS = 30  # parameters in the table; runs.csv has all
MAX_DESCRIPTION = 160  # characters
OWN_COLUMNS = frozenset({"corpus", "sweep"})  # parameters that are shown as facts


@dataclass(frozen=True)
class Column:
    """A column of the table: `kind` and `key` say where its value is, `digits` how many decimals it shows."""

    group: str
    title: str
    kind: str  # "param", "metric", "fact"
    key: str
    digits: int = 0

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers, which are right-aligned and sorted by value."""
        return self.kind == "metric" or (self.kind == "param" and is_numeric(self.key))

    def cell(self, run: Run) -> tuple[str, str]:
        """Return the text of a run's cell and its sort key: six digits for a number, empty to sort last."""
        if self.kind == "metric":
            value = run.metrics.get(self.key)
            if value is None:
                return "", ""
            text = f"{value:,.{self.digits}f}" if abs(value) < 1e15 else f"{value:.4g}"
            return text, f"{value:.6g}" if math.isfinite(value) else ""
        if self.kind == "param":
            text = run.params.get(self.key, "")
            amount = number(text) if self.numeric else None
            return text, text if amount is None else f"{amount:.6g}"
        text = {
            "framework": run.framework,
            "sweep": run.sweep,
            "corpus": run.corpus,
            "commit": run.commit[:10],
            "started": f"{run.started:%Y-%m-%d %H:%M}",
        }[self.key]
        return text, text


@dataclass(frozen=True)
class Section:
    """The runs that share a test set; their `settings` are ranked by the mean of the metric over seeds, best first.

    digest: of the test set; empty if unknown. experiment: for runs of other tools, whose test sets are unknown, the
    name of their experiment. With neither, no run got as far as the test set, and none is ranked. asked: the metric
    that the ranking was asked for; `metric` is another one where no run has it.
    """

    digest: str
    metric: str
    asked: str
    settings: Sequence[Setting]
    unranked: Sequence[Run]
    experiment: str = ""

    @cached_property
    def ranked(self) -> list[Run]:
        """The runs of all settings, those of the best setting first, repeated ones last in theirs."""
        return [run for setting in self.settings for run in (*setting.runs, *setting.repeats)]

    @cached_property
    def ranks(self) -> dict[str, int]:
        """The rank of its setting, from 1, by run id."""
        return {
            run.id: rank for rank, setting in enumerate(self.settings, 1) for run in (*setting.runs, *setting.repeats)
        }

    @cached_property
    def runs(self) -> list[Run]:
        """All runs in table order."""
        return [*self.ranked, *self.unranked]

    @property
    def winner(self) -> Setting | None:
        """The best setting, or None if none is ranked."""
        return self.settings[0] if self.settings else None

    @property
    def runner_up(self) -> Setting | None:
        """The second-best setting, or None."""
        return self.settings[1] if len(self.settings) > 1 else None

    @cached_property
    def best_by_framework(self) -> dict[str, Setting]:
        """The best setting of each framework (of at most 6), the winner's framework first."""
        best: dict[str, Setting] = {}
        for setting in self.settings:
            if len(best) < MAX_FRAMEWORKS:
                best.setdefault(setting.framework, setting)
        return best

    def describe(self, setting: Setting) -> str:
        """Return the parameters that tell a setting from the others of its framework, as `name value, …`."""
        params = setting.best.params
        names = sorted(self._telling.get(setting.framework, ()))
        return shorten(", ".join(f"{name} {params[name]}" for name in names if params.get(name)), MAX_DESCRIPTION)

    @cached_property
    def _telling(self) -> dict[str, set[str]]:
        """The parameters that differ between the settings of each framework."""
        values: dict[str, dict[str, set[str]]] = {}
        for setting in self.settings:
            of_framework = values.setdefault(setting.framework, {})
            for name, text in setting.best.params.items():
                if name not in WITHOUT_EFFECT and name != "seed":
                    of_framework.setdefault(name, set()).add(text)
        return {key: {name for name, texts in found.items() if len(texts) > 1} for key, found in values.items()}

    @cached_property
    def frameworks(self) -> list[str]:
        """The frameworks of all runs, sorted."""
        return sorted({run.framework for run in self.runs})

    @cached_property
    def labels(self) -> list[str]:
        """The entity types that any run was scored on, sorted."""
        return sorted({name[8:] for run in self.runs for name in run.metrics if name.startswith("test_f1_")})

    def margin(self, other: Setting) -> str:
        """Return the winner's lead over another setting, in points if both values are shares."""
        assert self.winner is not None
        first, second = self.winner.mean(self.metric), other.mean(self.metric)
        lead = abs(first - second)
        if lead == 0:
            return "the same value"
        if max(abs(first), abs(second)) <= 1:
            return f"{100 * lead:.1f} points" if lead >= 0.0005 else "less than 0.1 points"
        return f"{lead:,.3g}"

    @cached_property
    def differing(self) -> list[str]:
        """The parameters that vary among the runs of one framework, sorted.

        A finished run without a parameter counts as another value; a failed one may have stopped before logging it.
        """
        varied = set()
        for framework in self.frameworks:
            runs = [run for run in self.runs if run.framework == framework]
            for name in {name for run in runs for name in run.params}:
                if len({run.params.get(name) for run in runs if name in run.params or run.status == "FINISHED"}) > 1:
                    varied.add(name)
        return sorted(varied - OWN_COLUMNS)

    @cached_property
    def shared(self) -> dict[str, dict[str, str]]:
        """The parameters with a single value, by `All runs` and `<framework> runs`; not empty ones nor columns."""
        skipped = {*self.differing, *ALWAYS_SHOWN, "sweep"}
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
            own = {name: value for name, value in params.items() if name not in everywhere}
            parts[f"{framework or 'Other'} runs"] = own
        return {title: params for title, params in parts.items() if params}

    @cached_property
    def columns(self) -> list[Column]:
        """The columns of the table that any run fills; of too many parameters, those that most runs have."""
        counts = Counter(name for run in self.runs for name in run.params)
        common = sorted(self.differing, key=lambda name: -counts[name])[:MAX_COLUMNS]
        names = [*ALWAYS_SHOWN, *sorted({*common} - {*ALWAYS_SHOWN})]
        columns = [Column("Run", "Framework", "fact", "framework"), Column("Run", "Sweep", "fact", "sweep")]
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


def find_sections(
    selection: Selection | None = None, experiments: str = "", filter: str = "", metric: str = CHOICE
) -> list[Section]:
    """Find the training runs in MLflow that `build_report` covers, grouped by test set; the first group has a winner.

    Raises BadInput as `build_report` does.
    """
    ranked_by = kept_epoch_metric(metric)
    runs = (selection or Selection()).apply(find_training_runs(experiments, filter, metric))
    for of_dev in dict.fromkeys([ranked_by, CHOICE]):  # advice looks at dev, whatever ranks
        runs = score_kept_epochs(runs, of_dev)
    check_metric(runs, ranked_by)
    return split_into_sections(runs, ranked_by)


def split_into_sections(runs: Sequence[Run], metric: str) -> list[Section]:
    """Group runs by test set, the one with the most ranked runs first, and rank the settings of each by the metric.

    Runs on different test sets are never ranked together. Runs of other tools have an unknown test set: those of one
    experiment form a section.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        by_experiment = run.is_foreign and not run.test_digest
        key = ("", run.experiment or run.experiment_id) if by_experiment else (run.test_digest, "")
        groups.setdefault(key, []).append(run)
    sections = [_rank(group, metric, *key) for key, group in groups.items()]
    return sorted(sections, key=lambda section: (-len(section.ranked), not section.digest, section.digest))


def rank_on_dev(section: Section) -> Section:
    """Return a section ranked by the score on dev; nothing is ranked where no run has one."""
    return _rank(section.runs, CHOICE, section.digest, section.experiment, {FALLBACK})


def _rank(
    runs: Sequence[Run], asked: str, digest: str, experiment: str, excluded: Collection[str] = frozenset()
) -> Section:
    metrics = [name for name in metrics_to_rank_by(asked, bool(experiment)) if name not in excluded]
    metric = next((name for name in metrics if any(run.ranks(name) for run in runs)), asked)
    settings = rank_settings([run for run in runs if run.ranks(metric)], metric)
    unranked = sorted((run for run in runs if not run.ranks(metric)), key=lambda run: run.started, reverse=True)
    return Section(digest, metric, asked, settings, unranked, experiment)
