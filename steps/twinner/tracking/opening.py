"""Open a run: patient for a few seconds, then one clear line."""

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags  # not public; what `start_run` says of a run's source
from sqlalchemy.exc import SQLAlchemyError

from twinner.tracking.reasons import unusable
from twinner.tracking.store import current_experiment

PARENT = "TWINNER_PARENT_RUN"  # names the run that started this process as its child
PATIENCE = 12.0  # seconds
PAUSE = 0.5  # seconds between attempts
T = TypeVar("T")

_OWN_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds; MLflow's own is 120
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it would show a password, and cost a request
}
_users_settings: dict[str, str | None] = {}
_blocks = 0
_guard = threading.Lock()


@contextmanager
def own_retries() -> Iterator[None]:
    """Switch MLflow's retries off: they repeat a request whose answer got lost, and so make some things twice.

    MLflow reads these settings from the environment alone. Blocks may overlap, in several threads.
    """
    global _blocks
    with _guard:
        if _blocks == 0:
            _users_settings.update({name: os.environ.get(name) for name in _OWN_SETTINGS})
            os.environ.update(_OWN_SETTINGS)
        _blocks += 1
    try:
        yield
    finally:
        with _guard:
            _blocks -= 1
            if _blocks == 0:
                for name, value in _users_settings.items():
                    os.environ.pop(name, None)
                    if value is not None:
                        os.environ[name] = value


def persist(request: Callable[[], T]) -> T:
    """Return the answer to a request that may be repeated; try for a few seconds.

    Errors: StoreUnusable if the store does not answer by then; what MLflow raises if it refuses.
    """
    deadline = time.monotonic() + PATIENCE
    with own_retries():
        while True:
            try:
                return request()
            except (MlflowException, SQLAlchemyError, OSError) as error:
                if getattr(error, "error_code", "INTERNAL_ERROR") not in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE"):
                    raise
                if time.monotonic() > deadline:
                    raise unusable(error) from error
            time.sleep(PAUSE)


@contextmanager
def child_of(run_id: str) -> Iterator[None]:
    """Make the next run that is opened in the block, here or in a process that is started there, a child of a run."""
    os.environ[PARENT] = run_id
    try:
        yield
    finally:
        os.environ.pop(PARENT, None)


def open_run(client: mlflow.MlflowClient, step: str) -> Run:
    """Return the run that `mlflow run` made for this process, else a new one in the current experiment.

    It is a child of the run that started this process as its child, or that is open in this process.
    Errors: see `persist`.
    """
    parent = os.environ.pop(PARENT, "")
    if run_id := os.environ.pop("MLFLOW_RUN_ID", ""):
        run = persist(lambda: client.get_run(run_id))
        if run.info.status != "RUNNING":
            persist(lambda: client.update_run(run_id, status="RUNNING"))
        if parent:
            persist(lambda: client.set_tag(run_id, "mlflow.parentRunId", parent))
        return run
    active = mlflow.active_run()
    if not parent and active:
        parent = active.info.run_id
    experiment = persist(current_experiment)
    return _create_run(client, experiment.experiment_id, step, parent)


def _create_run(client: mlflow.MlflowClient, experiment_id: str, step: str, parent: str) -> Run:
    """Create one run, even if the answer to the first request gets lost: its token finds the run."""
    token = uuid.uuid4().hex
    tags = resolve_tags({"twinner.token": token, **({"mlflow.parentRunId": parent} if parent else {})})
    requests = 0

    def find_or_create() -> Run:
        nonlocal requests
        requests += 1
        query = f"tags.`twinner.token` = '{token}'"
        if requests > 1 and (found := client.search_runs([experiment_id], query, max_results=1)):
            return found[0]
        return client.create_run(experiment_id, tags=tags, run_name=step)

    return persist(find_or_create)
