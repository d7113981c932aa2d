import importlib
import inspect
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from twinner.errors import BadInput
from twinner.parameters import PARAMETERS, check_parameters

PROJECT = Path(__file__).resolve().parent.parent
STEPS = ["main", "spacy_train", "sparknlp_train", "report", "sweep", "reproduce", "predict", "promote", "sync"]

# The contract: the parameters of each step in order, with their defaults.
SHARED_FIRST = {"corpus": "demo", "test": "", "lang": "auto", "tag_column": ""}
DEFAULTS: dict[str, dict[str, Any]] = {
    "main": {"corpus": "demo", "drop_rate": "", "epochs": "", "lr": ""},
    "spacy_train": {
        **SHARED_FIRST,
        "drop_rate": 0.2,
        "epochs": 20,
        "lr": 0.001,
        "batch_size": 1000,
        "dev_fraction": 0.1,
        "test_fraction": 0.1,
        "patience": 0,
        "limit": 0,
        "seed": 0,
        "model_name": "",
        "config": "",
        "vectors": "",
        "embeddings": "",
        "init": "",
        "resume": "",
        "sweep": "",
        "reuse": "no",
        "portable": "no",
        "log_text": "yes",
        "export": "",
    },
    "sparknlp_train": {
        **SHARED_FIRST,
        "drop_rate": 0.5,
        "epochs": 10,
        "lr": 0.003,
        "batch_size": 32,
        "dev_fraction": 0.1,
        "test_fraction": 0.1,
        "embeddings": "word2vec",
        "limit": 0,
        "seed": 0,
        "model_name": "",
        "spark_master": "local[*]",
        "driver_memory": "auto",
        "spark_conf": "",
        "embedding_cache": "yes",
        "resume": "",
        "sweep": "",
        "reuse": "no",
        "log_text": "yes",
        "export": "",
    },
    "report": {
        "drop_rate": "",
        "epochs": "",
        "lr": "",
        "experiments": "",
        "filter": "",
        "sweep": "",
        "metric": "best_dev_f1",
        "log_text": "yes",
        "output": "",
    },
    "sweep": {
        "step": "spacy_train",
        "space": "",
        "trials": 20,
        "sampler": "tpe",
        "prune": "yes",
        "seeds": 1,
        "objective": "best_dev_f1",
        "jobs": "auto",
        "timeout": 0,
        "seed": 0,
        "name": "",
        "spark_master": "",
        "spark_conf": "",
    },
    "reproduce": {"run_id": "", "tolerance": 0.001},
    "predict": {
        "model": "",
        "input": "",
        "output": "",
        "text_column": "text",
        "compare": "",
        "spark_master": "local[*]",
        "driver_memory": "auto",
        "spark_conf": "",
        "overwrite": "no",
        "log_text": "yes",
    },
    "promote": {
        "model_name": "",
        "max_drop": 0.02,
        "dry_run": "no",
        "force": "no",
        "reason": "",
        "rollback": "no",
    },
    "sync": {"discard": ""},
}


def entry_points() -> dict[str, Any]:
    project: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))
    return project["entry_points"]


def step_function(step: str) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(importlib.import_module(step), step)
    return function


def defaults_of(step: str) -> dict[str, Any]:
    parameters = inspect.signature(step_function(step)).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is not inspect.Parameter.VAR_KEYWORD}


@pytest.mark.parametrize("step", STEPS)
def test_function_follows_contract(step: str) -> None:
    assert list(defaults_of(step).items()) == list(DEFAULTS[step].items())
    assert [type(value) for value in defaults_of(step).values()] == [type(value) for value in DEFAULTS[step].values()]


@pytest.mark.parametrize("step", STEPS)
def test_mlproject_follows_contract(step: str) -> None:
    declared = entry_points()[step]["parameters"]
    assert {name: parameter["default"] for name, parameter in declared.items()} == defaults_of(step)
    types = {str: "string", int: "int", float: "float"}
    assert {name: p["type"] for name, p in declared.items()} == {
        name: types[type(value)] for name, value in defaults_of(step).items()
    }


@pytest.mark.parametrize("step", STEPS)
def test_command_passes_every_parameter(step: str) -> None:
    program, *options = re.split(r" (?=--)", " ".join(entry_points()[step]["command"].split()))
    assert program == f"python -s steps/{step}.py"
    assert options == [f"--{name.replace('_', '-')} {{{name}}}" for name in DEFAULTS[step]]


def test_all_step_entry_points_are_tested() -> None:
    assert {name for name, point in entry_points().items() if "steps/" in point["command"]} == set(STEPS)


def test_parameters_are_used_and_documented() -> None:
    used = {name for defaults in DEFAULTS.values() for name in defaults}
    assert set(PARAMETERS) == used
    assert all(parameter.help for parameter in PARAMETERS.values())


@pytest.mark.parametrize("step", STEPS)
def test_defaults_are_valid(step: str) -> None:
    check_parameters(defaults_of(step))


@pytest.mark.parametrize("step", ["spacy_train", "sparknlp_train", "report"])
def test_log_text_accepts_yes_or_no(step: str) -> None:
    assert get_args(inspect.signature(step_function(step)).parameters["log_text"].annotation) == ("yes", "no")


@pytest.mark.parametrize(
    ("name", "value", "requirement"),
    [
        ("drop_rate", 1.0, "at least 0 and below 1"),
        ("drop_rate", 1.5, "at least 0 and below 1"),
        ("drop_rate", -0.1, "at least 0 and below 1"),
        ("drop_rate", math.nan, "at least 0 and below 1"),
        ("drop_rate", math.inf, "at least 0 and below 1"),
        ("lr", 0.0, "above 0"),
        ("lr", -1.0, "above 0"),
        ("lr", math.inf, "above 0"),
        ("lr", math.nan, "above 0"),
        ("epochs", 0, "a whole number of at least 1"),
        ("batch_size", 0, "a whole number of at least 1"),
        ("patience", -1, "a whole number of at least 0"),
        ("limit", -1, "a whole number of at least 0"),
        ("dev_fraction", 0.0, "above 0 and below 1"),
        ("dev_fraction", 1.0, "above 0 and below 1"),
        ("test_fraction", math.nan, "above 0 and below 1"),
        ("seed", -1, "a whole number from 0 to 2147483647"),
        ("max_drop", -0.01, "at least 0 and below 1"),
        ("max_drop", math.nan, "at least 0 and below 1"),
        ("seed", 2**31, "a whole number from 0 to 2147483647"),
    ],
)
def test_rejects_number_out_of_range(name: str, value: float, requirement: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_parameters({name: value})
    assert str(caught.value) == f"{name} is {value!r}; it must be {requirement}"


@pytest.mark.parametrize(
    ("name", "value"), [("drop_rate", 0.0), ("drop_rate", 0.999), ("epochs", 1), ("seed", 2**31 - 1), ("lr", 1e-9)]
)
def test_accepts_limits_of_range(name: str, value: float) -> None:
    check_parameters({name: value})
