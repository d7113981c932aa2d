from collections.abc import Callable

import mlflow
import pytest
from twinner.errors import Failure
from twinner.frameworks.contract import Epoch
from twinner.training.result import Result
from twinner.training.trial import Trial, as_trial

Train = Callable[..., Result]


def stop_after_first(epoch: Epoch) -> bool:
    raise KeyboardInterrupt


def test_a_trial_that_was_stopped_and_resumed_can_be_scored_on_test(
    train_small: Train, tracked: mlflow.MlflowClient
) -> None:
    with as_trial(Trial(stop_after_first)), pytest.raises(KeyboardInterrupt):
        train_small(sweep="stopped")
    experiment = tracked.get_experiment_by_name("tests")
    assert experiment is not None
    [stopped] = tracked.search_runs([experiment.experiment_id], "tags.`twinner.sweep` = 'stopped'")
    assert stopped.info.status == "KILLED"
    with as_trial(Trial(lambda epoch: True)):
        trial = train_small(resume=stopped.info.run_id)
    run = tracked.get_run(trial.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["twinner.tested"] == "no"
    assert "test_f1" not in run.data.metrics
    tested = train_small(resume=trial.run_id)
    assert tested.metrics["best_dev_f1"] == trial.metrics["best_dev_f1"]
    run = tracked.get_run(trial.run_id)
    assert run.data.tags["twinner.tested"] == "yes"
    assert run.data.metrics["test_f1"] == tested.metrics["test_f1"]


def test_a_trial_is_not_scored_on_test_with_another_model(train_small: Train, tracked: mlflow.MlflowClient) -> None:
    with as_trial(Trial(lambda epoch: True)):
        trial = train_small(drop_rate=0.35)
    tracked.log_metric(trial.run_id, "best_dev_f1", 0.125)  # what another model would have had
    with pytest.raises(Failure, match=r"^the saved model has a dev_f1 of .*, and the trial had 0\.125"):
        train_small(resume=trial.run_id)
    assert "test_f1" not in tracked.get_run(trial.run_id).data.metrics
