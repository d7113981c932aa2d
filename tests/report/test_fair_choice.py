"""The choice on dev, told on test: each number on the page computed again from what was logged, by plain loops."""

import csv
import io
import json
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from page_parser import Page  # type: ignore[import-not-found]
from training_runs import log_training  # type: ignore[import-not-found]
from twinner.report import Report, Selection, build_report

SENTENCES = 60
LOOPS = 4000
Counts = tuple[int, int, int]


@dataclass(frozen=True)
class Logged:
    """What was logged of a run, and what it comes to. counts: found, spurious and missed entities by sentence."""

    id: str
    dev: float
    counts: Sequence[Counts]

    @property
    def f1(self) -> float:
        return f1(self.counts)


def f1(counts: Sequence[Counts]) -> float:
    found, spurious, missed = (sum(one[place] for one in counts) for place in range(3))
    return 2 * found / (2 * found + spurious + missed)


# Dev F1 and the share of entities found on test, by seed. On dev the first setting is the best, on test the second.
SETTINGS = {
    "0.1": [(0.81, 0.70), (0.78, 0.78), (0.80, 0.74)],
    "0.3": [(0.79, 0.84), (0.77, 0.80), (0.76, 0.86)],
    "0.5": [(0.78, 0.30)],
    "0.7": [(0.60, 0.72), (0.62, 0.68)],
}


@pytest.fixture
def settings(experiment: str) -> dict[str, list[Logged]]:
    """Log the settings above, a failed run, and a second run of the first seed, which must not count."""
    rule = random.Random(4)
    gold = [rule.choice([("O", "B-PER", "O", "B-LOC"), ("B-PER", "O", "O", "O")]) for _ in range(SENTENCES)]
    logged = {}
    for rate, seeds in SETTINGS.items():
        logged[rate] = [log_one(rule, gold, rate, str(seed), *of_seed) for seed, of_seed in enumerate(seeds)]
    log_one(rule, gold, "0.1", "0", 0.99, 0.99)
    log_training(name="failed", test_f1=None, status="FAILED", tags={"twinner.test_digest": "aaaa000011112222"})
    return logged


def log_one(
    rule: random.Random, gold: Sequence[Sequence[str]], rate: str, seed: str, dev: float, share: float
) -> Logged:
    """Log a run that finds a share of the entities, and now and then one that is none."""
    predicted = [
        [tag if tag != "O" and rule.random() < share else "B-LOC" if rule.random() < 0.05 else "O" for tag in tags]
        for tags in gold
    ]
    counts = []
    for expected, given in zip(gold, predicted, strict=True):
        found = sum(tag == other != "O" for tag, other in zip(expected, given, strict=True))
        counts.append((found, sum(tag != "O" for tag in given) - found, sum(tag != "O" for tag in expected) - found))
    sentences = [("", " ".join(expected), " ".join(given)) for expected, given in zip(gold, predicted, strict=True)]
    params = {"drop_rate": rate, "seed": seed, "epochs": "3"}
    score = f1(counts)
    identity = log_training(
        name=f"rate {rate} seed {seed}", test_f1=score, dev_f1=dev, params=params, sentences=sentences
    )
    return Logged(identity, dev, counts)


def mean_dev(runs: Sequence[Logged]) -> float:
    return sum(run.dev for run in runs) / len(runs)


def mean_f1(runs: Sequence[Logged]) -> float:
    return sum(run.f1 for run in runs) / len(runs)


def spelled(values: Sequence[float]) -> str:
    """A mean and a standard deviation as the page spells them."""
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.4f}"
    return f"{mean:.4f} ± {(sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5:.4f}"


def resampled(rule: random.Random, runs: Sequence[Logged], places: Sequence[int]) -> float:
    """The mean F1 on drawn sentences of drawn seeds, one fewer than there are."""
    drawn = rule.choices(runs, k=max(1, len(runs) - 1))
    return statistics.mean(f1([run.counts[place] for place in places]) for run in drawn)


def interval(runs: Sequence[Logged]) -> tuple[float, float]:
    rule = random.Random(1)
    values = sorted(resampled(rule, runs, rule.choices(range(SENTENCES), k=SENTENCES)) for _ in range(LOOPS))
    return values[round(0.025 * LOOPS)], values[round(0.975 * LOOPS)]


def p_value(first: Sequence[Logged], second: Sequence[Logged]) -> float:
    """The share of resampled differences that are as far from the observed one as that is from none."""
    rule = random.Random(2)
    observed = mean_f1(first) - mean_f1(second)
    as_far = 0
    for _ in range(LOOPS):
        places = rule.choices(range(SENTENCES), k=SENTENCES)
        difference = resampled(rule, first, places) - resampled(rule, second, places)
        as_far += abs(difference - observed) >= abs(observed)
    return as_far / LOOPS


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """The lowest level at which Holm's procedure rejects each."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    return {
        name: min(1, max(p_values[other] * (len(ordered) - place) for place, other in enumerate(ordered[: rank + 1])))
        for rank, name in enumerate(ordered)
    }


def only_test_set(built: Report) -> dict[str, Any]:
    (found,) = json.loads(built.summary)["test_sets"]
    assert isinstance(found, dict)
    return found


def test_every_number_on_the_page(settings: dict[str, list[Logged]]) -> None:
    built = build_report()
    page, found = Page(built.html), only_test_set(built)
    chosen, second = settings["0.1"], settings["0.3"]
    order = sorted(settings, key=lambda rate: -mean_dev(settings[rate]))
    assert order == ["0.1", "0.5", "0.3", "0.7"]

    # The winner: the best mean on dev, told by its mean on test; its best seed on dev stands for it.
    assert page.headings[0] == f"spaCy leads on demo, chosen on dev: test_f1 {mean_f1(chosen):.3f}"
    assert built.winner.id == found["winner"]["run_id"] == chosen[0].id
    assert (found["winner"]["value"], found["winner"]["test_f1"]) == pytest.approx((mean_dev(chosen), mean_f1(chosen)))
    assert f"best_dev_f1 {spelled([run.dev for run in chosen])}" in page.text
    spread = spelled([run.f1 for run in chosen]).split()[-1]
    assert f"test_f1 , mean of 3 seeds ± {spread}; the best one on dev is rate 0.1 seed 0" in page.text

    # The interval, over sentences and seeds.
    low, high = found["winner"]["test_f1_interval"]
    assert (low, high) == pytest.approx(interval(chosen), abs=0.012)
    ends = f"between {low:.3f} and {high:.3f} (95 % interval over {SENTENCES} sentences and {len(chosen)} seeds)"
    assert f"test F1 {ends}" in page.text

    # The table of settings.
    rows = {row[1].split()[1]: row for row in page.settings[0][1:]}
    assert rows["0.7"][1] == "drop_rate 0.7 rate 0.7 seed 1"  # its best seed on dev
    assert list(rows) == order
    others = [rate for rate in order if rate != "0.1"]
    told = {rate: (float(rows[rate][6]), float(rows[rate][7])) for rate in others}
    for rate, row in rows.items():
        assert row[0] == str(order.index(rate) + 1)
        assert row[3] == str(len(settings[rate]))
        assert row[4] == spelled([run.dev for run in settings[rate]])
        assert row[5] == spelled([run.f1 for run in settings[rate]])
    assert rows["0.1"][6:] == ["–", "–"]
    for rate in others:
        assert told[rate][1] == pytest.approx(p_value(chosen, settings[rate]), abs=0.02), rate
    corrected = holm({rate: found["ranking"][order.index(rate)]["comparison"]["p_value"] for rate in others})
    assert {rate: told[rate][0] for rate in others} == pytest.approx(corrected, abs=0.00006)

    # The runner-up.
    runner_up = settings["0.5"]
    compared = found["comparison"]
    assert compared["difference"] == pytest.approx(mean_f1(chosen) - mean_f1(runner_up))
    assert (compared["comparisons"], compared["sentences"]) == (3, SENTENCES)
    differing = sum(
        [statistics.mean(run.counts[place][column] for run in chosen) for column in range(3)]
        != [run.counts[place][column] for run in runner_up for column in range(3)]
        for place in range(SENTENCES)
    )
    assert compared["differing"] == differing
    behind = 100 * (mean_dev(chosen) - mean_dev(runner_up))
    assert f"best_dev_f1 {spelled([run.dev for run in runner_up])}: {behind:.1f} points behind" in page.text
    points = 100 * (mean_f1(chosen) - mean_f1(runner_up))
    word = "Significant" if corrected["0.5"] < 0.05 else "Not significant"
    assert f"{word} on test: {points:.1f} points behind, p " in page.text
    assert f"corrected for 3 comparisons; uncorrected p {'< 0.001' if told['0.5'][1] < 0.001 else ''}" in page.text
    assert f"the two differ on {differing} of {SENTENCES} sentences" in page.text

    # What the other choice would have claimed.
    flattery = mean_f1(second) - mean_f1(chosen)
    assert max(settings, key=lambda rate: mean_f1(settings[rate])) == "0.3"
    warning = (
        "Chosen on test, the winner would have been rate 0.3 seed 0 (drop_rate 0.3), with a test F1 of "
        f"{mean_f1(second):.4f} instead of {mean_f1(chosen):.4f}: a claim that flatters by {100 * flattery:.2f} points"
    )
    assert warning in page.text
    assert f"- warning: {warning}" in built.markdown
    assert found["warnings"][0].startswith(warning)
    assert found["other_choice"] == {
        "metric": "test_f1",
        "runs": [run.id for run in second],
        "test_f1": pytest.approx(mean_f1(second)),
        "flattery": pytest.approx(flattery),
    }

    # Each run has the rank of its setting, also the one that counts nowhere.
    ranks = {row["run_id"]: row["rank"] for row in csv.DictReader(io.StringIO(built.runs)) if row["rank"]}
    assert len(ranks) == 10
    for rate, runs in settings.items():
        assert {ranks[run.id] for run in runs} == {str(order.index(rate) + 1)}


def test_test_ranks_if_asked_and_the_page_says_what_that_flatters(settings: dict[str, list[Logged]]) -> None:
    built = build_report(metric="test_f1")
    page, found = Page(built.html), only_test_set(built)
    chosen, on_dev = settings["0.3"], settings["0.1"]
    assert page.headings[0] == f"spaCy leads on demo with test_f1 {mean_f1(chosen):.3f}"
    assert found["winner"]["value"] == pytest.approx(mean_f1(chosen))
    assert "Settings are ranked by the mean of test_f1 over their seeds: chosen on test." in page.text
    assert "Winner, chosen on test" in page.text
    assert "Ranked by test_f1, as asked: the score rests on the sentences that it was chosen on, so it" in page.text
    flattery = mean_f1(chosen) - mean_f1(on_dev)
    best = on_dev.index(max(on_dev, key=lambda run: run.f1))  # runs of a setting are sorted by what ranks
    assert (
        f"Chosen on dev, by best_dev_f1, the winner would have been rate 0.1 seed {best} (drop_rate 0.1), with a test "
        f"F1 of {mean_f1(on_dev):.4f}: the choice on test flatters by {100 * flattery:.2f} points."
    ) in page.text
    assert found["other_choice"]["flattery"] == pytest.approx(flattery)
    assert len(found["warnings"]) == 2


def test_advice_is_the_same_whatever_ranks(settings: dict[str, list[Logged]]) -> None:
    by_dev, by_test = (only_test_set(build_report(metric=metric))["advice"] for metric in ("best_dev_f1", "test_f1"))
    assert by_dev == by_test
    assert "spaCy: try a lower drop_rate" in [advice["what"] for advice in by_dev]  # by dev; by test 0.3 is the best


def test_no_warning_where_both_choices_agree(settings: dict[str, list[Logged]]) -> None:
    built = build_report(Selection(drop_rate="0.5,0.1"))
    assert only_test_set(built)["warnings"] == []
    assert only_test_set(built)["other_choice"] is None
    assert "flatter" not in Page(built.html).text


def test_ties_on_test_are_no_other_choice(experiment: str) -> None:
    log_training(name="a", test_f1=0.8, dev_f1=0.7, params={"lr": "1"})
    log_training(name="b", test_f1=0.8, dev_f1=0.6, params={"lr": "2"})
    assert only_test_set(build_report())["warnings"] == []


def test_seeds_without_predictions_are_left_out_of_the_interval(experiment: str) -> None:
    rule = random.Random(4)
    gold = [("O", "B-PER"), ("B-LOC", "O")] * 20
    runs = [log_one(rule, gold, "0.1", seed, 0.8, 0.7) for seed in ("0", "1")]
    log_training(name="lost", params={"drop_rate": "0.1", "seed": "2", "epochs": "3"}, test_f1=0.6, dev_f1=0.7)
    log_training(name="none", params={"drop_rate": "0.2", "seed": "0", "epochs": "3"}, test_f1=0.9, dev_f1=0.6)
    built = build_report()
    page, found = Page(built.html), only_test_set(built)
    assert found["winner"]["test_f1"] == pytest.approx((runs[0].f1 + runs[1].f1 + 0.6) / 3)
    assert "(95 % interval over 40 sentences and 2 seeds)" in page.text
    assert found["comparison"] is None
    assert [row[6:] for row in page.settings[0][1:]] == [["–", "–"]] * 2
    assert "No interval, comparison or errors for none, lost: it has no inference.parquet." in page.text
