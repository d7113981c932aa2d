"""Analyse sweeps: mean and spread over seeds, the effect of each parameter, score against training time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, stdev

from twinner.parameters import PARAMETERS
from twinner.tracking.params import number
from twinner.tracking.read import LOWER_IS_BETTER, Run

WITHOUT_EFFECT = frozenset(name for name, parameter in PARAMETERS.items() if not parameter.affects_scores)


@dataclass(frozen=True)
class Setting:
    """Ranked runs that differ only in their seed, best first, one run per seed; often a single run."""

    runs: Sequence[Run]

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the runs that have it; at least one must."""
        return mean(self._values(metric))

    def spread(self, metric: str) -> float | None:
        """Return the sample standard deviation (n - 1) of a metric over seeds; None for fewer than two."""
        values = self._values(metric)
        return stdev(values) if len(values) > 1 else None

    def lowest(self, metric: str) -> float:
        """Return the lowest value of a metric over the runs that have it."""
        return min(self._values(metric))

    def highest(self, metric: str) -> float:
        """Return the highest value of a metric over the runs that have it."""
        return max(self._values(metric))

    def has(self, metric: str) -> bool:
        """Whether any run has the metric."""
        return bool(self._values(metric))

    def _values(self, metric: str) -> list[float]:
        return [value for run in self.runs if (value := run.score(metric)) is not None]


@dataclass(frozen=True)
class Effect:
    """The effect of one parameter within one framework: values, scores and names of its n runs.

    values: numbers if all are, else texts.
    """

    parameter: str
    framework: str
    values: Sequence[float | str]
    scores: Sequence[float]
    names: Sequence[str]

    @cached_property
    def means(self) -> dict[float | str, float]:
        """The mean score by value, sorted by value."""
        by_value: dict[float | str, list[float]] = {}
        for value, score in zip(self.values, self.scores, strict=True):
            by_value.setdefault(value, []).append(score)
        return {value: mean(by_value[value]) for value in sorted(by_value)}  # type: ignore[type-var]

    @property
    def numeric(self) -> bool:
        """Whether the values are numbers."""
        return not any(isinstance(value, str) for value in self.values)


def group_by_setting(ranked: Sequence[Run]) -> list[Setting]:
    """Group ranked runs by everything but their seed; if a seed was run twice, the better run counts.

    Parameters that do not affect scores (`PARAMETERS[name].affects_scores`) are ignored.
    """
    groups: dict[object, dict[str, Run]] = {}
    for run in ranked:
        params = frozenset((k, v) for k, v in run.params.items() if k != "seed" and k not in WITHOUT_EFFECT)
        key = run.framework, run.tags.get("twinner.corpus_digest"), run.commit, params
        groups.setdefault(key, {}).setdefault(run.params.get("seed", ""), run)
    return [Setting(list(by_seed.values())) for by_seed in groups.values()]


def parameter_effects(ranked: Sequence[Run], metric: str) -> list[Effect]:
    """Return the effect of each parameter that has several values within a framework, except the seed."""
    effects = []
    for name in PARAMETERS:
        if name in WITHOUT_EFFECT or name == "seed":
            continue
        for framework in sorted({run.framework for run in ranked}):
            runs = [run for run in ranked if run.framework == framework and run.params.get(name, "")]
            texts = [run.params[name] for run in runs]
            if len(set(texts)) < 2:
                continue
            numbers = [value for value in map(number, texts) if value is not None]
            values: Sequence[float | str] = numbers if len(numbers) == len(texts) else texts
            scores = [run.metrics[metric] for run in runs]
            effects.append(Effect(name, framework, values, scores, [run.name for run in runs]))
    return effects


def pareto_front(settings: Sequence[Setting], metric: str, cost: str = "training_time") -> list[Setting]:
    """Return the settings that no other beats in both the metric and the cost, cheapest first."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    front: list[Setting] = []
    priced = [setting for setting in settings if setting.has(cost)]
    for setting in sorted(priced, key=lambda one: (one.mean(cost), -sign * one.mean(metric))):
        if not front or sign * setting.mean(metric) > sign * front[-1].mean(metric):
            front.append(setting)
    return front
