"""Real servers for tests, on free ports of 127.0.0.1 with their data in a given folder.

A database or S3 server that isn't installed skips the test, which fails the session in CI.
"""

import glob
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psycopg
import pymysql
import pytest
import requests
from users import PROJECT, free_port, user_environment, wait_until
from werkzeug.security import generate_password_hash

USER, PASSWORD = "twinner", "secret"
BUCKET = "twinner"

S = TypeVar("S", bound="Server")


@dataclass
class Server:
    """A process that listens on `port`; it can be stopped, killed and started again in place."""

    command: Sequence[str]
    port: int
    folder: Path
    environment: Mapping[str, str] | None = None  # None: this process's
    stop_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the server has written to its standard streams."""
        return self.folder / "server.log"

    def start(self) -> None:
        """Start the process and wait until it serves."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # its children end with it, and Ctrl-C in pytest leaves it alone
            )

        def serves_or_ended() -> bool:
            return self._ended() or self.answers()

        wait_until(serves_or_ended, f"{self.command[0]} does not serve", seconds=120)
        assert not self._ended(), f"{self.command[0]} ended:\n{self.log.read_text(errors='replace')[-4000:]}"

    def answers(self) -> bool:
        """Whether the server serves."""
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/health", timeout=5).ok
        except requests.RequestException:
            return False

    def stop(self) -> None:
        """End the server as its operator would."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End the server without warning."""
        self._end(signal.SIGKILL)

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        group = self.process.pid
        # Through `setpriv` and the like the server keeps the pid. Only a kill goes to its children too: asked to stop,
        # MariaDB and PostgreSQL end theirs in order, as uvicorn does.
        if how == signal.SIGKILL:
            os.killpg(group, how)
        else:
            self.process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=20)
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self.process.wait()
        self.process = None


@contextmanager
def running(server: S) -> Iterator[S]:
    """Start a server, and stop it at the end of the block unless the block has done so."""
    server.start()
    try:
        yield server
    finally:
        server.stop()


def program(name: str, folders: str = "") -> str:
    """Return the path of an installed program, also looked for in `folders` (a pattern); skip the test without it."""
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", *glob.glob(folders)]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@dataclass
class Database(Server):
    """A database server with a user `twinner`; its databases are that user's."""

    scheme: str = ""
    query: str = ""

    def uri(self, database: str = "mlflow", password: str = PASSWORD) -> str:
        """Return SQLAlchemy's URI of a database, whether it exists or not."""
        return f"{self.scheme}://{USER}:{password}@127.0.0.1:{self.port}/{database}{self.query}"

    def new_database(self, name: str) -> str:
        """Create an empty database and return its URI."""
        self.administer(f"CREATE DATABASE {name}")
        return self.uri(name)

    def administer(self, *statements: str) -> None:
        """Run SQL statements as the server's administrator."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the administrator can connect."""
        try:
            self.administer()
        except (pymysql.err.OperationalError, psycopg.OperationalError):
            return False
        return True


class MariaDb(Database):
    """MariaDB, for MySQL."""

    def administer(self, *statements: str) -> None:
        connection = pymysql.connect(host="127.0.0.1", port=self.port, user="root", password="", connect_timeout=5)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def new_database(self, name: str) -> str:
        uri = super().new_database(name)
        self.administer(f"GRANT ALL ON {name}.* TO '{USER}'@'%'")
        return uri


class Postgres(Database):
    """PostgreSQL."""

    def administer(self, *statements: str) -> None:
        address = f"host=127.0.0.1 port={self.port} dbname=postgres user={USER} password={PASSWORD} connect_timeout=5"
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@contextmanager
def mariadb(folder: Path, settings: Path = PROJECT / "tracking/my.cnf", empty: bool = False) -> Iterator[MariaDb]:
    """Start MariaDB with a database `mlflow`, or empty, without the user `twinner`."""
    data = folder / "data"
    data.mkdir(parents=True)
    port = free_port()
    # MariaDB runs as root when told to by name, so that it can read a test's folder.
    me = ["--user=root"] if os.geteuid() == 0 else []
    install = [program("mariadb-install-db"), "--no-defaults", *me, f"--datadir={data}", "--skip-test-db"]
    install += ["--skip-name-resolve", "--auth-root-authentication-method=normal"]
    subprocess.run(install, check=True, capture_output=True)
    # The socket is relative to the data, since a test's folder may be too long for its name.
    command = [program("mariadbd"), f"--defaults-file={settings}", *me, f"--datadir={data}", "--socket=socket"]
    command += ["--pid-file=pid", "--bind-address=127.0.0.1", f"--port={port}", "--innodb-flush-log-at-trx-commit=2"]
    server = MariaDb(command, port, folder, scheme="mysql+pymysql", query="?charset=utf8mb4")
    with running(server):
        if not empty:
            server.administer(f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'")
            server.new_database("mlflow")
        yield server


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Start PostgreSQL with a database `mlflow`."""
    data = folder / "data"
    data.mkdir(parents=True)
    port = free_port()
    binaries = "/usr/lib/postgresql/*/bin"
    initdb, server_program = program("initdb", binaries), program("postgres", binaries)
    me: list[str] = []
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root; as its own user it needs a right to get through a test's private folders.
        me = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        me += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        shutil.chown(data, "postgres", "postgres")
    password = folder / "password"
    password.write_text(PASSWORD)
    create = [*me, initdb, f"--pgdata={data}", f"--username={USER}", f"--pwfile={password}", "--auth=scram-sha-256"]
    create += ["--encoding=UTF8", "--no-locale", "--no-sync"]
    subprocess.run(create, check=True, capture_output=True, cwd=folder)
    command = [*me, server_program, "-D", str(data), "-p", str(port), "-F"]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    # SIGINT does not wait for clients to leave.
    server = Postgres(command, port, folder, stop_signal=signal.SIGINT, scheme="postgresql+psycopg")
    with running(server):
        server.new_database("mlflow")
        yield server


@dataclass
class S3Server(Server):
    """An S3 server with one empty bucket; its objects are files below `objects/BUCKET`."""

    bucket: str = BUCKET

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def access(self) -> dict[str, str]:
        """The environment variables that MLflow and boto3 need to reach the bucket."""
        return s3_access(self.endpoint)

    @property
    def objects(self) -> Path:
        return self.folder / "objects"


def s3_access(endpoint: str, secret: str = "secret-key") -> dict[str, str]:
    """Return the environment variables for an S3 server, or a proxy before it, at a URL."""
    return {
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "access-key",
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Start versitygw on a folder."""
    port = free_port()
    # A bucket is a folder here.
    (folder / "objects" / BUCKET).mkdir(parents=True)
    (folder / "attributes").mkdir()  # not every file system has extended attributes
    command = [program("versitygw", str(Path.home() / "go/bin")), "--port", f"127.0.0.1:{port}", "--health", "/health"]
    command += ["posix", "--sidecar", str(folder / "attributes"), str(folder / "objects")]
    keys = {"ROOT_ACCESS_KEY": "access-key", "ROOT_SECRET_KEY": "secret-key"}
    server = S3Server(command, port, folder, os.environ | keys)
    with running(server):
        yield server


@dataclass
class MlflowServer(Server):
    """An MLflow tracking server."""

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def mlflow_server(
    folder: Path, store: str = "", *options: str, artifacts: str = "", **environment: str
) -> Iterator[MlflowServer]:
    """Start `mlflow server` on a store, by default SQLite in the folder; it serves the artifacts.

    Args:
        options: more options, e.g. `"--no-serve-artifacts", "--default-artifact-root", "s3://bucket"`
        artifacts: where the server keeps the artifacts that it serves; by default in the folder
        environment: e.g. S3's keys for a server that serves artifacts
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    # The store's password would show in the list of processes.
    settings = {
        "MLFLOW_BACKEND_STORE_URI": store or f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # twinner has no use for its workers
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    if "--no-serve-artifacts" not in options:
        command += ["--artifacts-destination", artifacts or str(folder / "artifacts")]
    # Without this process's variables for MLflow.
    server = MlflowServer(
        [*command, *options], port, folder, user_environment(folder / "cache", **settings, **environment)
    )
    with running(server):
        if "MLFLOW_AUTH_CONFIG_PATH" in environment:
            _hash_in_one_round(environment)
        yield server


def basic_auth(folder: Path, password: str = "admin-password-1") -> dict[str, str]:
    """Return the environment of an MLflow server with `--app-name basic-auth`; its administrator is `admin`."""
    config = folder / "basic_auth.ini"
    config.write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
        f"database_uri = sqlite:///{folder}/basic_auth.db\n"
    )
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "flask-secret",
    }


def _hash_in_one_round(auth: Mapping[str, str]) -> None:
    """Give the administrator's password a quick hash: checking MLflow's own takes 0.1 s at every request."""
    users = Path(auth["MLFLOW_AUTH_CONFIG_PATH"]).with_suffix(".db")
    quick = generate_password_hash(auth["MLFLOW_AUTH_ADMIN_PASSWORD"], "pbkdf2:sha256:1")
    with closing(sqlite3.connect(users)) as connection, connection:
        connection.execute("UPDATE users SET password_hash = ? WHERE username = 'admin'", [quick])
