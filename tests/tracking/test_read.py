import mlflow
import pytest
from training_runs import log_training  # type: ignore[import-not-found]
from twinner.errors import BadInput
from twinner.tracking.read import check_metric, find_training_runs, read_histories


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
    with pytest.raises(BadInput, match=r"no training runs in experiment 'test_no_runs.*'; make one with `mlflow run \. -e spacy"):
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
