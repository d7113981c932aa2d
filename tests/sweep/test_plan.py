import inspect
from typing import Any

import click
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from spacy_train import spacy_train
from sweep import sweep
from twinner.errors import BadInput
from twinner.sweep.plan import Plan, make_plan
from twinner.sweep.space import combinations, parse_space, spell, spell_values

DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(sweep).parameters.items()}
GIVEN: dict[str, Any] = {**DEFAULTS, "space": "drop_rate=0.1:0.5", "settings": {}}


def plan(**changes: Any) -> Plan:
    return make_plan(**(GIVEN | changes))


def test_a_space_has_ranges_and_lists() -> None:
    space = parse_space(
        "drop-rate=.1:0.5 lr=1e-4:1e-2:log epochs=5,10,20 limit=100:300 embeddings=minilm:3+6,e5", spacy_train
    )
    assert space == {
        "drop_rate": FloatDistribution(0.1, 0.5),
        "lr": FloatDistribution(1e-4, 1e-2, log=True),
        "epochs": CategoricalDistribution([5, 10, 20]),
        "limit": IntDistribution(100, 300),
        "embeddings": CategoricalDistribution(["minilm:3+6", "e5"]),
    }
    assert (
        parse_space(" ".join(f"{name}={spell_values(values)}" for name, values in space.items()), spacy_train) == space
    )
    assert combinations(space) is None
    assert combinations(parse_space("epochs=5,10 limit=1:3", spacy_train)) == 6
    assert spell({"drop_rate": 0.123456, "epochs": 5}) == "drop_rate 0.1235, epochs 5"


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ("", "space is empty"),
        ("drop_rate", "'drop_rate' names no values"),
        ("drop_rat=0.1:0.2", "drop_rat is no parameter of spacy_train; choose among lang, drop_rate"),
        ("driver_memory=2g,4g", "driver_memory is no parameter of spacy_train"),
        ("model_name=a,b", "model_name can't change a score"),
        ("seed=1,2", "seed can't be swept; `seeds` says"),
        ("drop_rate=0.5:0.1", "the range drop_rate=0.5:0.1 is empty"),
        ("drop_rate=0.1:0.1", "is empty"),
        ("lr=0:0.1:log", "lr is 0.0; it must be above 0"),
        ("drop_rate=0:0.5:log", "does not start above 0"),
        ("lr=0:0.1", "lr is 0.0; it must be above 0"),
        ("drop_rate=0.1:1.5", "drop_rate is 1.5; it must be at least 0 and below 1"),
        ("drop_rate=0.1,x", "drop_rate can't be 'x'"),
        ("epochs=1.5,2", "epochs can't be '1.5'; give whole numbers"),
        ("epochs=0,2", "epochs is 0; it must be a whole number of at least 1"),
        ("epochs=5:6:7", "is no range"),
        ("epochs=5,5", "has a value twice"),
        ("epochs=5 epochs=6", "epochs is named twice"),
        ("epochs='5", "No closing quotation"),
    ],
)
def test_a_wrong_space_is_refused(space: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_space(space, spacy_train)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": "report"}, "step=report can't be swept; choose among spacy_train, sparknlp_train"),
        ({"objective": "test_f1"}, "a setting that is chosen by its test score has seen the test data"),
        ({"objective": "ner.losses"}, "unknown; choose among best_dev_f1"),
        ({"jobs": "0"}, "jobs is '0'"),
        ({"jobs": "many"}, "jobs is 'many'"),
        ({"name": "it's"}, "write it with letters"),
        ({"sampler": "grid"}, "a grid has no place for the range of drop_rate"),
        ({"settings": {"spark_master": "local"}}, "spark_master is no parameter of spacy_train"),
        ({"settings": {"drop_rate": "0.1"}}, "drop_rate is in the space and has a value"),
        ({"settings": {"resume": "abc"}}, "resume is no parameter of a trial; give its `name` again"),
        ({"settings": {"epochs": "0"}}, "epochs is 0"),
    ],
)
def test_a_wrong_plan_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        plan(**changes)
    assert words in str(caught.value)


def test_a_value_of_another_type_is_a_usage_error() -> None:
    with pytest.raises(click.UsageError, match="'ten' is not a valid int"):
        plan(settings={"epochs": "ten"})


def test_parameters_of_the_step_are_passed_on() -> None:
    made = plan(settings={"epochs": "3", "log_text": "no", "model_name": "ner"}, seeds=2, seed=5)
    assert made.settings["epochs"] == 3
    assert made.settings["log_text"] == "no"
    assert made.settings["lr"] == 0.001
    assert made.of_winner == {"model_name": "ner", "export": ""}
    assert list(made.seeds) == [5, 6]
    assert "seed" not in made.settings


def test_a_grid_has_no_more_trials_than_settings() -> None:
    assert plan(space="epochs=1,2 limit=5,6", sampler="grid", trials=20).trials == 4
    assert plan(space="epochs=1,2 limit=5,6", sampler="grid", trials=3).trials == 3


def test_what_is_searched_tells_two_sweeps_apart() -> None:
    assert plan().searched == plan(trials=50, jobs="1", timeout=9).searched
    for changes in ({"space": "drop_rate=0.1:0.4"}, {"seeds": 2}, {"settings": {"epochs": "3"}}):
        assert plan().searched != plan(**changes).searched
