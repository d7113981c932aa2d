"""Training runs as MLflow holds them, read into plain values."""

import gc
import logging
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from urllib.parse import urlsplit

import mlflow
from mlflow.entities import Run as StoredRun
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from twinner.errors import BadInput
from twinner.frameworks import FRAMEWORKS
from twinner.tracking.params import plain_params, step_settings

# (run id, metric) -> its values by epoch, as (epoch, value) in order.
History = Mapping[tuple[str, str], Sequence[tuple[int, float]]]
AT_ONCE = 8  # requests to the store at the same time
LONGEST_CAUSE = 300  # characters of a library's own words
LOWER_IS_BETTER = frozenset({"training_time", "test_time", "epoch_seconds", "peak_memory_mb", "ner.losses"})


@dataclass(frozen=True)
class Run:
    """One training run, as MLflow knows it.

    params: as `plain_params` gives them. settings: the parameters of its step, as `step_settings` gives them.
    metrics: the last value of each. status: MLflow's, such as `FINISHED`.
    """

    id: str
    experiment_id: str
    name: str
    status: str
    started: datetime
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    artifact_uri: str = ""
    settings: Mapping[str, str | int | float] = field(default_factory=dict)

    @cached_property
    def framework(self) -> str:
        """The framework in the words of its makers, where it is one that we know."""
        name = self.tags.get("twinner.framework") or self.step.removesuffix("_train")
        return FRAMEWORKS[name].title if name in FRAMEWORKS else name

    @property
    def step(self) -> str:
        """The entry point that made it, such as `spacy_train`."""
        return self.tags.get("twinner.step") or self.tags["mlflow.project.entryPoint"]

    @property
    def corpus(self) -> str:
        """The corpus by the name that the user gave."""
        return self.tags.get("twinner.corpus") or self.params.get("corpus", "")

    @property
    def test_digest(self) -> str:
        """What names its test set; empty where the run did not get that far."""
        return self.tags.get("twinner.test_digest", "")

    @property
    def error(self) -> str:
        """Why it failed, in the words the user got."""
        return self.tags.get("twinner.error", "")

    @property
    def commit(self) -> str:
        """The commit of the project that it ran."""
        return self.tags.get("mlflow.source.git.commit", "")

    @property
    def model_uri(self) -> str:
        """Where its model is, for `mlflow models serve -m` and `load_model`."""
        return f"runs:/{self.id}/model"

    def score(self, metric: str) -> float | None:
        """The metric's value, or None if there is none that counts (`nan` does not)."""
        value = self.metrics.get(metric)
        return value if value is not None and math.isfinite(value) else None

    def ranks(self, metric: str) -> bool:
        """Whether it can be ranked by the metric: finished, on a known test set, with a value."""
        return self.status == "FINISHED" and bool(self.test_digest) and self.score(metric) is not None


def check_store() -> None:
    """Raise BadInput unless the tracking store answers; a server gets one more try, not MLflow's minutes of them."""
    retries = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
    before = os.environ.get(retries)
    os.environ[retries] = before or "1"
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it would tell of each try
    try:
        mlflow.MlflowClient().search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        uri = mlflow.get_tracking_uri()
        address = make_url(uri).render_as_string(hide_password=True) if "://" in uri else uri
        words = str(error).split("\n")[0].replace(uri, address)[:LONGEST_CAUSE]
        problem = f"the tracking store {address} does not answer ({words})"
        raise BadInput(problem, "see that it runs, and that MLFLOW_TRACKING_URI names it") from error
    finally:
        if before is None:
            del os.environ[retries]


def find_experiments(experiments: str) -> list[str]:
    """The ids of experiments given as names or ids with commas between; of the current one if none is given.

    The current one is what MLflow would log to: MLFLOW_EXPERIMENT_ID, else MLFLOW_EXPERIMENT_NAME, else `Default`.
    Raises BadInput with the near names if one does not exist.
    """
    wanted = [part.strip() for part in experiments.split(",") if part.strip()]
    current = [os.environ.get("MLFLOW_EXPERIMENT_ID") or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "0"]
    client = mlflow.MlflowClient()
    by_name = {}
    known = client.search_experiments()
    while True:
        by_name.update({experiment.name: experiment.experiment_id for experiment in known})
        if not known.token:
            break
        known = client.search_experiments(page_token=known.token)
    ids = set(by_name.values())
    found = []
    for name in wanted or current:
        if name not in by_name and name not in ids:
            near = get_close_matches(name, by_name, n=5, cutoff=0.5) or sorted(by_name)[:5]
            raise BadInput(f"there is no experiment {name!r}", f"use one of these: {', '.join(near)}")
        found.append(by_name.get(name, name))
    return list(dict.fromkeys(found))


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep Python's cycle collector still: with 10,000 runs in memory it takes more time than the reading itself."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@collector_paused()
def find_training_runs(experiments: str = "", filter: str = "") -> list[Run]:
    """All training runs of the experiments that the MLflow filter lets through, newest first.

    A training run is one whose tag `twinner.step` ends in `_train`; what another run went on with
    (`twinner.resumed`) is left out. Raises BadInput for a filter that MLflow refuses, and if there is no run.
    """
    ids = find_experiments(experiments)
    client = mlflow.MlflowClient()
    stored: dict[str, StoredRun] = {}
    # A run with a usage error never came to name its step: MLflow's own tag of the entry point finds it.
    for mark in (
        "tags.`twinner.step` LIKE '%_train'",
        "tags.`mlflow.project.entryPoint` LIKE '%_train' and attributes.status != 'FINISHED'",
    ):
        query = f"{filter} and {mark}" if filter.strip() else mark
        token: str | None = None
        while True:
            try:
                page = client.search_runs(ids, query, page_token=token)
            except MlflowException as error:
                remedy = "write it as MLflow does, as in \"metrics.test_f1 > 0.8 and params.corpus = 'demo'\""
                raise BadInput(f"the filter {filter!r} is not understood: {error.message}", remedy) from error
            stored |= {run.info.run_id: run for run in page}
            token = page.token
            if not token:
                break
    runs = [
        _plain(run)
        for run in stored.values()
        if run.data.tags.keys() & {"twinner.step", "twinner.error"} and "twinner.resumed" not in run.data.tags
    ]
    # In LIKE, `_` stands for any character.
    runs = sorted((run for run in runs if run.step.endswith("_train")), key=lambda run: run.started, reverse=True)
    if not runs:
        where = f"experiment {', '.join(ids)}" + (f" match the filter {filter!r}" if filter.strip() else "")
        raise BadInput(f"no training runs in {where}", "make one with `mlflow run . -e spacy_train`")
    return runs


def read_histories(runs: Sequence[Run], metrics: Sequence[str]) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """The values by epoch of some metrics, as (step, value) in order, by (run id, metric); empty ones left out.

    Where a step was logged twice, as by a run that was resumed, the later value counts.
    """
    client = mlflow.MlflowClient()

    def read(wanted: tuple[str, str]) -> list[tuple[int, float]]:
        points = sorted(client.get_metric_history(*wanted), key=lambda point: point.timestamp)
        return sorted({point.step: point.value for point in points if math.isfinite(point.value)}.items())

    wanted = [(run.id, metric) for run in runs for metric in metrics if metric in run.metrics]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = zip(wanted, pool.map(read, wanted), strict=True)
        return {key: values for key, values in found if values}


def check_metric(runs: Sequence[Run], metric: str) -> None:
    """Raise BadInput unless some finished run has the metric; name what there is."""
    finished = [run for run in runs if run.status == "FINISHED"]
    if not finished:
        counts = ", ".join(f"{count} {status}" for status, count in Counter(run.status for run in runs).items())
        words = next((f"; the newest failure: {run.error}" for run in runs if run.error), "")
        raise BadInput(f"no finished training run ({counts}{words})", "let one finish: `mlflow run . -e spacy_train`")
    known = sorted({name for run in finished for name in run.metrics})
    if metric not in known:
        headline = [name for name in known if name.startswith("test_")]
        near = get_close_matches(metric, known, n=5) or headline[:12] or known[:12]
        raise BadInput(f"no finished run has the metric {metric!r}", f"use one of these: {', '.join(near) or '(none)'}")
    if not any(run.ranks(metric) for run in finished):
        raise BadInput(
            f"no finished run has both a value of {metric!r} that is a number and the tag twinner.test_digest",
            "let one finish: `mlflow run . -e spacy_train`",
        )


def link_to_run(run: Run) -> str:
    """The address at which the tracking server shows a run, without any password; empty if the store is no server."""
    server = urlsplit(mlflow.get_tracking_uri())
    if server.scheme not in ("http", "https"):
        return ""
    host = server.netloc.rpartition("@")[2]
    return f"{server.scheme}://{host}{server.path.rstrip('/')}/#/experiments/{run.experiment_id}/runs/{run.id}"


def _plain(stored: StoredRun) -> Run:
    return Run(
        id=stored.info.run_id,
        experiment_id=stored.info.experiment_id,
        name=stored.info.run_name or stored.info.run_id,
        status=stored.info.status,
        started=datetime.fromtimestamp((stored.info.start_time or 0) / 1000, UTC),
        params=plain_params(stored.data.params),
        settings=step_settings(stored.data.params),
        metrics=dict(stored.data.metrics),
        tags=dict(stored.data.tags),
        artifact_uri=stored.info.artifact_uri or "",
    )


def unfinished_run(run_id: str, step: str) -> dict[str, str]:
    """Return the params of a run of this step that can be resumed, as the store spells them.

    Errors: BadInput for a run that is unknown, deleted, finished, or of another step.
    """
    given = f"resume={run_id}"
    try:
        run = mlflow.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        advice = "give the id of a run in this tracking store (MLFLOW_TRACKING_URI)"
        raise BadInput(f"{given}: there is no such run", advice) from None
    of_step = run.data.tags.get("twinner.step", "no step of this project")
    if of_step != step:
        raise BadInput(f"{given}: that is a run of {of_step}", f"give a run of {step}")
    if run.info.lifecycle_stage == "deleted":
        raise BadInput(f"{given}: that run is deleted", "restore it, or leave resume empty")
    if run.info.status == "FINISHED":
        raise BadInput(f"{given}: that run is finished", "continue from its model with init, or leave resume empty")
    return dict(run.data.params)
