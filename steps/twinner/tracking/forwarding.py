"""Let a process on another machine track its runs as this one does."""

import json
import os

import mlflow
from mlflow.tracking.context.registry import resolve_tags  # not public; what `start_run` says of a run's source

from twinner.source_code import uncommitted_files
from twinner.tracking.tags import LONGEST_TAG, UNCOMMITTED

ACCESS = ("MLFLOW_", "AWS_", "AZURE_", "GOOGLE_", "DATABRICKS_", "TWINNER_TRACKING_")  # of variables
OF_THIS_RUN = ("MLFLOW_RUN_ID", "MLFLOW_RUN_CONTEXT")


def uncommitted_tags() -> dict[str, str]:
    """Return the tag with the files of the code that differ from the commit, if any do."""
    changed = ", ".join(uncommitted_files())
    return {UNCOMMITTED: changed[:LONGEST_TAG]} if changed else {}


def tracking_environment() -> dict[str, str]:
    """Return the environment variables that such a process needs: access to the stores, and the origin of the code.

    They may hold passwords.
    """
    tags = resolve_tags() | uncommitted_tags()
    access = {name: os.environ[name] for name in os.environ if name.startswith(ACCESS) and name not in OF_THIS_RUN}
    return access | {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(), "MLFLOW_RUN_CONTEXT": json.dumps(tags)}
