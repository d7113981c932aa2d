"""Analyse sweeps: which runs belong to one, the effect of each parameter, score against training time."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean

from twinner.parameters import PARAMETERS
from twinner.report.sections import Section
from twinner.report.settings import WITHOUT_EFFECT, Setting
from twinner.tracking.params import number
from twinner.tracking.ranking import LOWER_IS_BETTER


@dataclass(frozen=True)
class Sweep:
    """The runs of one section that belong together by name.

    best: the best-ranked setting that a run of it belongs to; None if none is ranked.
    """

    name: str
    runs: int
    finished: int
    settings: int
    best: Setting | None


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


def find_sweeps(section: Section) -> list[Sweep]:
    """Return the sweeps of a section's runs, sorted by name."""
    sweeps = []
    for name in sorted({run.sweep for run in section.runs} - {""}):
        runs = [run for run in section.runs if run.sweep == name]
        settings = [setting for setting in section.settings if any(run.sweep == name for run in setting.runs)]
        finished = sum(run.status == "FINISHED" for run in runs)
        sweeps.append(Sweep(name, len(runs), finished, len(settings), settings[0] if settings else None))
    return sweeps


def parameter_effects(settings: Sequence[Setting], metric: str) -> list[Effect]:
    """Return the effect of each parameter that has several values within a framework, except the seed.

    Runs without the metric are left out.
    """
    effects = []
    scored = [run for setting in settings for run in setting.runs if run.score(metric) is not None]
    for name in PARAMETERS:
        if name in WITHOUT_EFFECT or name == "seed":
            continue
        for framework in sorted({run.framework for run in scored}):
            runs = [run for run in scored if run.framework == framework and run.params.get(name, "")]
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
