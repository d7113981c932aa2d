"""Each statement appears where its numbers call for it, names them, and is silent where they do not."""

from collections.abc import Mapping, Sequence
from typing import Any

from training_runs import run  # type: ignore[import-not-found]
from twinner.evaluation.significance import Comparison
from twinner.report.advice import Advice, advise
from twinner.report.predictions import Evidence
from twinner.report.sections import sections_of
from twinner.report.sweeps import effects_of, settings_of
from twinner.report.why import Slice
from twinner.tracking.read import History, Run


def advice_for(
    runs: Sequence[Run],
    histories: History | None = None,
    support: Mapping[str, int] | None = None,
    comparisons: Mapping[str, Comparison] | None = None,
    slices: Sequence[Slice] = (),
) -> dict[str, str]:
    """What is advised, and why."""
    (section,) = sections_of(runs, "test_f1")
    evidence = Evidence({}, {}, support or {})
    settings = settings_of(section.ranked)
    effects = effects_of(section.ranked, "test_f1")
    given: list[Advice] = advise(section, histories or {}, evidence, settings, effects, comparisons or {}, slices)
    return {advice.what: advice.why for advice in given}


def words_about(given: Mapping[str, str], start: str) -> str:
    """The one reason of the advice that starts so; empty if there is none."""
    found = [why for what, why in given.items() if what.startswith(start)]
    assert len(found) < 2
    return found[0] if found else ""


def test_a_score_that_rose_to_the_end_asks_for_more_epochs() -> None:
    rising = {("a", "dev_f1"): [(1, 0.5), (2, 0.6), (3, 0.625)]}
    why = words_about(advice_for([run("a", 0.8)], rising), "spaCy: train for more than 3 epochs")
    assert why == "Of a, dev_f1 rose from 0.600 (epoch 2) to 0.625 (epoch 3), its highest."
    level = {("a", "dev_f1"): [(1, 0.5), (2, 0.6), (3, 0.6)]}
    assert not words_about(advice_for([run("a", 0.8)], level), "spaCy: train for more")


def test_a_score_that_long_fell_asks_for_more_dropout() -> None:
    falling = {("a", "dev_token_f1"): [(1, 0.5), (2, 0.7), (3, 0.66), (4, 0.65)]}
    why = words_about(advice_for([run("a", 0.8)], falling), "spaCy: a higher drop_rate")
    assert why == "Of a, dev_token_f1 was highest at epoch 2 (0.700) and ended at 0.650 (epoch 4)."


def sweep(*scores: float) -> list[Run]:
    values = ("0.1", "0.3", "0.5")
    return [run(v, f1, params={"drop_rate": v}) for v, f1 in zip(values, scores, strict=True)]


def test_the_best_value_at_the_edge_of_a_sweep_asks_to_go_on() -> None:
    why = words_about(advice_for(sweep(0.7, 0.8, 0.9)), "spaCy: a higher drop_rate")
    assert why == (
        "The best, 0.5, is the highest of those tried; mean test_f1 of each: 0.1 (0.700), 0.3 (0.800), 0.5 (0.900)."
    )
    assert "the lowest of those tried" in words_about(advice_for(sweep(0.9, 0.8, 0.7)), "spaCy: a lower drop_rate")
    assert not words_about(advice_for(sweep(0.7, 0.9, 0.8)), "spaCy: a")


def test_without_a_sweep_one_is_asked_for() -> None:
    assert "drop_rate, spaCy: 0.2" in words_about(advice_for([run("a", 0.8, params={"drop_rate": "0.2"})]), "Try other")
    assert not words_about(advice_for(sweep(0.7, 0.9, 0.8)), "Try other")


def test_labels_with_few_mentions_are_not_trusted_and_the_weakest_of_the_others_is_named() -> None:
    scores = {"test_f1_RARE": 0.2, "test_f1_WEAK": 0.5, "test_f1_GOOD": 0.9}
    given = advice_for([run("a", 0.8, metrics=scores)], support={"RARE": 20, "WEAK": 30, "GOOD": 500})
    why = words_about(given, "Do not trust the F1 of 1 label:")
    assert why == "Fewer than 30: RARE (20); of the rarest, one mention more or less moves its recall by 5 points."
    why = words_about(given, "More training mentions of WEAK")
    assert why == "Its test F1 is 0.500 over 30 mentions, that of all labels 0.800."
    assert not words_about(advice_for([run("a", 0.8, metrics=scores)]), "Do not trust")  # the support is unknown


def test_a_difference_that_chance_makes_asks_for_more_test_sentences() -> None:
    runs = [run("a", 0.8, metrics={"training_time": 90.0}), run("b", 0.79, metrics={"training_time": 30.0})]
    given = advice_for(runs, comparisons={"b": Comparison(0.01, 0.4, 500, 60)})
    assert words_about(given, "Test on more sentences") == (
        "Winner and runner-up differ on 60 of 500 test sentences; p = 0.40 is not below 0.05; the runner-up trained "
        "in 30 s, the winner in 90 s."
    )
    assert not words_about(advice_for(runs, comparisons={"b": Comparison(0.01, 0.04, 500, 60)}), "Test on more")


def test_one_seed_asks_for_more_and_a_lead_within_their_spread_too() -> None:
    one: dict[str, Any] = {"lr": "1", "seed": "0"}
    given = advice_for([run("a", 0.8, params=one), run("b", 0.79, params={"lr": "2", "seed": "0"})])
    assert "its lead is 1.0 points" in words_about(given, "Repeat the winner with other seeds")
    # Seeds 0.80 and 0.76: mean 0.78, standard deviation 0.0283; the other setting has 0.79.
    more = [run("a", 0.8, params=one), run("b", 0.79, params={"lr": "2"}), run("c", 0.76, params=one | {"seed": "1"})]
    why = words_about(advice_for(more), "More seeds")
    assert why == "Its mean is 0.0100 from that of the next setting; its standard deviation over 2 seeds is 0.0283."


def test_what_was_never_seen_in_training_and_the_balance_are_told() -> None:
    slices = [Slice("seen", "recall", 1200, {"a": 0.95}), Slice("never", "recall", 300, {"a": 0.5})]
    given = advice_for([run("a", 0.8, metrics={"test_precision": 0.9, "test_recall": 0.72})], slices=slices)
    assert words_about(given, "More varied entities") == (
        "The winner finds 95.0% of the 1,200 test entities whose text is in the training data, and 50.0% of the 300 "
        "others."
    )
    assert words_about(given, "It misses more than it invents") == "The winner's precision is 0.900, its recall 0.720."
    assert not words_about(advice_for([run("a", 0.8)]), "It ")
