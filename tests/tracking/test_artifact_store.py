"""The check at the start of every step, against folders and buckets for artifacts that can't be used."""

import time
from pathlib import Path

import mlflow
import pytest
from fault_proxy import FaultProxy
from servers import S3Server, mlflow_server
from twinner.errors import BadInput
from twinner.tracking.store import check_artifacts
from users import free_port

from .conftest import refused


def test_a_folder_for_artifacts_that_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    mlflow.MlflowClient().create_experiment("e", artifact_location=f"{tmp_path.as_uri()}/file/artifacts")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "e")
    told = refused(f"sqlite:///{tmp_path}/mlflow.db", monkeypatch, BadInput)
    assert told.startswith(f"the artifact store {tmp_path.as_uri()}/file/artifacts can't be used (")


def s3_refused(uri: str) -> str:
    with pytest.raises(BadInput) as caught:
        check_artifacts(uri)
    return str(caught.value)


def test_s3_is_checked_by_writing_and_nothing_is_left_there(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.access.items():
        monkeypatch.setenv(name, value)
    check_artifacts(f"s3://{s3.bucket}/some/experiment")
    assert [path for path in (s3.objects / s3.bucket).rglob("*") if path.is_file()] == []
    told = s3_refused("s3://none/experiment")
    assert told.startswith(f"nothing can be written to s3://none/experiment at {s3.endpoint} (NoSuchBucket: ")
    assert told.endswith("; make the bucket, or correct the artifact location of the experiment")
    with FaultProxy(s3.port) as proxy:
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", proxy.uri)
        proxy.answer(403, "PUT")  # as a bucket does that is read-only
        assert "nothing can be written to s3://twinner/e at " in s3_refused("s3://twinner/e")


def test_s3_credentials_that_are_wrong_or_missing_are_told(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (s3.access | {"AWS_SECRET_ACCESS_KEY": "not-this-one", "HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    told = s3_refused(f"s3://{s3.bucket}/e")
    assert "SignatureDoesNotMatch" in told
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in told
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "there are no S3 credentials for s3://twinner/e at " in s3_refused("s3://twinner/e")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert "there are no S3 credentials for s3://twinner/e at " in s3_refused("s3://twinner/e")


def test_an_s3_endpoint_that_does_not_answer_is_given_up_soon(
    s3: S3Server, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for port in (free_port(), silent_port):
        for name, value in (s3.access | {"MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}"}).items():
            monkeypatch.setenv(name, value)
        began = time.monotonic()
        told = s3_refused("s3://twinner/e")
        assert f"the artifact store s3://twinner/e at http://127.0.0.1:{port} does not answer (" in told
        assert time.monotonic() - began < 30


def test_a_server_whose_own_artifact_store_fails_is_told(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlflow_server(tmp_path / "server", artifacts="s3://none/e", **s3.access) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        told = refused(server.uri, monkeypatch, BadInput)
    assert told.startswith("the artifact store mlflow-artifacts:/0 can't be used (")
