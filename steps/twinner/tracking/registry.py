"""Registered models: their names, and fetching a model from the store."""

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
