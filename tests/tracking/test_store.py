"""The check at the start of every step, against real stores that can't be used."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import psycopg
import pymysql
import pytest
from fault_proxy import FaultProxy
from mlflow.exceptions import MlflowException
from servers import PASSWORD, USER, Database, basic_auth, mlflow_server
from sqlalchemy.engine import make_url
from twinner.errors import BadInput
from twinner.tracking.address import failure_reason, link_to_run, where_to_look
from twinner.tracking.store import check_store, current_experiment
from users import PROJECT, free_port, user_environment

from .conftest import refused

URI = "http://ann:secret@127.0.0.1:9"
AT_ONCE = 8


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start an MLflow server with passwords and return its port."""
    folder = tmp_path_factory.mktemp("tracker")
    with mlflow_server(folder, "", "--app-name", "basic-auth", **basic_auth(folder)) as server:
        yield server.port


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "admin-password-1")


def test_failure_reason_masks_the_password_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URI)
    error = MlflowException(f"API request to {URI}/api/2.0/runs failed\nwith details")
    assert failure_reason(error) == "API request to http://ann:***@127.0.0.1:9/api/2.0/runs failed"


def test_addresses_of_a_run_hold_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", URI)
    assert where_to_look("1", "abc") == "http://ann:***@127.0.0.1:9/#/experiments/1/runs/abc"
    assert link_to_run("1", "abc") == "http://127.0.0.1:9/#/experiments/1/runs/abc"


def test_a_usable_store_is_printed_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    check_store()
    check_store()
    assert capsys.readouterr().out == f"tracking   sqlite:///{tmp_path}/mlflow.db\n"


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("foo://host", "the tracking store foo://host can't be used (no such kind of store); write it as http://HOST"),
        ("localhost:5000", "localhost:5000 can't be used (no such kind of store); write it as http://HOST:PORT"),
        ("http:///path", "http:///path can't be used (the address is malformed); write it as http://HOST:PORT"),
        ("http://host:port", "http://host:port can't be used (the address is malformed); write it as"),
        ("sqlite:/file", "MLFLOW_TRACKING_URI is malformed: sqlite:/file; write it as http://HOST:PORT, sqlite:///"),
        ("runs", "runs can't be used (a plain folder is not allowed); use sqlite:///FILE, or set MLFLOW_ALLOW_FILE"),
        (f"mysql://ann:{PASSWORD}@host/db", "'MySQLdb'); pip install pymysql, and name it in the URI"),
        (
            f"mysql+none://ann:{PASSWORD}@host/db",
            "the database driver of mysql+none://ann:***@host/db is not installed",
        ),
    ],
)
def test_a_uri_that_is_none_is_refused(uri: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told in refused(uri, monkeypatch)


@pytest.mark.parametrize(
    ("scheme", "reason"),
    [
        ("http", "connection refused"),
        ("mysql+pymysql", "Connection refused"),
        ("postgresql+psycopg", "Connection refused"),
    ],
)
def test_a_server_that_is_down_is_told_at_once(scheme: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    told = refused(f"{scheme}://ann:{PASSWORD}@127.0.0.1:{port}/db", monkeypatch)
    assert told.startswith(f"the tracking store {scheme}://ann:***@127.0.0.1:{port}/db can't be used (")
    assert reason in told
    assert told.endswith("; check that it is running and that MLFLOW_TRACKING_URI points to it")


@pytest.mark.parametrize("scheme", ["http", "mysql+pymysql", "postgresql+psycopg"])
def test_a_server_that_never_answers_is_given_up_soon(
    scheme: str, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refused(f"{scheme}://ann:{PASSWORD}@127.0.0.1:{silent_port}/db", monkeypatch)
    assert told.endswith("; check that it is running and that MLFLOW_TRACKING_URI points to it")


def test_a_host_that_does_not_exist_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):  # a proxy would resolve the name
        monkeypatch.delenv(name, raising=False)
    assert "(there is no such host)" in refused(f"http://ann:{PASSWORD}@no-such-host.invalid", monkeypatch)


def test_a_missing_and_a_wrong_password_are_told(tracker: int, monkeypatch: pytest.MonkeyPatch) -> None:
    remedy = "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    for user in ("", f"admin:{PASSWORD}@"):
        told = refused(f"http://{user}127.0.0.1:{tracker}", monkeypatch)
        assert told.endswith(f"can't be used (it answered 401, no permission); {remedy}")


def test_a_password_in_the_uri_is_used_and_masked(
    tracker: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://admin:admin-password-1@127.0.0.1:{tracker}")
    check_store()
    assert capsys.readouterr().out == f"tracking   http://admin:***@127.0.0.1:{tracker}\n"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, "(it answered 403, no permission)"),
        (404, "(it answered 404, so it is no MLflow server)"),
        (500, "(it answered 500); look into the server's log, or try again later"),
        (503, "(it answered 503); look into the server's log, or try again later"),
        (200, "(it is no MLflow server)"),
    ],
)
def test_answers_that_mlflow_does_not_give_are_told(
    status: int, told: str, tracker: int, login: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultProxy(tracker) as proxy:
        proxy.answer(status)
        assert told in refused(proxy.uri, monkeypatch)


def test_one_bad_answer_is_forgiven(tracker: int, login: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultProxy(tracker) as proxy:
        fault = proxy.answer(503, times=1)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
        check_store()
        assert fault.hits == 1


def test_a_slow_server_is_no_failure(tracker: int, login: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultProxy(tracker) as proxy:
        proxy.delay(3)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
        check_store()
        assert proxy.requests.total() > 2  # of which each may take its time


def test_databases_are_refused_with_a_remedy(
    maria: Database, postgresql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for database in (maria, postgresql):
        told = refused(database.uri(password="wrong"), monkeypatch)
        assert told.endswith("; check the user and the password in MLFLOW_TRACKING_URI")
        assert "wrong" not in told.partition(" can't be used")[0]
        told = refused(database.uri("none"), monkeypatch)
        # MariaDB does not tell those whether a database exists who may not use it.
        assert told.endswith(
            "; check the user and the password in MLFLOW_TRACKING_URI"
            if database is maria
            else "; create the database, or correct its name in MLFLOW_TRACKING_URI"
        )


def test_a_database_of_another_version_of_mlflow_is_refused_and_left_alone(
    maria: Database, postgresql: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = "UPDATE alembic_version SET version_num = 'abc'"
    stores = [maria.new_database("other"), postgresql.new_database("other"), f"sqlite:///{tmp_path}/other.db"]
    for uri in stores:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setattr("twinner.tracking.store._usable", set())
        check_store()
    access = {"host": "127.0.0.1", "user": USER, "password": PASSWORD}
    with pymysql.connect(**access, port=maria.port, database="other") as connection:  # type: ignore[arg-type]
        connection.cursor().execute(change)
        connection.commit()
    with psycopg.connect(**access, port=postgresql.port, dbname="other") as connection:  # type: ignore[arg-type]
        connection.execute(change)
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute(change)
    monkeypatch.setattr("twinner.tracking.store._usable", set())
    for uri in stores:
        told = refused(uri, monkeypatch)
        assert "is of another version of MLflow (its schema is abc, not " in told
        shown = make_url(uri).render_as_string(hide_password=True)
        assert f"back it up and run: mlflow db upgrade {shown}" in told.replace("'", "")


def test_sqlite_files_that_cannot_be_used_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text").write_text("no database " * 100)
    told = refused(f"sqlite:///{tmp_path}/text", monkeypatch)
    assert "(file is not a database); give the file of an MLflow database, or one that does not exist yet" in told
    told = refused(f"sqlite:///{tmp_path}/text/folder/mlflow.db", monkeypatch)
    assert "(unable to open database file); make its folder, and the file itself, writable for you" in told


def test_an_sqlite_file_that_is_locked_is_given_up_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path}/locked.db"
    mlflow.MlflowClient(uri).search_experiments()
    with sqlite3.connect(tmp_path / "locked.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        told = refused(uri, monkeypatch)
    assert told.endswith("(database is locked); another program keeps it locked: end that, or wait for it")


def test_an_sqlite_file_that_is_read_only_is_refused(tmp_path: Path) -> None:
    mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_experiments()
    (tmp_path / "mlflow.db").chmod(0o444)
    tmp_path.chmod(0o555)
    # Root may write everywhere, unless it gives that up.
    command = [shutil.which("setpriv") or "setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    code = "from twinner.tracking.store import check_store; check_store()"
    done = subprocess.run(
        [*command, sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(PROJECT / "steps")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    tmp_path.chmod(0o755)
    assert "(attempt to write a readonly database); make its folder, and the file itself, writable" in done.stderr


def test_processes_that_meet_an_empty_folder_all_get_the_store_and_the_experiment(tmp_path: Path) -> None:
    code = (
        "from twinner.tracking.store import check_store, current_experiment; import mlflow, sys; check_store();"
        "print(mlflow.MlflowClient().create_run(current_experiment().experiment_id).info.experiment_id)"
    )
    store = f"sqlite:///{tmp_path}/new/mlflow.db"
    names = {"MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "new", "PYTHONPATH": str(PROJECT / "steps")}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=user_environment(tmp_path / "cache", **names),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(AT_ONCE)
    ]
    outputs = [process.communicate(timeout=600) for process in started]
    assert [process.returncode for process in started] == [0] * AT_ONCE, outputs
    client = mlflow.MlflowClient(store)
    [experiment] = client.search_experiments(filter_string="name = 'new'")
    assert {out.splitlines()[-1] for out, _ in outputs} == {experiment.experiment_id}
    assert len(client.search_runs([experiment.experiment_id])) == AT_ONCE


def test_an_experiment_that_is_deleted_or_missing_or_malformed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient()
    gone = client.create_experiment("gone")
    client.delete_experiment(gone)
    restore = f"restore it with `mlflow experiments restore --experiment-id {gone}`, or set MLFLOW_EXPERIMENT_NAME"
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "gone")
        assert f"the experiment 'gone' is deleted; {restore}" in refused(uri, patch, BadInput)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "x" * 1000)
        assert "can't be made" in refused(uri, patch, BadInput)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "Default")
        patch.setenv("MLFLOW_EXPERIMENT_ID", gone)
        assert refused(uri, patch, BadInput).endswith("are two experiments; unset one of them")
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_EXPERIMENT_ID", gone)
        assert restore in refused(uri, patch, BadInput)
        patch.setenv("MLFLOW_EXPERIMENT_ID", "4711")
        assert "there is no experiment with the id 4711 in sqlite:///" in refused(uri, patch, BadInput)


def test_an_experiment_of_a_new_name_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "new")
    check_store()
    assert current_experiment().name == "new"


def test_a_run_to_join_that_is_deleted_or_missing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient()
    run_id = client.create_run("0").info.run_id
    client.delete_run(run_id)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    told = f"MLFLOW_RUN_ID={run_id}: that run is deleted; restore it with `mlflow runs restore --run-id {run_id}`"
    assert told in refused(uri, monkeypatch, BadInput)
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    assert f"MLFLOW_RUN_ID={'0' * 32}: there is no such run in sqlite:///" in refused(uri, monkeypatch, BadInput)


@pytest.mark.parametrize(
    ("step", "scheme"),
    [
        ("spacy_train", "http"),
        ("spacy_train", "mysql+pymysql"),
        ("spacy_train", "postgresql+psycopg"),
        ("sparknlp_train", "http"),
        ("report", "http"),
        ("main", "http"),
    ],
)
def test_each_step_ends_in_one_line_before_it_does_anything(step: str, scheme: str, tmp_path: Path) -> None:
    uri = f"{scheme}://ann:{PASSWORD}@127.0.0.1:{free_port()}"
    joined = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_RUN_ID": "0" * 32}  # as under `mlflow run`
    done = subprocess.run(
        [sys.executable, str(PROJECT / "steps" / f"{step}.py")],
        cwd=tmp_path,
        env=user_environment(tmp_path / "cache", **joined),
        capture_output=True,
        text=True,
        timeout=60,  # MLflow's own wait is longer
    )
    masked = uri.replace(PASSWORD, "***")
    assert (done.returncode, done.stdout) == (2, f"tracking   {masked}\n"), done.stderr
    assert done.stderr.startswith(f"error: the tracking store {masked} can't be used (")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
