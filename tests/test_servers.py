"""Tests of the servers that other tests start, above all of the proxy that fails on demand."""

import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import psycopg
import pymysql
import pytest
import requests
from fault_proxy import FaultProxy
from servers import Database, basic_auth, mariadb, mlflow_server, postgres, s3_server

RUNS = "/api/2.0/mlflow/experiments/create"


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start an MLflow server and return its port."""
    with mlflow_server(tmp_path_factory.mktemp("tracker")) as server:
        yield server.port


def create(proxy: FaultProxy, name: str) -> requests.Response:
    return requests.post(proxy.uri + RUNS, json={"name": name}, timeout=30)


def exists(proxy: FaultProxy, name: str) -> bool:
    where = f"{proxy.uri}/api/2.0/mlflow/experiments/get-by-name"
    return requests.get(where, params={"experiment_name": name}, timeout=30).ok


def test_the_proxy_passes_requests_on_and_counts_them(tracker: int) -> None:
    with FaultProxy(tracker) as proxy:
        assert create(proxy, "counted").ok
        assert exists(proxy, "counted")
        assert proxy.requests == {f"POST {RUNS}": 1, "GET /api/2.0/mlflow/experiments/get-by-name": 1}


def test_the_proxy_answers_with_an_error_so_many_times_to_what_matches(tracker: int) -> None:
    with FaultProxy(tracker) as proxy:
        fault = proxy.answer(503, "POST .*create", times=2)
        assert [create(proxy, "refused").status_code for _ in range(3)] == [503, 503, 200]
        assert not exists(proxy, "never made")
        assert fault.hits == 2


@pytest.mark.parametrize(("when", "made"), [("before", False), ("after", True)])
def test_the_proxy_resets_connections_before_and_after_the_server_works(tracker: int, when: str, made: bool) -> None:
    with FaultProxy(tracker) as proxy:
        proxy.reset(when, "create")
        with pytest.raises(requests.ConnectionError, match="reset by peer"):
            create(proxy, f"reset {when}")
        assert exists(proxy, f"reset {when}") == made


def test_the_proxy_cuts_answers(tracker: int) -> None:
    with FaultProxy(tracker) as proxy:
        proxy.cut("create")
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
            create(proxy, "cut")
        assert exists(proxy, "cut")


def test_the_proxy_delays_requests(tracker: int) -> None:
    with FaultProxy(tracker) as proxy:
        proxy.delay(0.5)
        start = time.monotonic()
        assert create(proxy, "late").ok
        assert time.monotonic() - start >= 0.5


def test_a_proxy_that_is_down_refuses_connections_until_healed(tracker: int) -> None:
    with FaultProxy(tracker) as proxy, requests.Session() as session:
        assert session.get(f"{proxy.uri}/health", timeout=30).ok  # keeps its connection open
        proxy.down()
        for client in (session, requests):
            with pytest.raises(requests.ConnectionError):
                client.get(f"{proxy.uri}/health", timeout=30)
        proxy.heal()
        assert session.get(f"{proxy.uri}/health", timeout=30).ok


def check_restarts(database: Database) -> None:
    database.stop()
    database.start()
    database.kill()
    database.start()


def test_mariadb_keeps_its_data_and_asks_for_a_password(tmp_path: Path) -> None:
    with mariadb(tmp_path) as database:
        assert database.uri() == f"mysql+pymysql://twinner:secret@127.0.0.1:{database.port}/mlflow?charset=utf8mb4"
        database.new_database("other")
        check_restarts(database)
        access = {"host": "127.0.0.1", "port": database.port, "user": "twinner"}
        with pymysql.connect(**access, password="secret", database="other") as connection:
            assert connection.server_version
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            pymysql.connect(**access, password="wrong", database="other")


def test_postgresql_keeps_its_data_and_asks_for_a_password(tmp_path: Path) -> None:
    with postgres(tmp_path) as database:
        assert database.uri() == f"postgresql+psycopg://twinner:secret@127.0.0.1:{database.port}/mlflow"
        database.new_database("other")
        check_restarts(database)
        address = f"host=127.0.0.1 port={database.port} user=twinner dbname=other"
        with psycopg.connect(f"{address} password=secret") as connection:
            assert connection.info.server_version
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"{address} password=wrong")


def test_s3_is_reached_through_the_proxy_too(tmp_path: Path) -> None:
    with s3_server(tmp_path) as server, FaultProxy(server.port) as proxy:
        for endpoint in (server.endpoint, proxy.uri):
            client = boto3.client(
                "s3",
                endpoint_url=endpoint,
                region_name="us-east-1",
                aws_access_key_id=server.access["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=server.access["AWS_SECRET_ACCESS_KEY"],
            )
            client.put_object(Bucket=server.bucket, Key="folder/object", Body=endpoint.encode())
            assert (server.objects / server.bucket / "folder/object").read_text() == endpoint
            assert client.get_object(Bucket=server.bucket, Key="folder/object")["Body"].read() == endpoint.encode()
        assert proxy.requests == {"PUT /twinner/folder/object": 1, "GET /twinner/folder/object": 1}


def test_a_server_with_basic_auth_asks_for_a_password(tmp_path: Path) -> None:
    with mlflow_server(tmp_path, "", "--app-name", "basic-auth", **basic_auth(tmp_path)) as server:
        url = f"{server.uri}/api/2.0/mlflow/experiments/get?experiment_id=0"
        assert requests.get(url, timeout=30).status_code == 401
        assert requests.get(url, auth=("admin", "admin-password-1"), timeout=30).ok
