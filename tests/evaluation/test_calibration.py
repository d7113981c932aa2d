import json
import random

import pytest
from twinner.corpus import entities_of
from twinner.evaluation.calibration import Calibration, calibration

GOLD = [["B-PER", "O", "B-LOC", "I-LOC"], ["O", "O"], ["B-LOC"]]
PREDICTED = [["B-PER", "O", "B-LOC", "O"], ["B-PER", "O"], ["B-LOC"]]
CONFIDENCE = [[0.95, 0.55], [0.5], [1.0]]


def test_compares_confidence_with_the_share_that_is_right() -> None:
    found = calibration(GOLD, PREDICTED, CONFIDENCE)
    by_low = {one.low: one for one in found.bins}
    assert [by_low[0.5].count, by_low[0.5].confidence, by_low[0.5].right] == pytest.approx([2, 0.525, 0])
    assert [by_low[0.9].count, by_low[0.9].confidence, by_low[0.9].right] == pytest.approx([2, 0.975, 1])
    assert sum(one.count for one in found.bins) == 4
    assert found.error == pytest.approx((2 * 0.525 + 2 * 0.025) / 4)


def test_thresholds_keep_what_is_sure_enough() -> None:
    at = {one.confidence: one for one in calibration(GOLD, PREDICTED, CONFIDENCE).thresholds}
    assert [at[0].precision, at[0].recall] == pytest.approx([0.5, 2 / 3])
    assert [at[0.55].precision, at[0.55].recall] == pytest.approx([2 / 3, 2 / 3])
    assert [at[0.96].precision, at[0.96].recall] == pytest.approx([1, 1 / 3])
    assert len(at) == 101


def test_is_what_brute_force_gives() -> None:
    random_numbers = random.Random(0)
    gold = [random_numbers.choices(["O", "B-A", "B-B"], k=9) for _ in range(200)]
    predicted = [[tag if random_numbers.random() < 0.7 else "B-A" for tag in tags] for tags in gold]
    confidence = [[random_numbers.random() for _ in entities_of(tags)] for tags in predicted]
    pairs = [
        (score, entity in set(entities_of(gold_tags)))
        for gold_tags, tags, scores in zip(gold, predicted, confidence, strict=True)
        for score, entity in zip(scores, entities_of(tags), strict=True)
    ]
    error = 0.0
    for number in range(10):
        here = [(score, right) for score, right in pairs if number <= score * 10 < number + 1]
        error += abs(sum(score for score, _ in here) - sum(right for _, right in here)) / len(pairs)
    assert calibration(gold, predicted, confidence).error == pytest.approx(error)


def test_no_entities_are_no_error() -> None:
    found = calibration([["O"]], [["O"]], [[]])
    assert found.error == 0
    assert {one.count for one in found.bins} == {0}


def test_survives_json() -> None:
    found = calibration(GOLD, PREDICTED, CONFIDENCE)
    assert Calibration.from_json(found.to_json()) == found


@pytest.mark.parametrize("change", [{"bins": 3}, {"bins": [{"low": 1}]}, {"thresholds": [dict.fromkeys("abc", 1)]}])
def test_refuses_other_json(change: dict[str, object]) -> None:
    content = json.loads(calibration(GOLD, PREDICTED, CONFIDENCE).to_json()) | change
    with pytest.raises((ValueError, KeyError, TypeError)):
        Calibration.from_json(json.dumps(content))


def test_refuses_a_text_in_place_of_a_number() -> None:
    content = json.loads(calibration(GOLD, PREDICTED, CONFIDENCE).to_json())
    content["bins"][0]["right"] = "<b>"
    with pytest.raises(TypeError, match="no number"):
        Calibration.from_json(json.dumps(content))
