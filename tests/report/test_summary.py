"""The JSON, CSV and terminal output, compared with what was logged."""

import csv
import io
import json
from typing import Any

import mlflow
import pytest
from training_runs import log_training, log_two_with_predictions  # type: ignore[import-not-found]
from twinner.report import build_report


def only_test_set(text: str) -> dict[str, Any]:
    """Return the only test set of a summary, which must be strict JSON: no NaN, no Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    (found,) = json.loads(text, parse_constant=refuse)["test_sets"]
    assert isinstance(found, dict)
    return found


def test_summary_holds_the_result(experiment: str) -> None:
    best, second = log_two_with_predictions()
    found = only_test_set(build_report().summary)
    assert found["winner"]["run_id"] == best
    assert (found["winner"]["value"], found["winner"]["test_f1"]) == (0.4, 0.8)
    assert found["winner"]["model_uri"] == f"runs:/{best}/model"
    assert found["winner"]["command"].startswith("mlflow run . -e spacy_train -P corpus=demo")
    assert found["winner"]["params"]["drop_rate"] == "0.2"
    low, high = found["winner"]["test_f1_interval"]
    assert low < 0.8 < high
    assert found["runner_up"]["run_id"] == second
    assert found["comparison"]["significant"]
    assert found["comparison"]["difference"] == pytest.approx(0.8 - 6 / 11)
    assert found["comparison"]["comparisons"] == 1
    assert [setting["runs"] for setting in found["ranking"]] == [[best], [second]]
    assert (found["warnings"], found["other_choice"]) == ([], None)
    longer = "mlflow run . -e spacy_train -P corpus=demo -P drop_rate=0.2 -P epochs=6 -P lr=0.001 -P seed=0"
    assert {advice["what"]: advice["command"] for advice in found["advice"]}[
        "spaCy: train for more than 3 epochs"
    ] == longer


def test_summary_is_valid_json_with_nan_metrics(experiment: str) -> None:
    log_training(name="odd", metrics={"training_time": float("nan"), "test_time": float("inf")})
    failed = log_training(
        name="failed", test_f1=None, status="FAILED", tags={"twinner.test_digest": "aaaa000011112222"}
    )
    found = only_test_set(build_report().summary)
    assert "training_time" not in found["winner"]["metrics"]
    assert found["comparison"] is None
    assert found["unranked"] == {failed: "FAILED"}


def test_csv_has_a_row_per_run(experiment: str) -> None:
    text = 'comma, "quote"\nline |'
    log_training(name="low", test_f1=0.7, params={"vectors": text})
    high = log_training("sparknlp", name="high", test_f1=0.9)
    log_training(name="failed", test_f1=None, status="FAILED", tags={"twinner.error": text})
    rows = list(csv.DictReader(io.StringIO(build_report().runs)))
    assert [(row["name"], row["rank"], row["status"]) for row in rows] == [
        ("high", "1", "FINISHED"),
        ("low", "2", "FINISHED"),
        ("failed", "", "FAILED"),
    ]
    assert (rows[0]["run_id"], rows[0]["framework"], rows[0]["params.drop_rate"]) == (high, "Spark NLP", "0.2")
    assert [row["metrics.test_f1"] for row in rows] == ["0.9", "0.7", ""]
    assert rows[1]["params.vectors"] == rows[2]["error"] == text


def test_markdown_shows_result_and_table(experiment: str) -> None:
    best, _ = log_two_with_predictions()
    log_training(name="third", test_f1=0.5, params={"drop_rate": "0.1"})
    for number in range(20):
        log_training(name=f"more {number}", test_f1=0.1, status="FAILED")
    lines = build_report().markdown.splitlines()
    assert lines[0] == "# spaCy leads on demo, chosen on dev: test_f1 0.800"
    assert f"- model: `runs:/{best}/model`" in lines
    (runner_up,) = [
        line for line in lines if line.startswith("- runner-up: second (Spark NLP): best_dev_f1 0.2727, test_f1")
    ]
    assert "test_f1 0.5455 (95 % interval of test F1: " in runner_up
    assert "12.7 points behind in best_dev_f1; 25.5 points behind on test F1, significant (p = 0.0001 corr" in runner_up
    assert runner_up.endswith("corrected for 1 comparison, 0.0001 uncorrected)")
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert table[0] == ["Rank", "Run", "Framework", "drop_rate", "best_dev_f1", "F1", "Precision", "Recall"]
    assert [row[:6] for row in table[2:6]] == [
        ["1", "best", "spaCy", "0.2", "0.4", "0.8"],
        ["2", "second", "Spark NLP", "0.2", "0.2727", "0.5455"],
        ["3", "third", "spaCy", "0.1", "0.25", "0.5"],
        ["–", "more 19 (failed)", "spaCy", "0.2", "0.05", "0.1"],
    ]
    assert len(table) == 2 + 20
    assert "3 more runs are on the page." in lines


def test_terminal_output_has_no_control_characters(experiment: str) -> None:
    log_training(name="\x1b[31mred|\u202etxt\nline", test_f1=0.9)
    shown = build_report().markdown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert r"\x1b[31mred\|\u202etxt line" in shown


@pytest.mark.parametrize("metric", ["Run", "Rank", "F1", "drop_rate"])
def test_table_tells_metrics_from_its_own_columns(experiment: str, metric: str) -> None:
    log_training(name="low", metrics={metric: 0.25}, test_f1=0.9, params={"drop_rate": "0.1"})
    log_training(name="high", metrics={metric: 0.75}, test_f1=0.1)
    header, _, first, _ = [line for line in build_report(metric=metric).markdown.splitlines() if line.startswith("|")]
    cells = dict(zip(split_row(header), split_row(first), strict=True))
    assert (cells["Run"], cells[f"metric {metric}"], cells["F1"]) == ("high", "0.75", "0.1")


def split_row(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_terminal_output_shortens_long_names(experiment: str) -> None:
    log_training(name="w" * 500)
    assert max(map(len, build_report().markdown.splitlines())) < 250


def test_child_run_is_repeated_with_the_environment_of_its_parent(experiment: str) -> None:
    with mlflow.start_run() as parent:
        mlflow.set_tags({"twinner.step": "main", "mlflow.project.env": "uv"})
    log_training(tags={"mlflow.project.env": "local", "mlflow.parentRunId": parent.info.run_id})
    built = build_report()
    command = "mlflow run . -e spacy_train --env-manager uv -P corpus=demo"
    assert only_test_set(built.summary)["winner"]["command"].startswith(command)
    assert command in built.markdown
    assert command in built.html
    assert "env-manager local" not in built.html + built.markdown + built.summary


def test_runs_of_other_tools_are_summarised(experiment: str) -> None:
    for number in range(3):
        with mlflow.start_run(run_name=f"theirs {number}") as run:
            mlflow.log_metrics({"ner.losses": 10.0 - number})
    built = build_report(metric="ner.losses")
    found = only_test_set(built.summary)
    assert (found["experiment"], found["test_digest"], found["metric"]) == (experiment, "", "ner.losses")
    assert (found["winner"]["run_id"], found["winner"]["value"]) == (run.info.run_id, 8.0)
    assert (found["winner"]["command"], found["winner"]["model_uri"]) == ("", None)
    assert f"## Runs of other tools in {experiment}" in built.markdown
    assert "run it again" not in built.markdown
    assert built.markdown.startswith(f"# theirs 2 leads in {experiment} with ner.losses 8.000")
