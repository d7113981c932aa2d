import pytest
from mlflow.exceptions import MlflowException
from twinner.errors import BadInput
from twinner.tracking.store import check_store, failure_reason, link_to_run, where_to_look

URI = "http://ann:secret@127.0.0.1:9"


@pytest.fixture(autouse=True)
def server_with_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URI)


def test_failure_reason_masks_the_password_of_the_store() -> None:
    error = MlflowException(f"API request to {URI}/api/2.0/runs failed\nwith details")
    assert failure_reason(error) == "API request to http://ann:***@127.0.0.1:9/api/2.0/runs failed"


def test_a_server_that_does_not_answer_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(
        BadInput, match=r"the tracking store http://ann:\*\*\*@127\.0\.0\.1:9 does not answer"
    ) as caught:
        check_store()
    assert "secret" not in str(caught.value)


def test_addresses_of_a_run_hold_no_password() -> None:
    assert where_to_look("1", "abc") == "http://ann:***@127.0.0.1:9/#/experiments/1/runs/abc"
    assert link_to_run("1", "abc") == "http://127.0.0.1:9/#/experiments/1/runs/abc"
