"""The tracking store: whether it answers, and how it is shown to the user, without passwords."""

import logging
import os
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from twinner.errors import BadInput

MAX_REASON = 300  # characters of a library's message that we repeat


def check_store() -> None:
    """Raise BadInput unless the tracking store answers; a server gets one retry, not MLflow's minutes of them."""
    retries = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(retries)
    os.environ[retries] = before or "1"
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns about every retry
    try:
        mlflow.MlflowClient().search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        problem = f"the tracking store {masked_uri()} does not answer ({failure_reason(error)})"
        raise BadInput(problem, "check that it is running and that MLFLOW_TRACKING_URI points to it") from error
    finally:
        if before is None:
            del os.environ[retries]


def where_to_look(experiment_id: str, run_id: str) -> str:
    """Return the command or the address that shows a run, with any password masked."""
    uri = masked_uri()
    if uri.startswith(("http://", "https://")):
        return f"{uri.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"
    return f"mlflow ui --backend-store-uri {shlex.quote(uri)}"


def link_to_run(experiment_id: str, run_id: str) -> str:
    """Return the address of a run on a tracking server, without user and password; empty for other stores."""
    server = urlsplit(mlflow.get_tracking_uri())
    if server.scheme not in ("http", "https"):
        return ""
    host = server.netloc.rpartition("@")[2]
    return f"{server.scheme}://{host}{server.path.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


def failure_reason(error: Exception) -> str:
    """Return the first line of an error of the store, shortened, with any password in the store's URI masked."""
    return str(error).split("\n")[0].replace(mlflow.get_tracking_uri(), masked_uri())[:MAX_REASON]


def masked_uri() -> str:
    """Return the URI of the store with any password masked."""
    uri = mlflow.get_tracking_uri()
    return make_url(uri).render_as_string(hide_password=True) if "://" in uri and not uri.startswith("file:") else uri


def is_file_store(uri: str) -> bool:
    """Whether a tracking URI is a plain folder rather than a database or a server."""
    return "://" not in uri or uri.startswith("file:")


def store_address() -> str:
    """Return the URI of the store without password, absolute, so that the same store has the same address anywhere."""
    uri = masked_uri()
    prefix = "sqlite:///"
    if uri.startswith(prefix) and not uri.startswith(f"{prefix}/"):
        return f"{prefix}{Path(uri.removeprefix(prefix)).absolute()}"
    return uri if "://" in uri or uri.startswith("file:") else Path(uri).absolute().as_uri()
