from dataclasses import replace

import pytest
from training_runs import run  # type: ignore[import-not-found]
from twinner.parameters import PARAMETERS
from twinner.report.sections import split_into_sections
from twinner.report.settings import rank_settings
from twinner.report.sweeps import find_sweeps, parameter_effects, pareto_front
from twinner.tracking.run import Run


def test_effects_are_means_by_framework_and_value() -> None:
    runs = [
        run("a", 0.9, params={"lr": "0.1", "seed": "0", "vectors": "x"}),
        run("b", 0.8, params={"lr": "0.01", "seed": "1", "vectors": "y"}),
        run("c", 0.7, params={"lr": "0.1", "seed": "0", "vectors": "y"}),
        run("d", 0.6, framework="sparknlp", params={"lr": "0.1"}),
    ]
    lr, vectors = parameter_effects(rank_settings(runs, "test_f1"), "test_f1")
    assert (lr.parameter, lr.framework, lr.numeric) == ("lr", "spaCy", True)
    assert list(lr.means) == [0.01, 0.1]
    assert list(lr.means.values()) == pytest.approx([0.8, 0.8])  # (0.9 + 0.7) / 2
    assert (vectors.parameter, vectors.numeric) == ("vectors", False)
    assert vectors.means == {"x": pytest.approx(0.9), "y": pytest.approx(0.75)}


def test_pareto_front_has_no_dominated_setting() -> None:
    costs = {"a": (0.9, 100), "b": (0.8, 10), "c": (0.85, 120), "d": (0.7, 50), "e": (0.85, 40)}
    runs = [run(name, f1, metrics={"training_time": t}, params={"lr": name}) for name, (f1, t) in costs.items()]
    runs.append(run("untimed", 0.95, params={"lr": "z"}))
    front = pareto_front(rank_settings(runs, "test_f1"), "test_f1")
    assert [setting.best.name for setting in front] == ["b", "e", "a"]


@pytest.mark.parametrize("name", [name for name, parameter in PARAMETERS.items() if not parameter.affects_scores])
def test_parameters_without_effect_on_scores_are_ignored(name: str) -> None:
    runs = [
        run("a", 0.9, params={"lr": "1", "seed": "0", name: "local[1]"}),
        run("b", 0.7, params={"lr": "1", "seed": "1", name: "local[*]"}),
    ]
    (setting,) = rank_settings(runs, "test_f1")
    assert setting.mean("test_f1") == pytest.approx(0.8)
    assert parameter_effects([setting], "test_f1") == []


def test_spark_master_has_no_effect_on_scores() -> None:
    assert not PARAMETERS["spark_master"].affects_scores
    assert PARAMETERS["lr"].affects_scores


def test_finds_the_runs_of_sweeps() -> None:
    def of_sweep(name: str, *given: object, **more: object) -> Run:
        made: Run = run(*given, **more)
        return replace(made, tags={**made.tags, "twinner.sweep": name})

    runs = [
        of_sweep("one", "a", 0.8, params={"lr": "1", "seed": "0"}),
        of_sweep("one", "b", 0.7, params={"lr": "1", "seed": "1"}),
        of_sweep("one", "c", 0.9, params={"lr": "2"}),
        of_sweep("one", "d", status="FAILED"),
        of_sweep("two", "e", status="RUNNING"),
        run("f", 0.99),
    ]
    (section,) = split_into_sections(runs, "best_dev_f1")
    one, two = find_sweeps(section)
    assert (one.name, one.runs, one.finished, one.settings) == ("one", 4, 3, 2)
    assert one.best is not None
    assert one.best.best.name == "c"
    assert (two.name, two.runs, two.finished, two.settings, two.best) == ("two", 1, 0, 0, None)
