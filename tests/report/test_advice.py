"""Each suggestion appears if and only if the numbers on dev support it, cites them, and gives the command."""

from collections.abc import Mapping, Sequence

import pytest
from training_runs import run  # type: ignore[import-not-found]
from twinner.report.advice import Advice, advise, values_beyond
from twinner.report.sections import split_into_sections
from twinner.tracking.run import History, Run


def dev(name: str, f1: float, **given: object) -> Run:
    """A run with this F1 on dev; on test the order is the reverse."""
    metrics = {"best_dev_f1": f1, **dict(given.pop("metrics", {}))}  # type: ignore[call-overload]
    made: Run = run(name, 1 - f1, metrics=metrics, **given)
    return made


def advice_for(
    runs: Sequence[Run], histories: History | None = None, label_scores: Mapping[str, float] | None = None
) -> list[Advice]:
    (section,) = split_into_sections(runs, "best_dev_f1")
    return advise(section, histories or {}, label_scores or {}, {runs[0].id: "uv"})


def suggested(given: Sequence[Advice], start: str) -> Advice | None:
    """The suggestion that starts with a text, if there is one."""
    found = [advice for advice in given if advice.what.startswith(start)]
    assert len(found) < 2
    return found[0] if found else None


def reason_for(given: Sequence[Advice], start: str) -> str:
    found = suggested(given, start)
    return found.why if found else ""


def command_for(given: Sequence[Advice], start: str) -> str:
    found = suggested(given, start)
    assert found is not None
    return found.command


def test_rising_dev_score_suggests_more_epochs() -> None:
    rising = {("a", "dev_f1"): [(1, 0.5), (2, 0.6), (3, 0.625)]}
    given = advice_for([dev("a", 0.8, params={"epochs": "3", "lr": "0.001"})], rising)
    start = "spaCy: train for more than 3 epochs"
    why = "In a, dev_f1 was still rising at the end, from 0.600 (epoch 2) to 0.625 (epoch 3)."
    assert reason_for(given, start) == why
    assert command_for(given, start) == "mlflow run . -e spacy_train --env-manager uv -P epochs=6 -P lr=0.001"
    level = {("a", "dev_f1"): [(1, 0.5), (2, 0.6), (3, 0.6)]}
    assert not suggested(advice_for([dev("a", 0.8)], level), "spaCy: train for more")


def test_early_peak_suggests_more_dropout() -> None:
    falling = {("a", "dev_token_f1"): [(1, 0.5), (2, 0.7), (3, 0.66), (4, 0.65)]}
    given = advice_for([dev("a", 0.8, params={"drop_rate": "0.2"})], falling)
    start = "spaCy: try a higher drop_rate"
    why = "In a, dev_token_f1 peaked at epoch 2 (0.700) and ended at 0.650 (epoch 4)."
    assert reason_for(given, start) == why
    loop = 'for drop_rate in 0.3 0.4; do mlflow run . -e spacy_train --env-manager uv -P drop_rate="$drop_rate"; done'
    assert command_for(given, start) == loop


def sweep(*scores: float) -> list[Run]:
    values = ("0.1", "0.3", "0.5")
    return [dev(v, f1, params={"drop_rate": v, "seed": "0"}) for v, f1 in zip(values, scores, strict=True)]


def test_best_value_at_edge_suggests_values_beyond() -> None:
    given = advice_for(sweep(0.7, 0.8, 0.9))
    assert reason_for(given, "spaCy: try a higher drop_rate") == (
        "The best value, 0.5, is the highest of 3 tried; mean best_dev_f1 by value: 0.1 (0.700), 0.3 (0.800), "
        "0.5 (0.900)."
    )
    command = command_for(given, "spaCy: try a higher drop_rate")
    assert command.startswith('for drop_rate in 0.7 0.9; do mlflow run . -e spacy_train -P drop_rate="$drop_rate" -P s')
    given = advice_for(sweep(0.9, 0.8, 0.7))
    assert "the lowest of 3 tried" in reason_for(given, "spaCy: try a lower drop_rate")
    assert " -P drop_rate=0.05 " in command_for(given, "spaCy: try a lower drop_rate")
    assert not suggested(advice_for(sweep(0.7, 0.9, 0.8)), "spaCy: try a")


def test_nothing_lies_beyond_the_end_of_a_range() -> None:
    runs = [dev(v, f1, params={"drop_rate": v}) for v, f1 in (("0", 0.9), ("0.2", 0.8), ("0.4", 0.7))]
    assert not suggested(advice_for(runs), "spaCy: try a lower drop_rate")


@pytest.mark.parametrize(
    ("name", "value", "neighbour", "beyond"),
    [
        ("drop_rate", 0.5, 0.4, [0.6, 0.7]),
        ("drop_rate", 0.9, 0.5, [0.95]),
        ("drop_rate", 0.1, 0.3, [0.05]),
        ("drop_rate", 0.2, 0.3, [0.1, 0]),
        ("drop_rate", 0.1, 0.15, [0.05, 0]),
        ("drop_rate", 0.0, 0.1, []),
        ("lr", 0.003, 0.001, [0.009, 0.027]),
        ("lr", 0.001, 0.01, [0.0001, 0.00001]),
        ("batch_size", 64, 32, [128, 256]),
        ("batch_size", 2, 4, [1]),
        ("batch_size", 1, 2, []),
    ],
)
def test_values_beyond_an_edge(name: str, value: float, neighbour: float, beyond: list[float]) -> None:
    assert values_beyond(name, value, neighbour) == beyond


def test_suggests_sweep_without_one() -> None:
    given = advice_for([dev("a", 0.8, params={"drop_rate": "0.2"})])
    assert "drop_rate, spaCy: 0.2" in reason_for(given, "Try other")
    assert command_for(given, "Try other").startswith("for drop_rate in 0.1 0.3 0.4; do mlflow run . -e spacy_train")
    assert not suggested(advice_for(sweep(0.7, 0.9, 0.8)), "Try other")


def test_names_the_weakest_label_on_dev() -> None:
    given = advice_for([dev("a", 0.8)], label_scores={"WEAK": 0.5, "GOOD": 0.9})
    assert reason_for(given, "Annotate more WEAK") == "Its F1 on dev is 0.500; the overall F1 on dev is 0.800."
    assert not suggested(advice_for([dev("a", 0.8)], label_scores={"FAIR": 0.76}), "Annotate")
    assert not suggested(advice_for([dev("a", 0.8)]), "Annotate")


def test_suggests_the_runner_up_if_it_is_nearly_as_good_and_faster() -> None:
    def given(second: float, seconds: float) -> list[Advice]:
        runs = [dev("a", 0.8, metrics={"training_time": 90.0}), dev("b", second, metrics={"training_time": seconds})]
        return advice_for(runs)

    start = "Consider the runner-up"
    assert reason_for(given(0.795, 30), start) == (
        "The runner-up trained in 30 s, the winner in 90 s; its best_dev_f1 is 0.7950, the winner's 0.8000."
    )
    assert command_for(given(0.795, 30), start) == "mlflow run . -e spacy_train"
    assert not suggested(given(0.78, 30), start)
    assert not suggested(given(0.795, 70), start)


def test_suggests_other_seeds() -> None:
    one, two = {"lr": "1", "seed": "0"}, {"lr": "2", "seed": "1"}
    given = advice_for([dev("a", 0.8, params=one), dev("b", 0.79, params=two)])
    why = "With a single seed the variance is unknown; the winner's lead in best_dev_f1 is 1.0 points."
    start = "Repeat the winner and the runner-up with other seeds"
    assert reason_for(given, start) == why
    assert command_for(given, start).splitlines() == [
        'for seed in 1 2; do mlflow run . -e spacy_train --env-manager uv -P lr=1.0 -P seed="$seed"; done',
        'for seed in 0 2; do mlflow run . -e spacy_train -P lr=2.0 -P seed="$seed"; done',
    ]
    given = advice_for([dev("a", 0.8, params=one), dev("b", 0.8, params=two)])
    assert reason_for(given, start).endswith("; both have the same best_dev_f1.")
    # Seeds 0.80 and 0.76: mean 0.78, standard deviation 0.0283; the other setting has 0.77.
    more = [dev("a", 0.8, params=one), dev("b", 0.77, params=two), dev("c", 0.76, params=one | {"seed": "1"})]
    given = advice_for(more)
    assert command_for(given, "Repeat the runner-up with other seeds").startswith("for seed in 0 2; do mlflow run")
    given = advice_for([*more, dev("d", 0.77, params=two | {"seed": "7"})])
    start = "Run more seeds before choosing"
    assert reason_for(given, start) == (
        "The winner's mean best_dev_f1 is 0.0100 from that of the next setting; the larger standard deviation over "
        "their seeds is 0.0283."
    )
    assert [line.split(";")[0] for line in command_for(given, start).splitlines()] == [
        "for seed in 2 3",
        "for seed in 0 2",
    ]
    assert not suggested(advice_for([dev("a", 0.8, params=one)]), "Repeat")


def test_reports_imbalance_on_dev() -> None:
    def given(precision: float, recall: float) -> list[Advice]:
        metrics = {
            "best_dev_precision": precision,
            "best_dev_recall": recall,
            "test_precision": 0.1,
            "test_recall": 1.0,
        }
        return advice_for([dev("a", 0.8, metrics=metrics, params={"drop_rate": "0.2", "epochs": "5"})])

    start = "Recall is below precision"
    assert reason_for(given(0.9, 0.72), start) == "On dev the winner's precision is 0.900, its recall 0.720."
    assert command_for(given(0.9, 0.72), start).endswith("-P drop_rate=0.2 -P epochs=10")
    assert command_for(given(0.72, 0.9), "Precision is below recall").startswith("for drop_rate in 0.3 0.4; do")
    assert not [advice for advice in given(0.8, 0.79) if "recall" in advice.what]


def test_no_advice_looks_at_test() -> None:
    """Two sets of runs that differ on test alone get the same advice."""
    dev_scores = (0.7, 0.8, 0.9)
    given = [
        [
            dev(f"{rate}", f1, metrics=tested, params={"drop_rate": f"{rate}"})
            for rate, f1 in zip((0.1, 0.3, 0.5), dev_scores, strict=True)
        ]
        for tested in (
            {"test_f1": 0.1, "test_precision": 0.1, "test_recall": 0.9, "test_f1_A": 0.0},
            {"test_f1": 0.9, "test_precision": 0.9, "test_recall": 0.1, "test_f1_A": 1.0},
        )
    ]
    first, second = (advice_for(runs) for runs in given)
    assert first
    assert first == second
