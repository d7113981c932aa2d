"""Intervals and p-values against arithmetic of our own: enumeration where it can be done, plain loops where not."""

import itertools
import random

import numpy as np
import pytest
from twinner.evaluation.significance import compare, f1_interval


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
    compared = compare(np.array(FIRST), np.array(SECOND))
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
    assert compare(np.array(first), np.array(second)).p_value == pytest.approx(as_far / 3000, abs=0.025)


def test_equal_runs_are_not_significant() -> None:
    rows = np.array(FIRST)
    assert compare(rows, rows).p_value == 1
    once = rows.copy()
    once[0] = (0, 5, 5)
    assert compare(rows, once).p_value == 1
    assert not compare(rows, once).significant


def test_clearly_different_runs_are_significant() -> None:
    good, bad = np.array([(1, 0, 0)] * 50), np.array([(0, 1, 1)] * 50)
    assert compare(good, bad).significant
    assert compare(good, bad).p_value < 0.001


def test_interval_matches_plain_bootstrap() -> None:
    rule = random.Random(5)
    rows = [(rule.randint(0, 3), rule.randint(0, 1), rule.randint(0, 1)) for _ in range(150)]
    scores = sorted(f1(rule.choices(rows, k=len(rows))) for _ in range(3000))
    low, high = f1_interval(np.array(rows)) or (0, 0)
    assert low == pytest.approx(scores[75], abs=0.006)  # 2.5 % of 3,000
    assert high == pytest.approx(scores[2924], abs=0.006)
    assert low < f1(rows) < high


def test_interval_is_deterministic() -> None:
    assert f1_interval(np.array(FIRST)) == f1_interval(np.array(FIRST))
    assert f1_interval(np.array([(1, 0, 0)])) is None
    assert f1_interval(np.array([(0, 0, 0), (0, 0, 0)])) == (0, 0)
