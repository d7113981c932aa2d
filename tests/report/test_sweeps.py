import statistics

import pytest
from training_runs import run  # type: ignore[import-not-found]
from twinner.parameters import PARAMETERS
from twinner.report.sweeps import group_by_setting, parameter_effects, pareto_front


def test_groups_runs_that_differ_only_in_seed() -> None:
    runs = [
        run("a", 0.9, params={"lr": "1", "seed": "0", "export": "/x"}),
        run("b", 0.8, params={"lr": "1", "seed": "1"}),
        run("c", 0.7, params={"lr": "2", "seed": "2"}),
        run("d", 0.6, params={"lr": "1", "seed": "1"}),  # the same seed again: b counts
        run("e", 0.5, framework="sparknlp", params={"lr": "1", "seed": "3"}),
    ]
    settings = group_by_setting(runs)
    assert [[one.name for one in setting.runs] for setting in settings] == [["a", "b"], ["c"], ["e"]]
    assert settings[0].mean("test_f1") == pytest.approx(0.85)
    assert settings[0].spread("test_f1") == pytest.approx(statistics.stdev([0.9, 0.8]))
    assert (settings[0].lowest("test_f1"), settings[0].highest("test_f1")) == (0.8, 0.9)
    assert settings[1].spread("test_f1") is None


def test_effects_are_means_by_framework_and_value() -> None:
    runs = [
        run("a", 0.9, params={"lr": "0.1", "seed": "0", "vectors": "x"}),
        run("b", 0.8, params={"lr": "0.01", "seed": "1", "vectors": "y"}),
        run("c", 0.7, params={"lr": "0.1", "seed": "0", "vectors": "y"}),
        run("d", 0.6, framework="sparknlp", params={"lr": "0.1"}),
    ]
    lr, vectors = parameter_effects(runs, "test_f1")
    assert (lr.parameter, lr.framework, lr.numeric) == ("lr", "spaCy", True)
    assert list(lr.means) == [0.01, 0.1]
    assert list(lr.means.values()) == pytest.approx([0.8, 0.8])  # (0.9 + 0.7) / 2
    assert (vectors.parameter, vectors.numeric) == ("vectors", False)
    assert vectors.means == {"x": pytest.approx(0.9), "y": pytest.approx(0.75)}


def test_pareto_front_has_no_dominated_setting() -> None:
    costs = {"a": (0.9, 100), "b": (0.8, 10), "c": (0.85, 120), "d": (0.7, 50), "e": (0.85, 40)}
    runs = [run(name, f1, metrics={"training_time": t}, params={"lr": name}) for name, (f1, t) in costs.items()]
    runs.append(run("untimed", 0.95, params={"lr": "z"}))
    front = pareto_front(group_by_setting(runs), "test_f1")
    assert [setting.runs[0].name for setting in front] == ["b", "e", "a"]


@pytest.mark.parametrize("name", [name for name, parameter in PARAMETERS.items() if not parameter.affects_scores])
def test_parameters_without_effect_on_scores_are_ignored(name: str) -> None:
    runs = [
        run("a", 0.9, params={"lr": "1", "seed": "0", name: "local[1]"}),
        run("b", 0.7, params={"lr": "1", "seed": "1", name: "local[*]"}),
    ]
    (setting,) = group_by_setting(runs)
    assert setting.mean("test_f1") == pytest.approx(0.8)
    assert parameter_effects(runs, "test_f1") == []


def test_spark_master_has_no_effect_on_scores() -> None:
    assert not PARAMETERS["spark_master"].affects_scores
    assert PARAMETERS["lr"].affects_scores
