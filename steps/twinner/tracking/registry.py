"""Registered models: their names, and fetching a model from the store."""

from collections.abc import Mapping
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from twinner.errors import BadInput


def check_model_name(name: str) -> None:
    """Raise BadInput for a name that no model can be registered under; an empty name registers nothing."""
    if not name:
        return
    problem = ""
    if not name.strip():
        problem = "is blank"
    elif found := [character for character in "/:" if character in name]:
        problem = f"contains {found[0]!r}"
    elif name in (".", ".."):
        problem = "is a relative path"
    if problem:
        raise BadInput(f"model_name {name!r} {problem}", "give a name without / and :, or leave it empty")


def download_model(uri: str, folder: Path) -> Path:
    """Fetch a model (`runs:/…` or `models:/…`) into a folder and return the folder that it is then in.

    Raises BadInput if there is no such model.
    """
    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        advice = "name a run's model as runs:/ID/model, or models:/NAME/VERSION"
        raise BadInput(f"init={uri!r}: there is no such model: {reason}", advice) from None


def register_version(
    client: mlflow.MlflowClient, name: str, model_id: str, run_id: str, description: str, tags: Mapping[str, str]
) -> str:
    """Placeholder until the registry's own."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    found = [v for v in client.search_model_versions(f"name = '{name}'") if v.run_id == run_id]
    if found:
        return str(found[0].version)
    source = f"models:/{model_id}"
    version = client.create_model_version(
        name, source, run_id, description=description, tags=dict(tags), model_id=model_id
    )
    return str(version.version)
