"""Whether a model knows when it is right: the confidence in its entities against the share of them that is right."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from twinner.corpus import entities_of

BINS = 10  # of equal width, from 0 to 1
THRESHOLDS = 101  # from 0 to 1
Tags = Sequence[str]  # the tags of one sentence


@dataclass(frozen=True)
class Bin:
    """The predicted entities whose confidence is between two values.

    confidence: its mean. right: the share with the right borders and the right label. Both are 0 in an empty bin.
    """

    low: float
    high: float
    count: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Threshold:
    """The scores of the entities with at least this confidence; the precision of none is 1."""

    confidence: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Calibration:
    """The bins from 0 to 1, and thresholds from 0 to 1, on one test set."""

    bins: Sequence[Bin]
    thresholds: Sequence[Threshold]

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance, over entities, between confidence and share in their bin.

        Guo et al. (2017), https://arxiv.org/abs/1706.04599
        """
        count = sum(one.count for one in self.bins)
        return sum(one.count * abs(one.confidence - one.right) for one in self.bins) / max(1, count)

    def to_json(self) -> str:
        """Return it as text for `from_json`."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """Read what `to_json` wrote. Raises ValueError, KeyError or TypeError for another text."""
        content = json.loads(text)
        found = cls([Bin(**row) for row in content["bins"]], [Threshold(**row) for row in content["thresholds"]])
        for row in (*found.bins, *found.thresholds):
            if not all(isinstance(value, int | float) for value in vars(row).values()):
                raise TypeError(f"{row} has a value that is no number")
        return found


def calibration(gold: Sequence[Tags], predicted: Sequence[Tags], confidence: Sequence[Sequence[float]]) -> Calibration:
    """Compare the confidence in each predicted entity with whether it is right.

    gold, predicted: the tags of n sentences. confidence: for each of them one number for each predicted entity.
    """
    known = [set(entities_of(tags)) for tags in gold]
    correct = np.array(
        [entity in found for found, tags in zip(known, predicted, strict=True) for entity in entities_of(tags)], bool
    )
    scores = np.array([score for of_sentence in confidence for score in of_sentence], float)
    total = sum(map(len, known))
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = []
    for place in range(BINS):
        here = places == place
        means = (float(scores[here].mean()), float(correct[here].mean())) if here.any() else (0.0, 0.0)
        bins.append(Bin(place / BINS, (place + 1) / BINS, int(here.sum()), *means))
    thresholds = []
    for threshold in np.linspace(0, 1, THRESHOLDS).round(2).tolist():
        kept = correct[scores >= threshold]
        precision = float(kept.mean()) if len(kept) else 1.0
        thresholds.append(Threshold(threshold, precision, float(kept.sum()) / max(1, total)))
    return Calibration(bins, thresholds)
