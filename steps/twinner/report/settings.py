"""Group runs into settings, which are what a report ranks: all that can change a score, but not the seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, stdev

from twinner.parameters import PARAMETERS
from twinner.tracking.ranking import LOWER_IS_BETTER
from twinner.tracking.run import Run
from twinner.tracking.tags import CODE

WITHOUT_EFFECT = frozenset(name for name, parameter in PARAMETERS.items() if not parameter.affects_scores)


@dataclass(frozen=True)
class Setting:
    """Runs that differ only in their seed, one per seed, best first; often a single run.

    repeats: later runs of a seed that was run before. They count nowhere: running again must not improve a score.
    """

    runs: Sequence[Run]
    repeats: Sequence[Run] = ()

    @property
    def best(self) -> Run:
        """The run with the best seed by the metric that settings are ranked by; its model and errors are shown."""
        return self.runs[0]

    @property
    def id(self) -> str:
        """The id of its best run."""
        return self.best.id

    @property
    def framework(self) -> str:
        """The framework's title; empty if unknown."""
        return self.best.framework

    @cached_property
    def seeds(self) -> str:
        """The number of seeds in words."""
        return f"{len(self.runs)} seeds" if len(self.runs) > 1 else "1 seed"

    def has(self, metric: str) -> bool:
        """Whether any run has the metric."""
        return bool(self._values(metric))

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the runs that have it; at least one must."""
        return mean(self._values(metric))

    def spread(self, metric: str) -> float | None:
        """Return the sample standard deviation (n - 1) of a metric over seeds; None for fewer than two."""
        values = self._values(metric)
        return stdev(values) if len(values) > 1 else None

    def _values(self, metric: str) -> list[float]:
        return [value for run in self.runs if (value := run.score(metric)) is not None]


def rank_settings(runs: Sequence[Run], metric: str) -> list[Setting]:
    """Group runs that have a metric by setting, and rank the settings by its mean over their seeds, best first.

    Parameters that do not affect scores (`PARAMETERS[name].affects_scores`) are ignored. A run that does not say its
    seed is a setting of its own. Of a seed that was run twice the earlier run counts; ties go to the earlier setting.
    """
    groups: dict[object, dict[str, list[Run]]] = {}
    for run in sorted(runs, key=lambda run: (run.started, run.id)):
        groups.setdefault(_key(run), {}).setdefault(run.params.get("seed", ""), []).append(run)
    sign = 1 if metric in LOWER_IS_BETTER else -1

    def rank(run: Run) -> float:
        return sign * run.metrics[metric]

    settings = []  # the earliest first; `sorted` keeps that order among equals
    for by_seed in groups.values():
        repeats = [run for of_seed in by_seed.values() for run in of_seed[1:]]
        settings.append(Setting(sorted((of_seed[0] for of_seed in by_seed.values()), key=rank), repeats))
    return sorted(settings, key=lambda setting: sign * setting.mean(metric))


def _key(run: Run) -> object:
    """Equal for two runs of one setting."""
    params = {name: text for name, text in run.params.items() if name != "seed" and name not in WITHOUT_EFFECT}
    if lang := run.tags.get("twinner.lang"):
        params["lang"] = lang  # what `auto` stood for
    code = run.tags.get(CODE) or run.commit
    alone = "" if "seed" in run.params else run.id
    return run.framework, run.tags.get("twinner.corpus_digest"), code, frozenset(params.items()), alone
