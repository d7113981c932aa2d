import json
import math
import threading
from collections.abc import Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import mlflow
import pytest
from training_runs import log_training  # type: ignore[import-not-found]
from twinner.errors import BadInput
from twinner.tracking.ranking import check_metric, kept_epoch_metric
from twinner.tracking.read import environment_manager, find_training_runs, read_histories, score_kept_epochs


def test_finds_training_runs_newest_first(experiment: str) -> None:
    first, second = log_training(name="first"), log_training("sparknlp", name="second")
    log_training(name="stand-in for a resumed run", tags={"twinner.resumed": "yes"})
    with mlflow.start_run():
        mlflow.set_tag("twinner.step", "report")
    with mlflow.start_run():
        mlflow.log_metric("test_f1", 1)
    runs = find_training_runs()
    assert [run.id for run in runs] == [second, first]
    assert [run.framework for run in runs] == ["Spark NLP", "spaCy"]


def test_trainings_named_alike_after_equal_scores_are_told_apart(experiment: str) -> None:
    names = ["spacy_train 0.900", "spacy_train 0.900", "spacy_train 0.800", "mine", "mine"]
    ids = [log_training(name=name) for name in names]
    found = {run.id: run.name for run in find_training_runs()}
    assert [found[run_id] for run_id in ids] == [
        f"spacy_train 0.900 ({ids[0][:6]})",
        f"spacy_train 0.900 ({ids[1][:6]})",
        *names[2:],
    ]


def test_finds_runs_with_usage_errors(experiment: str) -> None:
    with mlflow.start_run() as run:
        mlflow.set_tags({"mlflow.project.entryPoint": "spacy_train", "twinner.error": "epochs is 0; make it 1"})
    mlflow.MlflowClient().set_terminated(run.info.run_id, "FAILED")
    (found,) = find_training_runs()
    assert (found.status, found.framework, found.error) == ("FAILED", "spaCy", "epochs is 0; make it 1")


def test_selects_experiments_and_filters(experiment: str) -> None:
    log_training(test_f1=0.5)
    better = log_training(test_f1=0.9)
    other = mlflow.create_experiment("another, with a comma")
    mlflow.set_experiment(experiment_id=other)
    third = log_training(test_f1=0.95)
    assert [run.id for run in find_training_runs(experiment, "metrics.test_f1 > 0.8")] == [better]
    assert [run.id for run in find_training_runs(f"{experiment},{other}", "metrics.test_f1 > 0.8")] == [third, better]


def test_unknown_experiment_suggests_similar_names(experiment: str) -> None:
    with pytest.raises(BadInput, match=f"there is no experiment '{experiment[:-2]}'; use one of these: .*{experiment}"):
        find_training_runs(experiment[:-2])


@pytest.mark.parametrize(
    "bad", ["nonsense", "metrics.test_f1 > 'a'", "params.lr = 3", "metrics.a = 1 or metrics.b = 1"]
)
def test_rejects_invalid_filter_in_one_line(experiment: str, bad: str) -> None:
    with pytest.raises(BadInput) as caught:
        find_training_runs(filter=bad)
    assert f"cannot parse the filter {bad!r}: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_runs_says_how_to_make_one(experiment: str) -> None:
    with pytest.raises(BadInput, match=r"experiment 'test_no_runs.*'; make one with `mlflow run \. -e spacy"):
        find_training_runs()


def test_unknown_metric_suggests_existing_ones(experiment: str) -> None:
    log_training()
    with pytest.raises(BadInput, match=r"no finished run has the metric 'f1'; use one of these: .*test_f1"):
        check_metric(find_training_runs(), "f1")


def test_reports_newest_failure_if_none_finished(experiment: str) -> None:
    log_training(test_f1=None, status="FAILED", tags={"twinner.error": "no entity at all; annotate some"})
    log_training(test_f1=None, status="RUNNING")
    with pytest.raises(BadInput, match=r"no finished training run \(1 RUNNING, 1 FAILED; the newest failure: no ent"):
        check_metric(find_training_runs(), "test_f1")


def test_nan_cannot_win(experiment: str) -> None:
    log_training(test_f1=float("nan"))
    with pytest.raises(BadInput, match="no finished run has both a finite 'test_f1' and the tag"):
        check_metric(find_training_runs(), "test_f1")


def test_later_value_of_an_epoch_counts(experiment: str) -> None:
    run = log_training(token_f1=(0.5, 0.6))
    client = mlflow.MlflowClient()
    client.log_metric(run, "dev_token_f1", 0.7, step=2, timestamp=2**42)
    histories = read_histories(find_training_runs(), ["dev_token_f1", "ner.losses", "unheard_of"])
    assert histories == {
        (run, "dev_token_f1"): [(1, 0.5), (2, 0.7)],
        (run, "ner.losses"): [(1, 900), (2, 400)],
    }


def log_foreign(
    name: str = "foreign",
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> str:
    with mlflow.start_run(run_name=name) as run:
        mlflow.log_params({**(params or {})})
        mlflow.log_metrics({**(metrics or {})})
        mlflow.set_tags({**(tags or {})})
    return str(run.info.run_id)


def test_finds_runs_of_other_tools_by_metric_or_framework(experiment: str) -> None:
    scored = log_foreign(metrics={"ner.losses": 12.5})
    tagged = log_foreign(tags={"twinner.framework": "spacy"})
    log_foreign(metrics={"accuracy": 1.0})
    for step in ("main", "report", "promote"):
        log_foreign(metrics={"ner.losses": 1.0}, tags={"twinner.step": step})
    log_foreign(metrics={"ner.losses": 1.0}, tags={"twinner.step": "spacy_train", "twinner.resumed": "x"})
    runs = find_training_runs(metric="ner.losses")
    assert [run.id for run in runs] == [tagged, scored]
    assert [(run.framework, run.is_foreign, run.experiment) for run in runs] == [
        ("spaCy", True, experiment),
        ("", True, experiment),
    ]


def test_unknown_metric_of_other_tools_suggests_existing_ones(experiment: str) -> None:
    log_foreign(metrics={"ner.losses": 1.0})
    with pytest.raises(BadInput, match=r"none has the metric 'ner\.loss'; use one of these: ner\.losses"):
        find_training_runs(metric="ner.loss")


@pytest.mark.parametrize(("flavor", "framework"), [("spacy", "spaCy"), ("spark", "Spark NLP"), ("sklearn", "")])
def test_framework_of_other_tools_is_the_logged_flavor(experiment: str, flavor: str, framework: str) -> None:
    history = json.dumps([{"run_id": "x", "flavors": {"python_function": {}, flavor: {}}}])
    log_foreign(metrics={"test_f1": 0.5}, tags={"mlflow.log-model.history": history})
    (run,) = find_training_runs(metric="test_f1")
    assert run.framework == framework


def test_malformed_model_history_is_ignored(experiment: str) -> None:
    for history in ("{", "[1]", '{"flavors": 1}', "[" * 5000):
        log_foreign(metrics={"test_f1": 0.5}, tags={"mlflow.log-model.history": history[:5000]})
    assert [run.framework for run in find_training_runs(metric="test_f1")] == [""] * 4


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_cannot_win(experiment: str, value: float) -> None:
    """SQL stores write infinity as the largest float."""
    log_training(name="infinite", test_f1=value)
    log_training(name="finite", test_f1=0.5)
    runs = find_training_runs()
    assert {run.name: run.ranks("test_f1") for run in runs} == {"infinite": False, "finite": True}
    assert next(run for run in runs if run.name == "infinite").metrics["test_f1"] == value


def test_histories_omit_infinity(experiment: str) -> None:
    run = log_training(token_f1=(0.5, math.inf, 0.6))
    assert read_histories(find_training_runs(), ["dev_token_f1"]) == {(run, "dev_token_f1"): [(1, 0.5), (3, 0.6)]}


def test_dev_scores_are_those_of_the_kept_epoch(experiment: str) -> None:
    log_training(name="logged", token_f1=(0.9, 0.4), dev_f1=0.85, metrics={"best_epoch": 1})
    log_training(name="from history", token_f1=(0.8, 0.3), dev_f1=None, metrics={"best_epoch": 1})
    log_training(name="no best epoch", token_f1=(0.7, 0.99), dev_f1=None)
    log_training(name="not at best epoch", token_f1=(0.7, 0.99), dev_f1=None, metrics={"best_epoch": 3})
    runs = score_kept_epochs(find_training_runs(), kept_epoch_metric("dev_f1"))
    # log_training's dev_f1 is 0.05 below the token F1.
    assert {run.name: run.score("best_dev_f1") for run in runs} == {
        "logged": 0.85,
        "from history": pytest.approx(0.75),
        "no best epoch": None,
        "not at best epoch": None,
    }


def test_other_metrics_are_not_those_of_the_kept_epoch(experiment: str) -> None:
    log_training(metrics={"best_epoch": 1})
    runs = find_training_runs()
    assert kept_epoch_metric("ner.losses") == "ner.losses"
    assert score_kept_epochs(runs, "ner.losses") == runs
    assert runs[0].metrics["ner.losses"] == 250


@pytest.mark.parametrize(
    ("own", "parent", "expected"),
    [
        ("local", "uv", "uv"),
        ("local", "conda", "conda"),
        ("local", "", "local"),  # started by hand in an activated environment
        ("", "", ""),
        ("uv", "conda", "uv"),
        ("rm -rf", "", ""),
    ],
)
def test_environment_manager_is_the_parents_for_children(experiment: str, own: str, parent: str, expected: str) -> None:
    tags = {"twinner.step": "main"} | ({"mlflow.project.env": parent} if parent else {})
    above = log_foreign(tags=tags)
    between = log_foreign(tags={"twinner.step": "sweep", "mlflow.project.env": "local", "mlflow.parentRunId": above})
    log_training(tags={"mlflow.parentRunId": between} | ({"mlflow.project.env": own} if own else {}))
    (run,) = find_training_runs()
    if not own:
        run = replace(run, tags={key: value for key, value in run.tags.items() if key != "mlflow.parentRunId"})
    assert environment_manager(run) == expected


def test_environment_manager_is_local_where_mlflow_names_none(experiment: str) -> None:
    log_training(tags={"mlflow.project.backend": "local"})
    log_training(tags={"mlflow.project.backend": "local", "mlflow.project.env": "uv"})
    assert [environment_manager(run) for run in find_training_runs()] == ["uv", "local"]


def test_environment_manager_survives_a_deleted_or_circular_parent(experiment: str) -> None:
    log_training(tags={"mlflow.project.env": "local", "mlflow.parentRunId": "0" * 32})
    own = log_training(tags={"mlflow.project.env": "local"})
    mlflow.MlflowClient().set_tag(own, "mlflow.parentRunId", own)
    assert [environment_manager(run) for run in find_training_runs()] == ["local", "local"]


class MaliciousServer(BaseHTTPRequestHandler):
    """A tracking server whose only run and experiment have given ids."""

    run_id, experiment_id = "", "0"

    def do_GET(self) -> None:
        self._answer({"experiments": [{"experiment_id": self.experiment_id, "name": "Default"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        info = {"run_id": self.run_id, "experiment_id": self.experiment_id, "status": "FINISHED", "start_time": 1}
        tags = [{"key": "twinner.step", "value": "spacy_train"}]
        runs = {"runs": [{"info": info, "data": {"tags": tags}}]}
        experiments = {"experiments": [{"experiment_id": self.experiment_id, "name": "Default"}]}
        self._answer(runs if self.path.endswith("runs/search") else experiments)

    def _answer(self, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("ids", [("../../x", "0"), ("a/b", "0"), ("", "0"), ("a\nb", "0"), ("fine", "../0")])
def test_rejects_malformed_ids_of_a_server(ids: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    handler = type("Handler", (MaliciousServer,), {"run_id": ids[0], "experiment_id": ids[1]})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        mlflow.set_tracking_uri(f"http://127.0.0.1:{server.server_port}")
        try:
            with pytest.raises(BadInput, match="the tracking store returned the malformed id"):
                find_training_runs(experiments="Default")
        finally:
            server.shutdown()
