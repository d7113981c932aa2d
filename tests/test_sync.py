"""The outbox: what waits there is listed, delivered or dropped."""

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from sync import sync
from twinner import cli
from twinner.errors import BadInput, Failure
from twinner.tracking.journal import About, Journal
from users import PROJECT  # type: ignore[import-not-found]


def waiting_run(store: str = "") -> Journal:
    """Leave a run that has ended, with a tag and a metric that MLflow does not have yet."""
    run = mlflow.MlflowClient().create_run("0", tags={"twinner.step": "report"}, run_name="report")
    address = store or mlflow.get_tracking_uri()
    journal = Journal.create(About(run.info.run_id, "0", "report", address, run.info.start_time))
    journal.add("tags", {"twinner.lang": "de"})
    journal.add("metrics", [["loss", 0.5, run.info.start_time + 1, 1]])
    journal.add("end", {"status": "FINISHED", "error": "", "runs": [run.info.run_id]}, at=run.info.start_time + 5)
    journal.release()
    return journal


def test_delivers_what_waits_with_the_times_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    journals = [waiting_run(), waiting_run()]
    assert [outcome.state for outcome in sync()] == ["delivered"] * 2
    printed = capsys.readouterr().out
    for journal in journals:
        run = mlflow.MlflowClient().get_run(journal.folder.name)
        assert (run.info.status, run.data.tags["twinner.lang"]) == ("FINISHED", "de")
        assert run.info.end_time - run.info.start_time == 5
        [metric] = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
        assert (metric.value, metric.step, metric.timestamp) == (0.5, 1, run.info.start_time + 1)
        assert f"delivered  {run.info.run_id}  report" in printed
        assert not journal.folder.exists()
    assert sync() == []
    assert "The outbox is empty." in capsys.readouterr().out


def test_a_sync_leaves_alone_what_another_one_is_at() -> None:
    journal = waiting_run()
    assert journal.claim()
    assert [outcome.state for outcome in sync()] == ["running"]
    with pytest.raises(BadInput, match="its process, or a sync, is at it; wait for its end, or stop it first"):
        sync(discard=journal.folder.name)
    journal.release()
    assert [outcome.state for outcome in sync()] == ["delivered"]


def test_two_syncs_at_once_deliver_everything_once() -> None:
    journals = [waiting_run() for _ in range(4)]
    step = [sys.executable, "-s", str(PROJECT / "steps" / "sync.py")]
    both = [subprocess.Popen(step, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = "".join(process.communicate(timeout=120)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    for journal in journals:
        assert printed.count(f"delivered  {journal.folder.name}") == 1
        assert len(mlflow.MlflowClient().get_metric_history(journal.folder.name, "loss")) == 1


def test_a_run_of_another_store_waits_for_that_store(tmp_path: Path) -> None:
    elsewhere = f"sqlite:///{tmp_path}/other.db"
    journal = waiting_run(store=elsewhere)
    [outcome] = sync()
    assert (outcome.state, outcome.detail) == ("elsewhere", f"belongs to the store {elsewhere}")
    assert journal.folder.exists()


@pytest.mark.parametrize("content", [json.dumps({"format": 99}), "damaged"])
def test_a_run_of_another_version_is_told_and_can_be_dropped(content: str) -> None:
    whole, other = waiting_run(), waiting_run()
    (other.folder / "run.json").write_text(content)
    with pytest.raises(Failure, match="1 of 2 runs could not be delivered"):
        sync()
    assert not whole.folder.exists()
    assert other.folder.exists()
    assert sync(discard=other.folder.name) == []
    assert not other.folder.exists()


def test_a_run_that_was_deleted_in_the_store_waits_with_the_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINNER_TRACKING_WAIT", "1")
    journal = waiting_run()
    mlflow.MlflowClient().delete_run(journal.folder.name)
    with pytest.raises(Failure, match="1 of 1 runs could not be delivered"):
        sync()
    printed = capsys.readouterr().out
    assert "waiting" in printed
    assert "active" in printed  # MLflow's words
    mlflow.MlflowClient().restore_run(journal.folder.name)
    assert [outcome.state for outcome in sync()] == ["delivered"]


def test_dropping_an_unknown_run_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.exit_status(sync, ["--discard", "abc"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == "error: discard=abc: nothing of that run waits; `mlflow run . -e sync` lists what does"


def test_sync_ends_the_run_that_mlflow_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting_run()
    own = mlflow.MlflowClient().create_run("0", run_name="lively-crab-7").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", own)
    assert [outcome.state for outcome in sync()] == ["delivered"]
    run = mlflow.MlflowClient().get_run(own)
    assert (run.info.status, run.info.run_name, run.data.tags["twinner.step"]) == ("FINISHED", "sync", "sync")
