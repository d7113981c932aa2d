"""The address of the tracking store, and how it and its errors are shown to the user, without secrets."""

import shlex
from pathlib import Path
from urllib.parse import urlsplit

import mlflow

from twinner.secrets import mask_secrets

MAX_REASON = 300  # characters of a library's message that we repeat


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


def failure_reason(error: BaseException) -> str:
    """Return the first line of an error of the store, shortened, without secrets."""
    lines = mask_secrets(str(error)).strip().split("\n")
    return (lines[0] or type(error).__name__)[:MAX_REASON]


def masked_uri() -> str:
    """Return the URI of the store with any password masked."""
    return mask_secrets(mlflow.get_tracking_uri())


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


def dialect(uri: str) -> str:
    """Return the first part of a URI's scheme: `mysql` for mysql+pymysql://."""
    return urlsplit(uri).scheme.partition("+")[0]
