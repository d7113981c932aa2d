"""What a run is called."""

import os

import mlflow
import pytest
from twinner.tracking.write import tracked_run


@pytest.mark.parametrize(
    ("given", "name"), [("baseline", "baseline"), ("first try", "first try"), ("stately-smelt-559", "report")]
)
def test_a_name_from_the_user_is_kept(given: str, name: str, experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = mlflow.MlflowClient()
    run = client.create_run(os.environ["MLFLOW_EXPERIMENT_ID"], run_name=given)
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    with tracked_run("report"):
        pass
    assert client.get_run(run.info.run_id).info.run_name == name
