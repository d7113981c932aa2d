"""Intervals and p-values against arithmetic of our own: enumeration where it can be done, plain loops where not."""

import itertools
import random
import statistics
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from twinner.evaluation.significance import Comparison, Interval, compare, correct, f1_interval, holm


def f1(rows: list[tuple[int, int, int]]) -> float:
    hits, spurious, missed = (sum(row[i] for row in rows) for i in range(3))
    return 2 * hits / (2 * hits + spurious + missed)


FIRST = [(2, 0, 0), (1, 0, 1), (1, 1, 0), (3, 0, 0), (0, 0, 1), (1, 0, 0), (2, 1, 1), (1, 0, 0)]
SECOND = [(1, 1, 1), (1, 0, 1), (0, 1, 1), (2, 0, 1), (0, 1, 1), (1, 0, 0), (1, 1, 2), (0, 0, 1)]


def test_p_value_is_exact_for_few_sentences() -> None:
    observed = abs(f1(FIRST) - f1(SECOND))
    as_far = 0
    for swaps in itertools.product([False, True], repeat=len(FIRST)):
        pairs = [(b, a) if swap else (a, b) for a, b, swap in zip(FIRST, SECOND, swaps, strict=True)]
        as_far += abs(f1([a for a, _ in pairs]) - f1([b for _, b in pairs])) >= observed - 1e-12
    compared = compare([np.array(FIRST)], [np.array(SECOND)])
    assert compared.p_value == pytest.approx(as_far / 2 ** len(FIRST))
    assert compared.difference == pytest.approx(f1(FIRST) - f1(SECOND))
    assert (compared.sentences, compared.differing) == (8, 6)  # the second and the sixth are alike


def test_p_value_matches_plain_loop() -> None:
    rule = random.Random(3)
    first = [(1, 0, 0) if rule.random() < 0.8 else (0, 1, 1) for _ in range(200)]
    second = [(1, 0, 0) if rule.random() < 0.72 else (0, 1, 1) for _ in range(200)]
    observed = abs(f1(first) - f1(second))
    as_far = 0
    for _ in range(3000):
        pairs = [(b, a) if rule.random() < 0.5 else (a, b) for a, b in zip(first, second, strict=True)]
        as_far += abs(f1([a for a, _ in pairs]) - f1([b for _, b in pairs])) >= observed - 1e-12
    assert compare([np.array(first)], [np.array(second)]).p_value == pytest.approx(as_far / 3000, abs=0.025)


def test_equal_runs_are_not_significant() -> None:
    rows = np.array(FIRST)
    assert compare([rows], [rows]).p_value == 1
    once = rows.copy()
    once[0] = (0, 5, 5)
    assert compare([rows], [once]).p_value == 1
    assert not compare([rows], [once]).significant


def test_clearly_different_runs_are_significant() -> None:
    good, bad = np.array([(1, 0, 0)] * 50), np.array([(0, 1, 1)] * 50)
    assert compare([good], [bad]).significant
    assert compare([good], [bad]).p_value < 0.001


Rows = list[tuple[int, int, int]]


def some_rows(rule: random.Random, sentences: int, share: float) -> Rows:
    """Sentences with up to 3 entities, a share of which is found."""
    found = [[rule.random() < share for _ in range(rule.randint(0, 3))] for _ in range(sentences)]
    return [(sum(one), len(one) - sum(one), len(one) - sum(one)) for one in found]


def arrays(seeds: list[Rows]) -> list[NDArray[np.int64]]:
    return [np.array(rows) for rows in seeds]


def resampled_mean(rule: random.Random, seeds: list[Rows], sentences: list[int]) -> float:
    """Mean F1 on some sentences of all but one as many seeds, drawn with replacement."""
    drawn = rule.choices(seeds, k=max(1, len(seeds) - 1))
    return statistics.mean(f1([rows[place] for place in sentences]) for rows in drawn)


def percentiles(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[round(0.025 * len(ordered))], ordered[round(0.975 * len(ordered)) - 1]


def interval(seeds: list[Rows]) -> Interval:
    found = f1_interval(arrays(seeds))
    assert found is not None
    return found


def test_interval_matches_plain_bootstrap() -> None:
    rule = random.Random(5)
    rows = [(rule.randint(0, 3), rule.randint(0, 1), rule.randint(0, 1)) for _ in range(150)]
    low, high = percentiles([f1(rule.choices(rows, k=len(rows))) for _ in range(3000)])
    found = interval([rows])
    assert (found.sentences, found.seeds) == (150, 1)
    assert found.low == pytest.approx(low, abs=0.006)
    assert found.high == pytest.approx(high, abs=0.006)
    assert found.low < f1(rows) < found.high


@pytest.mark.parametrize("shares", [(0.7, 0.8), (0.6, 0.7, 0.75, 0.9)])
def test_interval_over_seeds_matches_plain_bootstrap(shares: tuple[float, ...]) -> None:
    rule = random.Random(6)
    seeds = [some_rows(rule, 120, share) for share in shares]
    samples = [resampled_mean(rule, seeds, rule.choices(range(120), k=120)) for _ in range(3000)]
    low, high = percentiles(samples)
    found = interval(seeds)
    assert (found.sentences, found.seeds) == (120, len(shares))
    assert found.low == pytest.approx(low, abs=0.012)
    assert found.high == pytest.approx(high, abs=0.012)


def test_interval_over_seeds_is_wider_than_over_sentences_alone() -> None:
    rule = random.Random(7)
    seeds = [some_rows(rule, 300, share) for share in (0.5, 0.9)]
    widths = {len(given): interval(given).high - interval(given).low for given in (seeds, seeds[:1])}
    assert widths[2] > 0.35  # from the worse seed to the better one, and a little for the sentences
    assert widths[1] < 0.15
    alike = [seeds[0], seeds[0]]
    assert interval(alike).high - interval(alike).low == pytest.approx(widths[1], abs=0.01)


def test_interval_is_deterministic() -> None:
    assert interval([FIRST, SECOND]) == interval([FIRST, SECOND])
    assert f1_interval(arrays([[(1, 0, 0)]])) is None
    assert f1_interval(arrays([[(1, 0, 0)]] * 2)) is None
    empty = interval([[(0, 0, 0), (0, 0, 0)]])
    assert (empty.low, empty.high) == (0, 0)


@pytest.mark.parametrize("numbers", [(2, 3), (1, 2), (3, 1)])
def test_p_value_over_seeds_matches_plain_loop(numbers: tuple[int, int]) -> None:
    rule = random.Random(8)
    ours, theirs = ([some_rows(rule, 80, 0.7 + 0.06 * seed) for seed in range(number)] for number in numbers)
    observed = statistics.mean(map(f1, ours)) - statistics.mean(map(f1, theirs))
    as_far = 0
    for _ in range(3000):
        sentences = rule.choices(range(80), k=80)
        difference = resampled_mean(rule, ours, sentences) - resampled_mean(rule, theirs, sentences)
        as_far += abs(difference - observed) >= abs(observed)
    compared = compare(arrays(ours), arrays(theirs))
    assert compared.p_value == pytest.approx(as_far / 3000, abs=0.03)
    assert compared.difference == pytest.approx(observed)
    assert compare(arrays(theirs), arrays(ours)).p_value == pytest.approx(compared.p_value, abs=0.02)


def test_seeds_that_differ_as_much_as_settings_are_not_significant() -> None:
    rule = random.Random(9)
    low, high, higher = (some_rows(rule, 400, share) for share in (0.5, 0.9, 0.92))
    assert compare(arrays([high]), arrays([low])).significant
    assert not compare(arrays([high, low]), arrays([low, higher])).significant
    assert compare(arrays([high, higher]), arrays([low, low])).significant


def test_settings_with_equal_predictions_are_not_significant() -> None:
    assert compare(arrays([FIRST, SECOND]), arrays([SECOND, FIRST])).p_value == 1
    assert compare(arrays([FIRST, SECOND]), arrays([SECOND, FIRST])).differing == 0
    assert compare(arrays([FIRST[:1]] * 2), arrays([SECOND[:1]])).p_value == 1  # one sentence says nothing


def rejected(p_values: list[float], level: float) -> set[int]:
    """Holm's procedure as he states it: step down from the smallest, and stop at the first that is too large."""
    found: set[int] = set()
    for place in sorted(range(len(p_values)), key=lambda place: p_values[place]):
        if p_values[place] > level / (len(p_values) - len(found)):
            break
        found.add(place)
    return found


def test_holm_rejects_what_its_definition_rejects() -> None:
    rule = random.Random(10)
    levels = [step / 200 for step in range(1, 200)]
    for count in (1, 2, 3, 5, 8):
        p_values = [rule.choice([rule.random(), rule.random() / 20, 0.01]) for _ in range(count)]
        adjusted = holm(p_values)
        for level in levels:
            below = {place for place, value in enumerate(adjusted) if value <= level}
            assert below == rejected(p_values, level), (p_values, level)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_corrected_p_value_decides() -> None:
    alone = Comparison(0.1, 0.03, 0.03, 500, 40)
    assert alone.significant
    together = correct({"a": alone, "b": replace(alone, p_value=0.04, corrected=0.04)})
    assert together["a"].corrected == pytest.approx(0.06)
    assert (together["a"].p_value, together["a"].significant) == (0.03, False)


def test_difference_in_words_is_that_of_the_second() -> None:
    sides = {difference: Comparison(difference, 1, 1, 9, 9).side for difference in (0.012, -0.25, 0.0)}
    assert sides == {0.012: "1.2 points behind", -0.25: "25.0 points ahead", 0.0: "equal"}
