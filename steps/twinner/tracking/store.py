"""Check that this process can use the tracking store, its experiment and its artifact store."""

import contextlib
import json
import logging
import os
import shlex
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
from filelock import FileLock
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from twinner.errors import BadInput
from twinner.secrets import mask_secrets
from twinner.tracking.address import dialect, failure_reason, masked_uri
from twinner.tracking.reasons import PATIENCE, URI_EXAMPLES, StoreUnusable, unusable

MAKING = 300  # seconds that another process may take to make the store
DATABASES = ("sqlite", "mysql", "postgresql", "mssql")
DRIVERS = {"mysql": "pymysql", "postgresql": "'psycopg[binary]'", "mssql": "pyodbc"}  # what pip installs
TIMEOUT_ARGUMENT = {  # by driver
    "pymysql": "connect_timeout",
    "mysqldb": "connect_timeout",
    "psycopg": "connect_timeout",
    "psycopg2": "connect_timeout",
    "pysqlite": "timeout",
    "pyodbc": "timeout",
}
AWS_LOGIN = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a profile in ~/.aws, to one that may write there"

T = TypeVar("T")
_usable: set[tuple[str, ...]] = set()  # what was found so in this process


def check_store() -> None:
    """Print where the runs go, and raise BadInput unless this process can write there.

    Checked are the store (else StoreUnusable), the run that this process joins or its experiment (made if it is
    missing), and the artifact store. A failure is told in seconds, where MLflow would try for minutes. An SQLite store
    is made by one process at a time. A second call for the same place does nothing.
    """
    uri = mlflow.get_tracking_uri()
    names = ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID")
    place = (uri, *(os.environ.get(name, "") for name in names))
    if place in _usable:
        return
    print(f"{'tracking':<11}{masked_uri()}", flush=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns about every retry
    with _one_retry():
        try:
            if dialect(uri) in DATABASES:
                _open_database(uri)
            elif dialect(uri) not in ("", "file"):
                within(PATIENCE + 1, lambda: mlflow.MlflowClient().search_experiments(max_results=1))
            artifacts = _artifact_place()
        except BadInput:
            raise
        except (MlflowException, SQLAlchemyError, OSError, ImportError, ValueError) as error:
            raise unusable(error) from error
        check_artifacts(artifacts)
    _usable.add(place)


def check_shared_store(given: str) -> None:
    """Raise BadInput if only this machine can write to the store. given: what needs one that others can reach."""
    if dialect(mlflow.get_tracking_uri()) in ("", "file", "sqlite"):
        problem = f"{given}: its executors can't reach the store {masked_uri()}"
        raise BadInput(problem, "set MLFLOW_TRACKING_URI to a tracking server")


def current_experiment() -> Experiment:
    """Return the experiment of new runs: MLFLOW_EXPERIMENT_NAME, made if it is missing, or MLFLOW_EXPERIMENT_ID.

    Raises BadInput if it is deleted, missing, or can't be made, and MLflow's errors if the store fails.
    """
    client = mlflow.MlflowClient()
    name, given = os.environ.get("MLFLOW_EXPERIMENT_NAME"), os.environ.get("MLFLOW_EXPERIMENT_ID")
    if name:
        experiment = client.get_experiment_by_name(name) or _make_experiment(client, name)
        if given and given != experiment.experiment_id:
            problem = f"MLFLOW_EXPERIMENT_NAME={name} and MLFLOW_EXPERIMENT_ID={given} are two experiments"
            raise BadInput(problem, "unset one of them")
    else:
        try:
            experiment = client.get_experiment(given or "0")  # "0" is MLflow's `Default`
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            problem = f"there is no experiment with the id {given or '0'} in {masked_uri()}"
            raise BadInput(problem, "set MLFLOW_EXPERIMENT_NAME, or the id of another one") from error
    _check_not_deleted(experiment)
    return experiment


def check_artifacts(uri: str) -> None:
    """Raise BadInput unless files can be written below an artifact URI, as far as this process can find out.

    A folder and a bucket are tried with a small file, which is removed again. A server is asked for a list, for which
    it has to reach its own artifact store.
    """
    scheme = urlsplit(uri).scheme
    try:
        if scheme in ("", "file"):
            _try_folder(Path(url2pathname(urlsplit(uri).path) if scheme else uri))
        elif scheme == "s3":
            within(3 * PATIENCE, lambda: _try_bucket(uri))
        elif scheme in ("mlflow-artifacts", "http", "https"):
            mlflow.artifacts.list_artifacts(artifact_uri=f"{uri}/.twinner")  # nothing, rather than all runs
    except BadInput:
        raise
    except (MlflowException, OSError) as error:
        problem = f"the artifact store {mask_secrets(uri)} can't be used ({failure_reason(error)})"
        remedy = "check that it exists and can be written to"
        raise BadInput(problem, f"{remedy}; the server's log says more" if scheme else remedy) from error


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or raise TimeoutError after so many seconds; the call then goes on in the background.

    Not every driver and resolver has a timeout of its own that it keeps.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return results[0]


@contextlib.contextmanager
def _one_retry() -> Iterator[None]:
    """Let MLflow repeat a request once during the block, rather than for minutes."""
    values = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(PATIENCE)}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _open_database(uri: str) -> None:
    """Connect to a database, check that MLflow can write to it, and have MLflow make its tables if there are none."""
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError) as error:
        raise StoreUnusable(f"MLFLOW_TRACKING_URI is malformed: {masked_uri()}", URI_EXAMPLES) from error
    try:
        driver = url.get_dialect().driver
        seconds = {TIMEOUT_ARGUMENT[driver]: PATIENCE} if driver in TIMEOUT_ARGUMENT else {}
        engine = create_engine(url, poolclass=NullPool, connect_args=seconds)
    except (ImportError, NoSuchModuleError) as error:
        name = DRIVERS.get(url.get_backend_name(), "")
        problem = f"the database driver of {masked_uri()} is not installed ({failure_reason(error)})"
        raise StoreUnusable(problem, f"pip install {name}" + (", and name it in the URI" if name else "")) from error
    if url.get_backend_name() != "sqlite":
        within(PATIENCE + 1, lambda: engine.connect().close())
        _open_tables(engine)
        return
    if not url.database or url.database == ":memory:":
        return
    file = Path(url.database)
    with _lock(file.with_name(f"{file.name}.lock")):  # two migrations at once can spoil a database for good
        if _revision(engine) is None:
            _open_tables(engine)
    _open_tables(engine)
    with engine.connect() as connection:  # fails if another process keeps it locked, or it is read-only
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")
        connection.rollback()


@contextlib.contextmanager
def _lock(file: Path) -> Iterator[None]:
    """Hold a lock during the block. A database in a folder that can't be written to is not made, so needs none."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(file, timeout=MAKING))
        yield


def _open_tables(engine: Engine) -> None:
    """Have MLflow open its tables, or make them if there are none; raise StoreUnusable for those of another version.

    MLflow would migrate some older ones unasked, and a migration that others have not agreed to locks them out.
    """
    from mlflow.store.db.utils import _get_latest_schema_revision  # no public function tells it

    found = _revision(engine)
    if found not in (None, newest := _get_latest_schema_revision()):
        uri = shlex.quote(masked_uri())
        raise StoreUnusable(
            f"the database {masked_uri()} is of another version of MLflow (its schema is {found}, not {newest})",
            f"back it up and run: mlflow db upgrade {uri}; or use the MLflow version that its other users have",
        )
    mlflow.MlflowClient().search_experiments(max_results=1)


def _revision(engine: Engine) -> str | None:
    """Return the revision of a database's schema, None if it has none."""
    from alembic.migration import MigrationContext  # takes a while to import

    with engine.connect() as connection:
        return ", ".join(MigrationContext.configure(connection).get_current_heads()) or None


def _artifact_place() -> str:
    """Return the artifact URI of the run that this process joins, else of its experiment, after checking both."""
    joined = os.environ.get("MLFLOW_RUN_ID")
    if not joined:
        return str(current_experiment().artifact_location)
    client = mlflow.MlflowClient()
    try:
        run = client.get_run(joined)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        problem = f"MLFLOW_RUN_ID={joined}: there is no such run in {masked_uri()}"
        raise BadInput(problem, "unset it, or set it to the id of a run there") from error
    if run.info.lifecycle_stage == LifecycleStage.DELETED:
        problem = f"MLFLOW_RUN_ID={joined}: that run is deleted"
        raise BadInput(problem, f"restore it with `mlflow runs restore --run-id {joined}`, or unset it")
    _check_not_deleted(client.get_experiment(run.info.experiment_id))
    return str(run.info.artifact_uri)


def _make_experiment(client: mlflow.MlflowClient, name: str) -> Experiment:
    """Make an experiment, or return the one that another process has made just now."""
    try:
        return client.get_experiment(client.create_experiment(name))
    except MlflowException as error:
        if found := client.get_experiment_by_name(name):
            return found
        problem = f"the experiment {name!r} can't be made in {masked_uri()} ({failure_reason(error)})"
        raise BadInput(problem, "set MLFLOW_EXPERIMENT_NAME to one that you may write to") from error


def _check_not_deleted(experiment: Experiment) -> None:
    if experiment.lifecycle_stage == LifecycleStage.DELETED:
        restore = f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
        problem = f"the experiment {experiment.name!r} is deleted"
        raise BadInput(problem, f"restore it with `{restore}`, or set MLFLOW_EXPERIMENT_NAME to another one")


def _try_folder(folder: Path) -> None:
    """Write a file to a folder that may not exist yet."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    tempfile.TemporaryFile(dir=folder).close()


def _try_bucket(uri: str) -> None:
    """Write an object to S3 and delete it, with the client's own credentials."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
    except ImportError as error:
        raise BadInput(f"the artifact store {uri} needs the package boto3", "pip install boto3") from error
    place = urlsplit(uri)
    once = Config(
        connect_timeout=PATIENCE / 2,
        read_timeout=PATIENCE,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": os.environ.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "auto")},
    )
    extra: Mapping[str, Any] = json.loads(os.environ.get("MLFLOW_S3_UPLOAD_EXTRA_ARGS") or "{}")
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None
    key = f"{place.path.strip('/')}/.twinner-{uuid.uuid4().hex}".lstrip("/")
    shown = mask_secrets(f"{uri} at {endpoint}" if endpoint else uri)
    try:
        trusted = False if os.environ.get("MLFLOW_S3_IGNORE_TLS", "").lower() in ("true", "1") else None
        client = boto3.Session().client("s3", endpoint_url=endpoint, verify=trusted, config=once)
        client.put_object(Bucket=place.netloc, Key=key, Body=b"", **extra)
        with contextlib.suppress(ClientError):  # one may be allowed to write only
            client.delete_object(Bucket=place.netloc, Key=key)
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise BadInput(f"there are no S3 credentials for {shown} ({failure_reason(error)})", AWS_LOGIN) from error
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        remedy = "make the bucket, or correct the artifact location of the experiment"
        raise BadInput(
            f"nothing can be written to {shown} ({code}: {failure_reason(error)})",
            remedy if code == "NoSuchBucket" else AWS_LOGIN,
        ) from error
    except (BotoCoreError, ValueError) as error:  # no connection, no such endpoint
        problem = f"the artifact store {shown} does not answer ({failure_reason(error)})"
        raise BadInput(problem, "check that it is running and that MLFLOW_S3_ENDPOINT_URL points to it") from error
