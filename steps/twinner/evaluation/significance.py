"""How sure a score is: its interval over sentences, and whether two runs differ on them by more than chance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from twinner.evaluation.scores import f1_of

RESAMPLES = 2_000  # of the test sentences, for an interval
SWAPS = 9_999  # random exchanges of two runs' sentences, for a comparison
LEVEL = 0.05  # a p-value below counts as significant
AT_ONCE = 2_000_000  # numbers in memory of a batch

Counts = NDArray[np.int64]  # n rows, one a sentence: entities found, spurious, missed


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same n test sentences.

    difference: F1 of the first less that of the second. p_value: how often a random exchange of their answers,
    sentence by sentence, sets them at least as far apart. differing: the sentences on which their counts differ.
    """

    difference: float
    p_value: float
    sentences: int
    differing: int

    @property
    def significant(self) -> bool:
        """Whether chance alone would hardly make such a difference."""
        return self.p_value < LEVEL


def f1_interval(counts: Counts) -> tuple[float, float] | None:
    """The 95 % percentile bootstrap interval of F1 over n sentences; None for fewer than two, which have none."""
    if len(counts) < 2:
        return None

    def f1(hits: Any, spurious: Any, missed: Any, axis: int) -> Any:
        return f1_of(np.stack([hits.sum(axis=axis), spurious.sum(axis=axis), missed.sum(axis=axis)]))

    interval = stats.bootstrap(
        tuple(counts.T),
        f1,
        n_resamples=RESAMPLES,
        batch=max(1, AT_ONCE // len(counts)),
        vectorized=True,
        paired=True,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def compare(first: Counts, second: Counts) -> Comparison:
    """Compare two runs by paired approximate randomisation (Noreen 1989) of F1; n rows each, of the same sentences.

    Of few differing sentences all exchanges are tried, and the p-value is exact.
    """
    differ = (first != second).any(axis=1)
    count = int(differ.sum())
    ours, theirs = f1_of(first.sum(axis=0)), f1_of(second.sum(axis=0))
    p_value = 1.0
    if count > 1:  # an exchange of one sentence turns the difference round, and sets them no less apart
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
            batch=max(1, AT_ONCE // count),
            alternative="greater",
            rng=np.random.default_rng(0),
        ).pvalue
    return Comparison(float(ours - theirs), float(p_value), len(first), count)
