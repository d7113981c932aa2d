"""Registered models: their names, versions and aliases, and fetching a model from the store."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from twinner.errors import BadInput, Failure
from twinner.serving import SavedModel, read_model
from twinner.tracking.address import failure_reason

CHAMPION, PREVIOUS = "champion", "previous"  # aliases
MODEL_CARD = "model_card.md"  # among the outputs of a training; the description of a registered version
LONGEST_NAME = 255  # bytes that every store takes
LONGEST_DESCRIPTION = 5000  # characters that every store takes
NO_SUCH_TAG = "twinner.none"  # never set


@dataclass(frozen=True)
class Version:
    """A version of a registered model. run_id: of the run that made it, empty if unknown."""

    number: int
    run_id: str


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model: its versions, newest first, and its aliases with the number of their version."""

    name: str
    versions: tuple[Version, ...]
    aliases: Mapping[str, int]

    def version(self, alias: str) -> Version | None:
        """Return the version with an alias."""
        return next((version for version in self.versions if version.number == self.aliases.get(alias)), None)


def check_model_name(name: str) -> None:
    """Raise BadInput for a name that no model can be registered under; an empty name registers nothing.

    Asks the registry whether it takes a new version, and says so in a line if the store has no registry. Call it once
    the store is known to answer.
    """
    if not name:
        return
    problem, remedy = "", "give a name without / and :, or leave it empty"
    if not name.strip():
        problem = "is blank"
    elif found := [character for character in "/:" if character in name]:
        problem = f"contains {found[0]!r}"
    elif name in (".", ".."):
        problem = "is a relative path"
    elif "'" in name and '"' in name:  # MLflow's search has no way to quote it
        problem, remedy = "contains both kinds of quotes", "leave one out"
    elif len(name.encode(errors="replace")) > LONGEST_NAME:
        problem, remedy = f"is longer than {LONGEST_NAME} bytes", "shorten it"
    if problem:
        raise BadInput(f"model_name {name!r} {problem}", remedy)
    _check_registry(name)


def _check_registry(name: str) -> None:
    try:
        # Nothing has this tag, so nothing changes; but it takes the permission that a new version takes.
        mlflow.MlflowClient().delete_registered_model_tag(name, NO_SUCH_TAG)
    except MlflowException as error:
        if lacks_registry(error):
            print(f"The store has no registry: the model will be logged, not registered as {name}.")
            return
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return  # the first version will create it
        if error.error_code == "PERMISSION_DENIED":
            problem = f"model_name {name!r}: you may not add a version to this registered model"
            raise BadInput(problem, "ask its owner for the permission EDIT, or give another name") from None
        if error.error_code == "INVALID_PARAMETER_VALUE":
            problem = f"model_name {name!r} is refused by the registry ({failure_reason(error)})"
            raise BadInput(problem, "give another name, or leave it empty") from None
        raise


def lacks_registry(error: Exception) -> bool:
    """Whether MLflow raised this error since the store has no registry."""
    return isinstance(error, MlflowException) and error.error_code == "FEATURE_DISABLED"


def register_version(
    client: mlflow.MlflowClient, name: str, model_id: str, run_id: str, description: str, tags: Mapping[str, str]
) -> str:
    """Register a logged model as a version of the registered model `name`, and return the version.

    A version that this run has already is taken instead, so that this may be called again after any failure.
    description: shortened to what stores take. tags: of the version.
    Errors: MlflowException; see `lacks_registry`.
    """
    description = shorten_description(description)
    _create_registered_model(client, name)
    version = next(iter(_versions_of_run(client, name, run_id)), None)
    if version is None:
        source = f"models:/{model_id}"
        made = client.create_model_version(
            name, source, run_id, tags=dict(tags), description=description, model_id=model_id, await_creation_for=0
        )
        # MLflow repeats a request whose answer got lost, and so may have made several.
        version, *doubled = _versions_of_run(client, name, run_id) or [made]
        for other in doubled:
            with suppress(MlflowException):  # it takes another permission
                client.delete_model_version(name, str(other.version))
    if (version.description or "") != description:
        client.update_model_version(name, str(version.version), description)
    for key, value in tags.items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(name, str(version.version), key, value)
    _link_to_version(client, model_id, name, int(version.version))
    return str(version.version)


def version_tags(run_id: str, run_tags: Mapping[str, str], metrics: Mapping[str, float]) -> dict[str, str]:
    """Return the tags of a version from the tags and the final metrics of its run."""
    tags = ("twinner.framework", "twinner.corpus", "twinner.corpus_digest", "twinner.test_digest")
    return {  # in the order in which MLflow's pages show them
        **{f"twinner.{name}": f"{metrics[name]:.4f}" for name in ("test_f1", "best_dev_f1") if name in metrics},
        **{name: run_tags[name] for name in tags if name in run_tags},
        "twinner.run_id": run_id,
    }


def shorten_description(text: str, artifact: str = MODEL_CARD) -> str:
    """Return a Markdown text with as many of its lines as every store takes, and a note if some are left out.

    artifact: of the run, which has all of it.
    """
    if len(text) <= LONGEST_DESCRIPTION:
        return text
    note = f"\n\n… The whole text is the artifact `{artifact}` of the run."
    return text[: LONGEST_DESCRIPTION - len(note)].rpartition("\n")[0] + note


def read_registered_model(name: str) -> RegisteredModel:
    """Read a registered model.

    Errors: BadInput if there is none of that name, or if it has no version. Failure if the registry can't be read.
    """
    client = mlflow.MlflowClient()
    try:
        aliases = client.get_registered_model(name).aliases
        quote = '"' if "'" in name else "'"
        found = _search(client, f"name = {quote}{name}{quote}")
    except MlflowException as error:
        if lacks_registry(error):
            remedy = "point MLFLOW_TRACKING_URI, or MLFLOW_REGISTRY_URI, to a store that has one"
            raise BadInput("the store has no registry, so nothing can be promoted in it", remedy) from None
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise BadInput(f"there is no registered model {name!r}", _suggest(client, name)) from None
        if error.error_code == "PERMISSION_DENIED":
            problem = f"you may not read the registered model {name!r}"
            raise BadInput(problem, "ask its owner for the permission READ") from None
        raise Failure(f"the registry does not answer ({failure_reason(error)})") from error
    if not found:
        raise BadInput(f"the registered model {name!r} has no version", _train_into(name))
    versions = sorted((Version(int(one.version), one.run_id or "") for one in found), key=lambda one: -one.number)
    return RegisteredModel(name, tuple(versions), {alias: int(number) for alias, number in aliases.items()})


def move_aliases(name: str, aliases: Mapping[str, int], tags: Mapping[str, str] | None = None) -> None:
    """Give each alias to the version with that number, in order; tags: set before on the version of the last one.

    Errors: BadInput without permission, Failure if the registry does not answer.
    """
    client = mlflow.MlflowClient()
    try:
        for key, value in (tags or {}).items():
            client.set_model_version_tag(name, str([*aliases.values()][-1]), key, value)
        for alias, number in aliases.items():
            client.set_registered_model_alias(name, alias, str(number))
    except MlflowException as error:
        if error.error_code == "PERMISSION_DENIED":
            problem = f"you may not change the aliases of the registered model {name!r}"
            raise BadInput(problem, "ask its owner for the permission EDIT") from None
        raise Failure(f"the registry does not answer ({failure_reason(error)})") from error


def download_model(uri: str, folder: Path, parameter: str) -> Path:
    """Fetch a model (`runs:/…` or `models:/…`) into a folder and return the folder that it is then in.

    parameter: that of the step which names the model. Raises BadInput if there is no such model.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        advice = "name a run's model as runs:/ID/model, or models:/NAME/VERSION"
        raise BadInput(f"{parameter}={uri!r}: there is no such model: {reason}", advice) from None


def fetch_model(uri: str, folder: Path, parameter: str) -> SavedModel:
    """Fetch a model of this project into a folder that does not exist yet.

    uri: any that MLflow knows, or a folder. parameter: that of the step which names it. Raises BadInput if there is
    none, or if it is another kind of model.
    """
    folder.mkdir()
    place = Path(uri) if Path(uri).is_dir() else download_model(uri, folder, parameter)
    try:
        return read_model(place)
    except ValueError as error:
        problem = f"{parameter}={uri!r} is no model of this project: {error}"
        raise BadInput(problem, "give one that spacy_train or sparknlp_train has logged") from None


def _create_registered_model(client: mlflow.MlflowClient, name: str) -> None:
    """Create a registered model unless it is there; another process may do the same at this moment."""
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        try:
            client.create_registered_model(name)
        except (MlflowException, OSError):  # what a store says who lost the race differs
            client.get_registered_model(name)


def _versions_of_run(client: mlflow.MlflowClient, name: str, run_id: str) -> list[ModelVersion]:
    """The versions that a run has made, oldest first."""
    found = [version for version in _search(client, f"run_id = '{run_id}'") if version.name == name]
    return sorted(found, key=lambda version: int(version.version))


def _search(client: mlflow.MlflowClient, query: str) -> list[ModelVersion]:
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(query, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _link_to_version(client: mlflow.MlflowClient, model_id: str, name: str, number: int) -> None:
    """Let MLflow's pages show the version at the logged model, as `mlflow.register_model` does."""
    known = json.loads(client.get_logged_model(model_id).tags.get(MLFLOW_MODEL_VERSIONS) or "[]")
    link = {"name": name, "version": number}
    if link not in known:
        client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([*known, link])})


def _suggest(client: mlflow.MlflowClient, name: str) -> str:
    names = sorted(model.name for model in client.search_registered_models())
    similar = get_close_matches(name, names, n=5) or names[:5]
    return f"use one of these: {', '.join(map(repr, similar))}" if similar else _train_into(name)


def _train_into(name: str) -> str:
    return f"train one with `mlflow run . -e spacy_train -P model_name={name or 'NAME'}`"
