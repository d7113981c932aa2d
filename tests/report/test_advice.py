"""Each suggestion appears if and only if the numbers support it, and cites them."""

from collections.abc import Mapping, Sequence
from typing import Any

from training_runs import run  # type: ignore[import-not-found]
from twinner.evaluation.significance import Comparison
from twinner.report.advice import Advice, advise
from twinner.report.error_analysis import Slice
from twinner.report.predictions import Evidence
from twinner.report.sections import split_into_sections
from twinner.report.sweeps import group_by_setting, parameter_effects
from twinner.tracking.read import History, Run


def advice_for(
    runs: Sequence[Run],
    histories: History | None = None,
    support: Mapping[str, int] | None = None,
    comparisons: Mapping[str, Comparison] | None = None,
    slices: Sequence[Slice] = (),
) -> dict[str, str]:
    """Return the suggestions and their reasons."""
    (section,) = split_into_sections(runs, "test_f1")
    evidence = Evidence({}, {}, support or {})
    settings = group_by_setting(section.ranked)
    effects = parameter_effects(section.ranked, "test_f1")
    given: list[Advice] = advise(section, histories or {}, evidence, settings, effects, comparisons or {}, slices)
    return {advice.what: advice.why for advice in given}


def reason_for(given: Mapping[str, str], start: str) -> str:
    """Return the reason for the suggestion that starts with a text; empty if there is none."""
    found = [why for what, why in given.items() if what.startswith(start)]
    assert len(found) < 2
    return found[0] if found else ""


def test_rising_dev_score_suggests_more_epochs() -> None:
    rising = {("a", "dev_f1"): [(1, 0.5), (2, 0.6), (3, 0.625)]}
    why = reason_for(advice_for([run("a", 0.8)], rising), "spaCy: train for more than 3 epochs")
    assert why == "In a, dev_f1 was still rising at the end, from 0.600 (epoch 2) to 0.625 (epoch 3)."
    level = {("a", "dev_f1"): [(1, 0.5), (2, 0.6), (3, 0.6)]}
    assert not reason_for(advice_for([run("a", 0.8)], level), "spaCy: train for more")


def test_early_peak_suggests_more_dropout() -> None:
    falling = {("a", "dev_token_f1"): [(1, 0.5), (2, 0.7), (3, 0.66), (4, 0.65)]}
    why = reason_for(advice_for([run("a", 0.8)], falling), "spaCy: try a higher drop_rate")
    assert why == "In a, dev_token_f1 peaked at epoch 2 (0.700) and ended at 0.650 (epoch 4)."


def sweep(*scores: float) -> list[Run]:
    values = ("0.1", "0.3", "0.5")
    return [run(v, f1, params={"drop_rate": v}) for v, f1 in zip(values, scores, strict=True)]


def test_best_value_at_edge_suggests_wider_sweep() -> None:
    why = reason_for(advice_for(sweep(0.7, 0.8, 0.9)), "spaCy: try a higher drop_rate")
    assert why == (
        "The best value, 0.5, is the highest of 3 tried; mean test_f1 by value: 0.1 (0.700), 0.3 (0.800), 0.5 (0.900)."
    )
    assert "the lowest of 3 tried" in reason_for(advice_for(sweep(0.9, 0.8, 0.7)), "spaCy: try a lower drop_rate")
    assert not reason_for(advice_for(sweep(0.7, 0.9, 0.8)), "spaCy: try a")


def test_suggests_sweep_without_one() -> None:
    assert "drop_rate, spaCy: 0.2" in reason_for(advice_for([run("a", 0.8, params={"drop_rate": "0.2"})]), "Try other")
    assert not reason_for(advice_for(sweep(0.7, 0.9, 0.8)), "Try other")


def test_names_rare_labels_and_weakest_frequent_label() -> None:
    scores = {"test_f1_RARE": 0.2, "test_f1_WEAK": 0.5, "test_f1_GOOD": 0.9}
    given = advice_for([run("a", 0.8, metrics=scores)], support={"RARE": 20, "WEAK": 30, "GOOD": 500})
    why = reason_for(given, "Do not rely on the F1 of 1 label:")
    assert why == "Fewer than 30: RARE (20); for the rarest, a single mention changes recall by 5 points."
    why = reason_for(given, "Annotate more WEAK mentions")
    assert why == "Its test F1 is 0.500 over 30 mentions; the overall F1 is 0.800."
    assert not reason_for(advice_for([run("a", 0.8, metrics=scores)]), "Do not rely on")  # the support is unknown


def test_insignificant_lead_suggests_more_test_sentences() -> None:
    runs = [run("a", 0.8, metrics={"training_time": 90.0}), run("b", 0.79, metrics={"training_time": 30.0})]
    given = advice_for(runs, comparisons={"b": Comparison(0.01, 0.4, 500, 60)})
    assert reason_for(given, "Test on more sentences") == (
        "Winner and runner-up differ on 60 of 500 test sentences; p = 0.40 is not below 0.05; the runner-up trained "
        "in 30 s, the winner in 90 s."
    )
    assert not reason_for(advice_for(runs, comparisons={"b": Comparison(0.01, 0.04, 500, 60)}), "Test on more")


def test_suggests_more_seeds() -> None:
    one: dict[str, Any] = {"lr": "1", "seed": "0"}
    given = advice_for([run("a", 0.8, params=one), run("b", 0.79, params={"lr": "2", "seed": "0"})])
    assert "its lead is 1.0 points" in reason_for(given, "Repeat the winner with other seeds")
    # Seeds 0.80 and 0.76: mean 0.78, standard deviation 0.0283; the other setting has 0.79.
    more = [run("a", 0.8, params=one), run("b", 0.79, params={"lr": "2"}), run("c", 0.76, params=one | {"seed": "1"})]
    why = reason_for(advice_for(more), "Run more seeds")
    assert (
        why
        == "The winner's mean is 0.0100 from that of the next setting; its standard deviation over 2 seeds is 0.0283."
    )


def test_reports_memorisation_and_imbalance() -> None:
    slices = [Slice("seen", "recall", 1200, {"a": 0.95}), Slice("never", "recall", 300, {"a": 0.5})]
    given = advice_for([run("a", 0.8, metrics={"test_precision": 0.9, "test_recall": 0.72})], slices=slices)
    assert reason_for(given, "Add more varied entities") == (
        "The winner finds 95.0% of the 1,200 test entities whose text occurs in training, and 50.0% of the 300 others."
    )
    assert reason_for(given, "Recall is below precision") == "The winner's precision is 0.900, its recall 0.720."
    assert not reason_for(advice_for([run("a", 0.8)]), "Recall is")
