"""Read training runs from MLflow into plain values."""

import gc
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

import mlflow
from mlflow.entities import Run as StoredRun
from mlflow.exceptions import MlflowException

from twinner.errors import BadInput
from twinner.secrets import mask_secrets
from twinner.terminal import one_line
from twinner.tracking.params import plain_params, step_settings
from twinner.tracking.ranking import by_epoch_metric, kept_epoch_metric, metrics_to_rank_by, suggest_metric
from twinner.tracking.run import Run, step_of
from twinner.tracking.tags import REPRODUCES, TESTED

MAX_REQUESTS = 8  # concurrent requests to the store
CONTEXT = "mlflow.data.context"  # of a dataset: its tag for the split
MAX_PARENTS = 10  # ancestors of a run to look at
INFINITY = 1.79e308  # SQL stores write infinity as the largest float


def find_experiments(experiments: str) -> dict[str, str]:
    """Return id -> name of experiments given as comma-separated names or ids; empty: the current experiment.

    The current one is where MLflow would log: MLFLOW_EXPERIMENT_ID, else MLFLOW_EXPERIMENT_NAME, else `Default`.
    Raises BadInput with similar names if one does not exist.
    """
    wanted = [part.strip() for part in experiments.split(",") if part.strip()]
    current = [os.environ.get("MLFLOW_EXPERIMENT_ID") or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "0"]
    client = mlflow.MlflowClient()
    by_name = {}
    page = client.search_experiments()
    while True:
        by_name.update({experiment.name: experiment.experiment_id for experiment in page})
        if not page.token:
            break
        page = client.search_experiments(page_token=page.token)
    names = {identity: name for name, identity in by_name.items()}
    found = {}
    for name in wanted or current:
        if name not in by_name and name not in names:
            similar = get_close_matches(name, by_name, n=5, cutoff=0.5) or sorted(by_name)[:5]
            listed = ", ".join(map(one_line, similar))
            raise BadInput(f"there is no experiment {name!r}", f"use one of these: {listed}")
        identity = by_name.get(name, name)
        found[identity] = names[identity]
    return found


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's garbage collector: with 10,000 runs in memory it takes longer than reading them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@collector_paused()
def find_training_runs(experiments: str = "", filter: str = "", metric: str = "") -> list[Run]:
    """Find the training runs of experiments that match an MLflow filter, newest first.

    A training run is one of a step named `…_train`, or one that another tool logged with `metric` or with the tag
    `twinner.framework`. Left out are runs that merely stand in for a resumed run (`twinner.resumed`), or repeat one.
    Raises BadInput for a filter that MLflow rejects, for a store with malformed ids, and if there is no such run.
    """
    names = find_experiments(experiments)
    client = mlflow.MlflowClient()
    stored: dict[str, StoredRun] = {}
    token: str | None = None
    while True:
        try:
            page = client.search_runs(list(names), filter, page_token=token)
        except MlflowException as error:
            remedy = "write it as MLflow does, as in \"metrics.test_f1 > 0.8 and params.corpus = 'demo'\""
            raise BadInput(f"cannot parse the filter {filter!r}: {one_line(error.message)}", remedy) from error
        stored |= {run.info.run_id: run for run in page}
        token = page.token
        if not token:
            break
    wanted = {*metrics_to_rank_by(kept_epoch_metric(metric)), by_epoch_metric(metric)} - {""}
    chosen = [run for run in stored.values() if _is_training(run, wanted)]
    if not chosen:
        where = f"experiment {', '.join(map(repr, names.values()))}"
        where += f" match the filter {filter!r}" if filter.strip() else ""
        known = sorted({name for run in stored.values() if not _is_ours(run) for name in run.data.metrics})
        if metric and known:
            raise BadInput(
                f"no training runs in {where}: none has the metric {metric!r}", suggest_metric(metric, known)
            )
        raise BadInput(f"no training runs in {where}", "make one with `mlflow run . -e spacy_train`")
    runs = _tell_apart([_plain(run, names) for run in chosen])
    return sorted(runs, key=lambda run: run.started, reverse=True)


def read_runs(ids: Sequence[str]) -> dict[str, Run]:
    """Read runs by id; those that are gone, deleted, or not to be read are left out. Their experiment is not named."""
    client = mlflow.MlflowClient()

    def read(run_id: str) -> StoredRun | None:
        try:
            return client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED"):
                return None
            raise

    with ThreadPoolExecutor(MAX_REQUESTS) as pool:
        found = list(pool.map(read, ids))
    return {run.info.run_id: _plain(run, {}) for run in found if run and run.info.lifecycle_stage == "active"}


def score_kept_epochs(runs: Sequence[Run], metric: str) -> list[Run]:
    """Return the runs with their score on dev at `best_epoch`, where a metric `best_dev_…` asks for it.

    Runs that logged the metric are returned as they are. For others it is taken from the history of `dev_…`; those
    without a `best_epoch`, or without a value there, stay without it.
    """
    by_epoch = by_epoch_metric(metric)
    if by_epoch == metric:
        return list(runs)
    lacking = [run for run in runs if metric not in run.metrics and run.score("best_epoch") is not None]
    histories = read_histories(lacking, [by_epoch])
    scored = []
    for run in runs:
        score = dict(histories.get((run.id, by_epoch), ())).get(int(run.score("best_epoch") or 0))
        scored.append(run if score is None else replace(run, metrics={**run.metrics, metric: score}))
    return scored


def read_histories(runs: Sequence[Run], metrics: Sequence[str]) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Return the values of some metrics as (epoch, value) in order, by (run id, metric); empty ones are left out.

    If an epoch was logged twice, as by a resumed run, the later value counts. Values that are not finite are dropped.
    """
    client = mlflow.MlflowClient()

    def read(wanted: tuple[str, str]) -> list[tuple[int, float]]:
        points = sorted(client.get_metric_history(*wanted), key=lambda point: point.timestamp)
        return sorted({point.step: point.value for point in points if abs(point.value) < INFINITY}.items())

    wanted = [(run.id, metric) for run in runs for metric in metrics if metric in run.metrics]
    with ThreadPoolExecutor(MAX_REQUESTS) as pool:
        found = zip(wanted, pool.map(read, wanted), strict=True)
        return {key: values for key, values in found if values}


def unfinished_run(run_id: str, step: str) -> dict[str, str]:
    """Return the params of a run of this step that can be resumed, as the store spells them.

    A trial of a sweep, finished on dev, can be: it is then scored on test.
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
    if run.info.status == "FINISHED" and run.data.tags.get(TESTED) != "no":
        raise BadInput(f"{given}: that run is finished", "continue from its model with init, or leave resume empty")
    return dict(run.data.params)


def environment_manager(run: Run) -> str:
    """Return the `--env-manager` that the user started a run with; empty if unknown.

    A step that starts another one (`main`) runs it in its own environment, as `local`: there the parent's counts.
    """
    manager, tags = _environment_of(run.tags), run.tags
    client = mlflow.MlflowClient()
    for _ in range(MAX_PARENTS):
        parent = tags.get("mlflow.parentRunId")
        if not parent or _environment_of(tags) not in ("local", ""):
            break
        try:
            tags = client.get_run(parent).data.tags
        except MlflowException:
            break
        manager = _environment_of(tags) or manager
    return manager if re.fullmatch(r"uv|virtualenv|conda|local", manager) else ""


def _environment_of(tags: Mapping[str, str]) -> str:
    # MLflow tags a run of `mlflow run --env-manager local` with its backend alone.
    return tags.get("mlflow.project.env") or ("local" if "mlflow.project.backend" in tags else "")


def _tell_apart(runs: Sequence[Run]) -> list[Run]:
    """Add a part of their ids to the names of trainings that were named alike, after their step and equal scores."""
    counts = Counter(run.name for run in runs if re.fullmatch(rf"{re.escape(run.step)} \d\.\d{{3}}", run.name))
    return [replace(run, name=f"{run.name} ({run.id[:6]})") if counts[run.name] > 1 else run for run in runs]


def _is_training(run: StoredRun, metrics: set[str]) -> bool:
    tags = run.data.tags
    if "twinner.resumed" in tags or REPRODUCES in tags:
        return False
    if _is_ours(run):
        return step_of(tags).endswith("_train")
    return "twinner.framework" in tags or any(metric in run.data.metrics for metric in metrics)


def _is_ours(run: StoredRun) -> bool:
    return bool(step_of(run.data.tags))


def _masked(texts: Mapping[str, str]) -> dict[str, str]:
    """The params or tags of a run without secrets: `mlflow run` stores what it is given, even what a step refuses."""
    return {name: mask_secrets(text) for name, text in texts.items()}


def _plain(stored: StoredRun, experiments: Mapping[str, str]) -> Run:
    info, data, params = stored.info, stored.data, _masked(stored.data.params)
    return Run(
        id=_checked_id(info.run_id),
        experiment_id=_checked_id(info.experiment_id),
        name=info.run_name or info.run_id,
        status=info.status,
        started=_started(info.start_time),
        params=plain_params(params),
        settings=step_settings(params),
        metrics={name: _restore_infinity(value) for name, value in data.metrics.items()},
        tags=_masked(data.tags),
        artifact_uri=info.artifact_uri or "",
        experiment=experiments.get(info.experiment_id, ""),
        digests=_digests(stored),
    )


def _digests(stored: StoredRun) -> dict[str, str]:
    inputs = stored.inputs.dataset_inputs if stored.inputs else []
    return {tag.value: used.dataset.digest for used in inputs for tag in used.tags if tag.key == CONTEXT}


def _checked_id(identity: str) -> str:
    """Return an id; raise BadInput unless it is safe in a path and in an address."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", identity):
        problem = f"the tracking store returned the malformed id {identity!r}"
        raise BadInput(problem, "check that MLFLOW_TRACKING_URI points to a server that you trust")
    return identity


def _started(milliseconds: Any) -> datetime:
    try:
        return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC)
    except (ValueError, OverflowError, OSError, TypeError):  # no date of this era
        return datetime.fromtimestamp(0, UTC)


def _restore_infinity(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) >= INFINITY else value
