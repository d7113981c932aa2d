"""Confidence intervals of F1 and significance tests, over test sentences and, where there are several, over seeds.

Every seed's model predicts every sentence, so the two are crossed: they are resampled together, each with replacement
(the pigeonhole bootstrap: Owen 2007, The Annals of Applied Statistics 1(2), 386–411). Of k seeds k - 1 are drawn, which
keeps the variance of a few seeds unbiased (Rao and Wu 1988, JASA 83, 231–241).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from twinner.evaluation.scores import f1_of

RESAMPLES = 2_000  # bootstrap samples for an interval
SWAPS = 9_999  # random exchanges or bootstrap samples for a comparison
LEVEL = 0.05  # p-values below are significant
BATCH = 2_000_000  # numbers in memory at a time
TOLERANCE = 1e-12  # two differences of F1 that are closer are equal

Counts = NDArray[np.int64]  # one row per sentence: entities found, spurious, missed
Seeds = Sequence[Counts]  # the counts of each seed's model on the same sentences, often of one
Key = TypeVar("Key")


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of mean F1 over some test sentences and seeds; with one seed it says nothing about others."""

    low: float
    high: float
    sentences: int
    seeds: int


@dataclass(frozen=True)
class Comparison:
    """Two models, or two settings with several seeds, compared on the same test sentences.

    difference: mean F1 of the first minus that of the second. p_value: see `compare`. corrected: the p-value when other
    comparisons are made along with this one; see `correct`. differing: sentences with different counts.
    """

    difference: float
    p_value: float
    corrected: float
    sentences: int
    differing: int

    @property
    def side(self) -> str:
        """The difference as seen from the second, in points: `1.2 points behind`, `1.2 points ahead` or `equal`."""
        if abs(self.difference) < TOLERANCE:
            return "equal"
        return f"{100 * abs(self.difference):.1f} points {'behind' if self.difference > 0 else 'ahead'}"

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is below 0.05."""
        return self.corrected < LEVEL


def f1_interval(seeds: Seeds) -> Interval | None:
    """Return the 95 % percentile bootstrap interval of mean F1 over n sentences and k seeds; None if n is below 2."""
    counts = np.stack(seeds)
    if counts.shape[1] < 2:
        return None
    interval = _bootstrap([counts], np.asarray, RESAMPLES).confidence_interval
    return Interval(float(interval.low), float(interval.high), counts.shape[1], len(counts))


def compare(first: Seeds, second: Seeds) -> Comparison:
    """Compare the mean F1 of two settings on the same n sentences.

    With a seed each, p is the share of exchanges of predictions, sentence by sentence, with at least the observed
    absolute difference (approximate randomisation, Noreen 1989); with few differing sentences all exchanges are
    enumerated. With more seeds, p is the share of bootstrap samples of sentences and seeds whose difference is at least
    as far from the observed one as that is from 0 (the shift method, Noreen 1989); a setting's only seed is taken as it
    is.
    """
    ours, theirs = np.stack(first), np.stack(second)
    differ = (ours.mean(axis=0) != theirs.mean(axis=0)).any(axis=1)
    difference = _observed_f1(ours) - _observed_f1(theirs)
    single = len(ours) == len(theirs) == 1
    p_value = _exchange(ours[0], theirs[0], differ) if single else _shift(ours, theirs, difference)
    return Comparison(difference, p_value, p_value, len(differ), int(differ.sum()))


def correct(comparisons: Mapping[Key, Comparison]) -> dict[Key, Comparison]:
    """Return comparisons that are made together with their corrected p-values (Holm)."""
    corrected = holm([comparison.p_value for comparison in comparisons.values()])
    pairs = zip(comparisons.items(), corrected, strict=True)
    return {key: replace(comparison, corrected=p_value) for (key, comparison), p_value in pairs}


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979), in the given order.

    The one at place i of m in ascending order is multiplied by m - i + 1, and raised to those before it. The chance
    that any true null hypothesis gets one below a level is at most that level, however the tests depend on each other.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(np.asarray(p_values)[order] * np.arange(len(order), 0, -1))
    return [min(1.0, float(value)) for value in adjusted]


def _exchange(first: Counts, second: Counts, differ: NDArray[np.bool_]) -> float:
    count = int(differ.sum())
    if count < 2:  # exchanging a single sentence only flips the sign of the difference
        return 1.0
    fixed = first[~differ].sum(axis=0)
    pool = np.concatenate([first[differ], second[differ]])

    def f1(rows: NDArray[Any], axis: int) -> Any:
        return f1_of(np.stack([column[rows].sum(axis=axis) + rest for column, rest in zip(pool.T, fixed, strict=True)]))

    tested = stats.permutation_test(
        (np.arange(count), np.arange(count, 2 * count)),
        lambda left, right, axis: np.abs(f1(left, axis) - f1(right, axis)),
        permutation_type="samples",
        vectorized=True,
        n_resamples=SWAPS,
        batch=max(1, BATCH // count),
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    return float(tested.pvalue)


def _shift(first: NDArray[Any], second: NDArray[Any], difference: float) -> float:
    if first.shape[1] < 2:
        return 1.0
    resampled = _bootstrap([first, second], np.subtract, SWAPS).bootstrap_distribution
    as_far = np.abs(resampled - difference) >= abs(difference) - TOLERANCE
    return float((1 + as_far.sum()) / (1 + SWAPS))


def _bootstrap(settings: Sequence[NDArray[Any]], statistic: Callable[..., Any], resamples: int) -> Any:
    """Resample the n sentences, the same for all settings (each k by n by 3), and each setting's seeds.

    statistic: of the mean F1 of each setting.
    """
    models = np.concatenate(settings)
    size = models.shape[1]
    borders = np.cumsum([len(counts) for counts in settings])[:-1]

    def of_samples(sentences: NDArray[Any], *seeds: NDArray[Any], axis: int) -> Any:
        drawn = iter(seeds)
        by_setting = np.split(_f1_of_samples(models, sentences), borders)
        return statistic(*(_mean_over(f1, next(drawn)) if len(f1) > 1 else f1[0] for f1 in by_setting))

    return stats.bootstrap(
        (np.arange(size), *(np.arange(len(counts)) for counts in settings if len(counts) > 1)),
        of_samples,
        n_resamples=resamples,
        batch=max(1, BATCH // size),
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )


def _f1_of_samples(models: NDArray[Any], sentences: NDArray[Any]) -> NDArray[np.float64]:
    """Return the F1 of k models (k by n by 3) on m samples of n sentences (m by n): k by m."""
    samples, size = sentences.shape
    places = sentences + size * np.arange(samples)[:, np.newaxis]
    times = np.bincount(places.ravel(), minlength=samples * size).reshape(samples, size)  # that a sentence was drawn
    totals = times.astype(float) @ np.moveaxis(models, 0, -1).reshape(size, 3 * len(models))
    return f1_of(np.moveaxis(totals.reshape(samples, 3, len(models)), 0, -1))


def _mean_over(f1: NDArray[np.float64], seeds: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean F1 (k by m) of the drawn seeds (m by k) but the last one."""
    return np.take_along_axis(f1, seeds.T[:-1], axis=0).mean(axis=0)


def _observed_f1(counts: NDArray[Any]) -> float:
    return float(f1_of(np.moveaxis(counts.sum(axis=1), -1, 0)).mean())
