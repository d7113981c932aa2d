"""What runs are ranked by, and which ones can be ranked."""

import json
import math
import os
import re

import mlflow
import pytest
from mlflow.entities import Metric, Param
from page_parser import Page  # type: ignore[import-not-found]
from plotly.offline import get_plotlyjs
from training_runs import BEST, EVIL, GOLD, TOKENS, log_training, log_two_with_predictions  # type: ignore[import-not-found]
from twinner.errors import BadInput
from twinner.report import Selection, build_report


def test_ranks_by_other_metric(experiment: str) -> None:
    log_training(name="slow", test_f1=0.9, metrics={"test_time": 9})
    log_training(name="fast", test_f1=0.8, metrics={"test_time": 3}, params={"lr": "1"})
    built = build_report(metric="test_time")
    page = Page(built.html)
    assert built.winner.name == "fast"
    assert page.headings[0] == "spaCy leads on demo with test_time 3.000"
    assert page.column("test_time") == ["3.000", "9.000"]
    assert "chosen on" not in page.text


def test_rejects_unusable_requests(experiment: str) -> None:
    with pytest.raises(BadInput, match="no training runs"):
        build_report()
    log_training()
    with pytest.raises(BadInput, match="'much' is neither a number nor a range"):
        build_report(Selection(lr="much"))
    with pytest.raises(BadInput, match="no finished run has the metric 'test_f2'"):
        build_report(metric="test_f2")


@pytest.mark.parametrize("metric", ["dev_f1", "best_dev_f1"])
def test_dev_f1_ranks_by_the_epoch_that_was_kept(experiment: str, metric: str) -> None:
    # Last dev F1: 0.25 and 0.85. At the best epoch: 0.75 and 0.65. log_training's dev_f1 is 0.05 below the token F1.
    kept = {"best_epoch": 1.0}
    log_training(name="kept the best", token_f1=(0.8, 0.3), metrics=kept, dev_f1=None, params={"lr": "1"})
    log_training(name="kept the first", token_f1=(0.7, 0.9), metrics=kept, dev_f1=0.65)
    log_training(name="unknown epoch", token_f1=(0.99, 0.99), dev_f1=None)
    built = build_report(metric=metric)
    page = Page(built.html)
    assert page.headings[0] == "spaCy leads on demo, chosen on dev: test_f1 0.800"
    assert "ranked by the mean of best_dev_f1 over their seeds (dev_f1 of the epoch whose model was kept)" in page.text
    assert page.column("Rank") == ["1", "2", "–"]
    assert page.column("best_dev_f1") == ["0.750", "0.650", "–"]
    assert "Not ranked, as best_dev_f1 is missing or not finite: unknown epoch." in page.text


def test_without_any_dev_score_test_ranks_with_a_warning(experiment: str) -> None:
    log_training(name="low", test_f1=0.7, dev_f1=None)
    log_training(name="high", test_f1=0.9, dev_f1=None, params={"lr": "1"})
    log_training(name="elsewhere", tags={"twinner.test_digest": "other"})
    built = build_report()
    page = Page(built.html)
    assert page.headings[0] == "spaCy leads on demo with test_f1 0.900"
    assert "No run here has best_dev_f1, so they are ranked by test_f1: the score rests on the sentences" in page.text
    assert "Winner, chosen on test" in page.text
    first, second = json.loads(built.summary)["test_sets"]
    assert (first["metric"], second["metric"]) == ("test_f1", "best_dev_f1")
    assert [len(found["warnings"]) for found in (first, second)] == [1, 0]
    assert first["advice"] == []  # nothing is tuned on test


def test_dev_score_without_a_known_epoch_is_bad_input(experiment: str) -> None:
    log_training()
    problem = "no finished run has 'best_dev_token_f1', nor a value of 'dev_token_f1' at its best_epoch"
    with pytest.raises(BadInput, match=problem):
        build_report(metric="dev_token_f1")


def test_one_odd_run_does_not_stop_the_report(experiment: str) -> None:
    log_two_with_predictions()
    sentences = list(zip(TOKENS, GOLD, BEST, strict=True))
    odd = log_training(name="odd", test_f1=0.99, params={"lr": "1"}, sentences=sentences)
    mlflow.MlflowClient().log_text(odd, "[" * 100_000, "entity_report.json")
    built = build_report()
    page = Page(built.html)
    assert built.winner.name == "odd"
    note = "No interval, comparison or errors for odd: it has artifacts that cannot be read (RecursionError)."
    assert note in page.text
    assert "Errors" in page.headings  # of the two others


def test_reports_on_runs_of_other_tools(experiment: str) -> None:
    """As of the blog's script, spaCy's logger or a notebook: no tags, or only the framework's."""
    names = [EVIL, "\x1b[31mred\x07", "w" * 4000, "\u202etxt", "{{ 7*7 }}{% raw %}", "plain"]
    client = mlflow.MlflowClient()
    for number in range(60):
        tags = {"twinner.framework": ("spacy", "sparknlp", EVIL)[number % 4 - 1]} if number % 3 else {}
        name = f"{names[number % 6]} {number}"
        run = client.create_run(os.environ["MLFLOW_EXPERIMENT_ID"], run_name=name, tags=tags)
        stamp = 1_700_000_000_000
        params = {"drop_rate": f"0.{1 + number % 5}", "iterations": "3", "lr": f"{0.001 * (number + 1)}"}
        f1 = math.nan if number % 10 == 0 else number / 100
        scores = [Metric("ner.losses", 100 / step + number, stamp + step, step) for step in (1, 2, 3)]
        scores.append(Metric("test_f1", f1, stamp, 0))
        client.log_batch(run.info.run_id, scores, [Param(*pair) for pair in params.items()])
        client.set_terminated(run.info.run_id)
    built = build_report(metric="test_f1")
    page = Page(built.html)
    assert (built.runs_count, built.winner.name) == (60, f"{names[59 % 6]} 59")
    assert page.headings[1].startswith(f"{experiment} runs of other tools, whose test sets are unknown")
    assert len(page.tables[0]) == 2 + 60
    assert page.column("Rank").count("–") == 6  # nan
    assert "Run it again" not in page.text
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", built.html.replace(get_plotlyjs(), ""))
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]
    assert build_report(metric="ner.losses").winner.metrics["ner.losses"] == pytest.approx(100 / 3)
