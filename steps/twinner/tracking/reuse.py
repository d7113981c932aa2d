"""Find a finished run that an equal training would only repeat."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow

from twinner.corpus import Corpus
from twinner.parameters import PARAMETERS
from twinner.source_code import code_digest
from twinner.tracking.opening import persist
from twinner.tracking.params import step_settings
from twinner.tracking.tags import CODE

SWEEP = "twinner.sweep"  # tag: the name of the sweep that a run belongs to
MAY_BE_LOCAL = ("config", "vectors", "init", "embeddings")  # files whose content no run records


def find_equal_run(step: str, settings: Mapping[str, Any], corpus: Corpus) -> str | None:
    """Return the id of the newest finished run of a step with the same code, splits and settings, if there is one.

    All experiments are searched; if `sweep` is set, only for runs of that sweep. Settings that can't change a score do
    not matter. A training with a config or a model from a folder equals no other, since these may have changed.
    Errors: StoreUnusable if the store does not answer.
    """
    if any(Path(str(settings[name])).exists() for name in MAY_BE_LOCAL if settings.get(name)):
        return None
    tags = {
        "twinner.step": step,
        "twinner.lang": corpus.lang,
        "twinner.corpus_digest": corpus.digest,
        "twinner.test_digest": corpus.test_digest,
        CODE: code_digest(),
    }
    query = " and ".join([*(f"tags.`{name}` = '{value}'" for name, value in tags.items()), "status = 'FINISHED'"])
    matter = [name for name in settings if PARAMETERS[name].affects_scores and name != "lang"]
    wanted = {name: settings[name] for name in matter}
    client = mlflow.MlflowClient()
    experiments = [one.experiment_id for one in persist(client.search_experiments)]
    token: str | None = None
    while True:
        page = persist(lambda token=token: client.search_runs(experiments, query, page_token=token))  # type: ignore[misc]
        for run in page:
            logged = step_settings(run.data.params)
            belongs = not settings["sweep"] or run.data.tags.get(SWEEP) == settings["sweep"]
            if belongs and {name: logged.get(name) for name in matter} == wanted:
                return str(run.info.run_id)
        if not (token := page.token):
            return None


def remove_joined_run() -> None:
    """Remove the run that `mlflow run` made for this process: it would count as a training of its own."""
    run_id = os.environ.pop("MLFLOW_RUN_ID", "")
    if not run_id:
        return
    client = mlflow.MlflowClient()
    persist(lambda: client.set_terminated(run_id, "FINISHED"))  # else `mlflow run` would end it again
    persist(lambda: client.delete_run(run_id))
