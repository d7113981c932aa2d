"""Why a tracking store can't be used, in a few words, and what to do about it."""

import re

import mlflow
import requests
from sqlalchemy.exc import DBAPIError

from twinner.errors import BadInput
from twinner.secrets import mask_secrets
from twinner.tracking.address import dialect, failure_reason, masked_uri

PATIENCE = 6  # seconds for one answer; with the imports before it, a step has told the user within 15
WHERE = "check that it is running and that MLFLOW_TRACKING_URI points to it"
LOGIN = "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
PERMISSION = "ask for EDIT on the experiment, or set MLFLOW_EXPERIMENT_NAME to one of your own"
URI_EXAMPLES = "write it as http://HOST:PORT, sqlite:///FILE, mysql+pymysql://… or postgresql+psycopg://…"


class StoreUnusable(BadInput):
    """The tracking store does not answer as it should, so no run in it can be marked as failed."""


def unusable(error: Exception) -> StoreUnusable:
    """Return the error to show for an error of MLflow or of a database: the reason in a few words, and a remedy."""
    uri = masked_uri()
    words, remedy = _explain(error)
    return StoreUnusable(f"the tracking store {uri} can't be used ({words})", remedy)


def in_words(error: Exception) -> str:
    """Return the reason of an error of the store in a few words, without secrets."""
    return mask_secrets(_explain(error)[0])


def _explain(error: Exception) -> tuple[str, str]:
    """Return the cause of a store's error in a few words, and what to do."""
    scheme, text = dialect(mlflow.get_tracking_uri()), str(error)
    if isinstance(error, TimeoutError):
        return str(error), WHERE
    if isinstance(error, DBAPIError):
        return _explain_database(error)
    if scheme in ("http", "https"):
        return _explain_server(error)
    if "unsupported" in text.lower():
        return "no such kind of store", URI_EXAMPLES
    if scheme in ("", "file") and "MLFLOW_ALLOW_FILE_STORE" in text:
        return "a plain folder is not allowed", "use sqlite:///FILE, or set MLFLOW_ALLOW_FILE_STORE=true"
    return failure_reason(error), WHERE


def _explain_database(error: DBAPIError) -> tuple[str, str]:
    words = failure_reason(error.orig or error)
    if arguments := getattr(error.orig, "args", ()):  # of MySQL: a number and a text
        words = failure_reason(Exception(" ".join(map(str, arguments))))
    lower = words.lower()
    if "locked" in lower:
        return words, "another program keeps it locked: end that, or wait for it"
    if "not a database" in lower:
        return words, "give the file of an MLflow database, or one that does not exist yet"
    if dialect(mlflow.get_tracking_uri()) == "sqlite":
        return words, "make its folder, and the file itself, writable for you"
    if "authentication" in lower or "denied" in lower:
        return words, "check the user and the password in MLFLOW_TRACKING_URI"
    if "unknown database" in lower or "does not exist" in lower:
        return words, "create the database, or correct its name in MLFLOW_TRACKING_URI"
    return words, WHERE


def _explain_server(error: Exception) -> tuple[str, str]:
    """Return why a server did not answer as MLflow does. MLflow gives the cause as its error's context alone."""
    text, cause = str(error), error.__cause__ or error.__context__
    if isinstance(cause, requests.exceptions.InvalidURL) or "invalid url" in text.lower():
        return "the address is malformed", URI_EXAMPLES
    if status := re.search(r"error code (\d{3})|too many (\d{3}) error", text):
        code = status[1] or status[2]
        if code in ("401", "403"):
            return f"it answered {code}, no permission", LOGIN if code == "401" else PERMISSION
        if code.startswith("4") and code != "429":
            return f"it answered {code}, so it is no MLflow server", WHERE
        return f"it answered {code}", "look into the server's log, or try again later"
    if "valid JSON" in text:
        return "it is no MLflow server", WHERE
    if isinstance(cause, requests.exceptions.Timeout):
        return f"no answer within {PATIENCE} s", WHERE
    if isinstance(cause, requests.exceptions.SSLError):
        return "its TLS certificate is not trusted", "set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate to trust"
    if isinstance(cause, requests.exceptions.ProxyError):
        return "the proxy does not let us through", "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
    if isinstance(cause, requests.exceptions.ConnectionError):
        for sign, words in (("resolve", "there is no such host"), ("refused", "connection refused")):
            if sign in text.lower():
                return words, WHERE
        return "no connection", WHERE
    if getattr(error, "error_code", "") in ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"):
        return failure_reason(error), LOGIN
    return failure_reason(error), WHERE
