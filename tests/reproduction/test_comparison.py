import csv
import json
from collections.abc import Mapping
from typing import Any

import mlflow
import pytest
from training_runs import log_training
from twinner.machine import ENVIRONMENT, PROCESSOR
from twinner.reproduction.comparison import Comparison, Value, compare_runs
from twinner.tracking.read import read_runs

pytestmark = pytest.mark.usefixtures("experiment")
MACHINE = {PROCESSOR: {"microarchitecture": "haswell", "BLAS": "Haswell, 1 threads"}, ENVIRONMENT: {"numpy": "2.4.6"}}


def logged(machine: Mapping[str, Mapping[str, str]] = MACHINE, **training: Any) -> str:
    run_id = log_training(**training)
    with mlflow.start_run(run_id):
        mlflow.log_dict(dict(machine), "machine.json")
    return run_id


def compared(then: str, now: str, tolerance: float = 0.001) -> Comparison:
    runs = read_runs([then, now])
    return compare_runs(runs[then], runs[now], tolerance, [])


def test_equal_values_are_identical_whatever_they_cost() -> None:
    then, now = logged(metrics={"training_time": 8.0}), logged(metrics={"training_time": 9.0})
    found = compared(then, now)
    assert found.verdict == "identical"
    assert found.causes == {}
    assert {(value.metric, value.epoch) for value in found.values} >= {("test_f1", 0), ("ner.losses", 3)}
    assert "training_time" not in found.csv


@pytest.mark.parametrize(
    ("then", "now", "verdict"),
    [
        (0.8, 0.8, "identical"),
        (0.8, 0.8009, "within tolerance"),
        (0.8, 0.8011, "different"),
        (2000.0, 2001.9, "within tolerance"),
        (2000.0, 2002.1, "different"),
        (0.8, None, "different"),
        (None, 0.8, "different"),
    ],
)
def test_tolerance_is_absolute_up_to_1_and_a_share_above(then: float | None, now: float | None, verdict: str) -> None:
    assert Comparison([Value("m", 1, then, now)], 0.001).verdict == verdict


def test_worst_value_decides() -> None:
    values = [Value("a", 0, 1.0, 1.0), Value("b", 0, 0.5, 0.5005)]
    assert Comparison(values, 0.001).verdict == "within tolerance"
    assert Comparison([*values, Value("b", 2, 0.5, 0.6)], 0.001).verdict == "different"
    assert Comparison([], 0.001).verdict == "different"


def test_nothing_else_differs_so_the_seed_is_the_cause() -> None:
    found = compared(logged(), logged(token_f1=(0.5, 0.7, 0.76)))
    assert found.verdict == "different"
    assert list(found.causes) == ["seed"]


def test_causes_are_named_with_what_differs() -> None:
    other = {PROCESSOR: MACHINE[PROCESSOR] | {"BLAS": "SkylakeX, 1 threads"}, ENVIRONMENT: {"numpy": "2.5.0"}}
    found = compared(
        logged(params={"spacy_version": "3.8.18"}, tags={"twinner.code": "a" * 16}),
        logged(other, test_f1=0.7, params={"spacy_version": "3.9.0"}, tags={"twinner.code": "b" * 16}),
    )
    assert found.causes == {
        "code": [f"twinner.code: {'a' * 16} → {'b' * 16}"],
        "environment": ["spacy_version: 3.8.18 → 3.9.0", "numpy: 2.4.6 → 2.5.0"],
        "processor": ["BLAS: Haswell, 1 threads → SkylakeX, 1 threads"],
    }
    assert found.sentence.startswith("different: code (twinner.code: aaaa")


def test_processor_is_suspected_if_the_first_run_did_not_record_it() -> None:
    assert compared(log_training(), logged(test_f1=0.7)).causes == {"processor": ["it was not recorded"]}


def test_table_shows_what_differs_first_and_csv_has_every_value() -> None:
    found = compared(logged(token_f1=(0.5, 0.7, 0.75)), logged(token_f1=(0.5, 0.7001, 0.75)))
    lines = found.markdown.splitlines()
    moved = next(line for line in lines if line.startswith("| dev_token_f1"))
    assert [cell.strip() for cell in moved.strip("|").split("|")] == [
        "dev_token_f1",
        "2",
        "0.7",
        "0.7001",
        "+0.0001",
        "within tolerance",
    ]
    assert "- dev_token_f1 (1: 0.5, 3: 0.75)" in lines
    rows = list(csv.DictReader(found.csv.splitlines()))
    assert len(rows) == len(found.values)
    assert {"metric": "dev_token_f1", "epoch": "2", "then": "0.7", "now": "0.7001"}.items() <= rows[
        [(row["metric"], row["epoch"]) for row in rows].index(("dev_token_f1", "2"))
    ].items()
    assert json.loads(json.dumps(found.causes))
