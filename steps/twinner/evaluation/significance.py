"""Confidence intervals of F1 and significance tests between two runs, over test sentences."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from twinner.evaluation.scores import f1_of

RESAMPLES = 2_000  # bootstrap samples for an interval
SWAPS = 9_999  # random exchanges for a comparison
LEVEL = 0.05  # p-values below are significant
BATCH = 2_000_000  # numbers in memory at a time

Counts = NDArray[np.int64]  # one row per sentence: entities found, spurious, missed


@dataclass(frozen=True)
class Comparison:
    """Two runs compared on the same test sentences.

    difference: F1 of the first minus F1 of the second. p_value: share of random exchanges of predictions, sentence by
    sentence, with at least this absolute difference. differing: sentences with different counts.
    """

    difference: float
    p_value: float
    sentences: int
    differing: int

    @property
    def significant(self) -> bool:
        """Whether the p-value is below 0.05."""
        return self.p_value < LEVEL


def f1_interval(counts: Counts) -> tuple[float, float] | None:
    """Return the 95 % percentile bootstrap interval of F1 over n sentences; None if n is below 2."""
    if len(counts) < 2:
        return None

    def f1(hits: Any, spurious: Any, missed: Any, axis: int) -> Any:
        return f1_of(np.stack([hits.sum(axis=axis), spurious.sum(axis=axis), missed.sum(axis=axis)]))

    interval = stats.bootstrap(
        tuple(counts.T),
        f1,
        n_resamples=RESAMPLES,
        batch=max(1, BATCH // len(counts)),
        vectorized=True,
        paired=True,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def compare(first: Counts, second: Counts) -> Comparison:
    """Compare F1 of two runs by paired approximate randomisation (Noreen 1989), from n rows each on the same sentences.

    With few differing sentences all exchanges are enumerated and the p-value is exact.
    """
    differ = (first != second).any(axis=1)
    count = int(differ.sum())
    ours, theirs = f1_of(first.sum(axis=0)), f1_of(second.sum(axis=0))
    p_value = 1.0
    if count > 1:  # exchanging a single sentence only flips the sign of the difference
        fixed = first[~differ].sum(axis=0)
        pool = np.concatenate([first[differ], second[differ]])

        def f1(rows: NDArray[Any], axis: int) -> Any:
            return f1_of(
                np.stack([column[rows].sum(axis=axis) + rest for column, rest in zip(pool.T, fixed, strict=True)])
            )

        p_value = stats.permutation_test(
            (np.arange(count), np.arange(count, 2 * count)),
            lambda left, right, axis: np.abs(f1(left, axis) - f1(right, axis)),
            permutation_type="samples",
            vectorized=True,
            n_resamples=SWAPS,
            batch=max(1, BATCH // count),
            alternative="greater",
            rng=np.random.default_rng(0),
        ).pvalue
    return Comparison(float(ours - theirs), float(p_value), len(first), count)
