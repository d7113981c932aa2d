"""The only place that a training writes to MLflow from."""

import json
import os
import platform
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import mlflow.projects
from mlflow.data.dataset_source import DatasetSource
from mlflow.data.dataset_source_registry import get_dataset_source_from_json
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import ExecutionException, MlflowException
from mlflow.models import Model
from mlflow.types.schema import Array, ColSpec, DataType, Schema
from sqlalchemy.engine import make_url

from twinner import serving
from twinner.corpus import Corpus, Sentence, digest
from twinner.errors import BadInput
from twinner.frameworks.contract import Epoch, Trainer

LONGEST_TAG = 5000  # characters that every store takes
DATASET_SCHEMA = Schema(
    [ColSpec(Array(DataType.string), name="tokens"), ColSpec(Array(DataType.string), name="tags")],
)


class SplitDataset(MetaDataset):
    """A split of a corpus as MLflow keeps a dataset: digest, source, schema and sizes, but none of its text."""

    def __init__(self, corpus: Corpus, split: str) -> None:
        """split: `train`, `dev` or `test`."""
        self._sentences: tuple[Sentence, ...] = getattr(corpus, split)
        name = f"{Path(corpus.name).name}-{split}"[-100:]
        super().__init__(_source(corpus.sources[split]), name, digest(self._sentences), DATASET_SCHEMA)

    @property
    def profile(self) -> dict[str, int]:
        """Sizes of the split."""
        return {
            "sentences": len(self._sentences),
            "tokens": sum(len(sentence.tokens) for sentence in self._sentences),
            "entities": sum(len(sentence.entities) for sentence in self._sentences),
        }

    def to_dict(self) -> dict[str, str]:
        """What MLflow stores of it."""
        return super().to_dict() | {"profile": json.dumps(self.profile)}


class ChildFailed(Exception):
    """A step that was started as a child has failed; its own line on stderr has told the user."""


class TrackedRun:
    """The MLflow run of one step; every value that is logged passes through here."""

    def __init__(self, step: str, resume: str = "") -> None:
        """Open the run that `mlflow run` made for this process, else a new one.

        resume: id of the run to go on with instead. `log_corpus` opens it, so that what is refused before leaves it
        as it is; the run that `mlflow run` made is told what it stands for, and ends as the other does.
        """
        self._client = mlflow.MlflowClient()
        self._pending: list[Any] = []
        self._resumed = bool(resume)
        self._stand_in = os.environ.pop("MLFLOW_RUN_ID", "") if resume else ""
        if self._stand_in:
            self._client.set_tag(self._stand_in, "twinner.step", step)
            self._client.set_tag(self._stand_in, "twinner.resumed", resume)
        self._run = self._client.get_run(resume) if resume else mlflow.start_run()
        known = self._client.get_run(self.run_id).data
        self._logged = set(known.params)
        self._metrics = {
            (metric.key, metric.step)
            for name in known.metrics
            for metric in self._client.get_metric_history(self.run_id, name)
        }
        if not resume:
            mlflow.set_tag("twinner.step", step)

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        return str(self._run.info.run_id)

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment."""
        return str(self._run.info.experiment_id)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params, but those that `mlflow run` has logged: in another spelling they would be refused."""
        if new := {name: value for name, value in params.items() if name not in self._logged}:
            mlflow.log_params(new)
        self._logged |= params.keys()

    def log_corpus(self, corpus: Corpus, trained_on: int) -> None:
        """Log what was read: sizes, digests and the three datasets; trained_on: the training sentences in use.

        Errors: BadInput if the run that is gone on with was given another corpus.
        """
        if self._resumed:
            self._open_again(corpus)
        self.log_params(
            {"training_size": trained_on, "dev_size": len(corpus.dev), "test_size": len(corpus.test)},
        )
        mlflow.set_tags(
            {
                "twinner.corpus": corpus.name,
                "twinner.lang": corpus.lang,
                "twinner.corpus_digest": corpus.digest,
                "twinner.test_digest": corpus.test_digest,
            }
        )
        for split in ("train", "dev", "test"):
            mlflow.log_input(SplitDataset(corpus, split), context=split)

    def log_framework(self, trainer: Trainer) -> None:
        """Log which framework trains, and the versions of what takes part."""
        mlflow.set_tag("twinner.framework", trainer.framework)
        versions = {"python": platform.python_version(), "mlflow": mlflow.__version__, **trainer.versions}
        self.log_params({f"{name}_version": version for name, version in versions.items()})

    def log_epoch(self, epoch: Epoch) -> None:
        """Send the metrics of an epoch, in the background so that training goes on."""
        values = {"ner.losses": epoch.loss, "epoch_seconds": epoch.seconds, **epoch.scores}
        if new := self._new(values, epoch.number):
            self._pending.append(mlflow.log_metrics(new, step=epoch.number, synchronous=False))

    def log_results(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log final metrics, after those of the epochs have arrived; fails if one of them has not."""
        for operations in self._pending:
            operations.wait()
        self._pending.clear()
        if new := self._new(metrics, step or 0):
            mlflow.log_metrics(new, step=step)

    def log_outputs(self, folder: Path) -> None:
        """Log everything in a folder as artifacts, under the names that it has there."""
        mlflow.log_artifacts(str(folder))

    def log_page(self, html: str, name: str) -> None:
        """Log a page as an artifact."""
        mlflow.log_text(html, name)

    def end(self, status: str = "FINISHED", error: str = "") -> None:
        """End the run, if it is open, and the one that `mlflow run` made for going on with it; error: why it failed."""
        if mlflow.active_run():
            if error:
                mlflow.set_tag("twinner.error", error[:LONGEST_TAG])
            mlflow.end_run(status)
        if self._stand_in:
            if error:
                self._client.set_tag(self._stand_in, "twinner.error", error[:LONGEST_TAG])
            self._client.set_terminated(self._stand_in, status)

    def _open_again(self, corpus: Corpus) -> None:
        """Open the run that is gone on with, once it is known to have been given this corpus."""
        tags = self._run.data.tags
        for tag, splits, digest_now in (
            ("twinner.corpus_digest", "train and dev", corpus.digest),
            ("twinner.test_digest", "test", corpus.test_digest),
        ):
            if tags.get(tag) != digest_now:
                problem = f"resume={self.run_id}: that run was given another corpus ({tags.get('twinner.corpus')})"
                told = f"its {splits} has the digest {tags.get(tag)}, not {digest_now}"
                raise BadInput(f"{problem}, {told}", "give the same corpus, or leave resume empty")
        mlflow.start_run(run_id=self.run_id)
        if "twinner.error" in tags:
            self._client.delete_tag(self.run_id, "twinner.error")

    def _new(self, metrics: Mapping[str, float], step: int) -> dict[str, float]:
        """Those that the run does not have at this step, as it may when it is gone on with."""
        new = {name: value for name, value in metrics.items() if (name, step) not in self._metrics}
        self._metrics |= {(name, step) for name in new}
        return new

    def start_child(self, project: Path, step: str, params: Mapping[str, str]) -> str:
        """Run another step of the project in this environment, as a child of this run; return its run's id.

        Errors: ChildFailed with the words that the child left in `twinner.error`.
        """
        try:
            child = mlflow.projects.run(
                str(project),
                entry_point=step,
                parameters=dict(params),
                experiment_id=self.experiment_id,
                env_manager="local",
            )
        except ExecutionException:
            query = f"tags.mlflow.parentRunId = '{self.run_id}' and tags.mlflow.project.entryPoint = '{step}'"
            failed = self._client.search_runs([self.experiment_id], query, max_results=1)
            words = failed[0].data.tags.get("twinner.error", "") if failed else ""
            raise ChildFailed(f"{step} failed: {words}" if words else f"{step} failed") from None
        return str(child.run_id)

    def log_model(self, folder: Path, name: str) -> str:
        """Log the model in a folder as `model`, registered under `name` if it is not empty; return its URI.

        folder: as `serving.write_model` wrote it. A plain file store has no registry: there the model is logged only,
        and a tag says so.
        """
        if name and mlflow.get_tracking_uri().startswith("file:"):
            print(f"The file store has no registry: the model is logged, not registered as {name}.")
            mlflow.set_tag("twinner.registered", "no: a file store has no registry")
            name = ""
        uri = f"runs:/{self.run_id}/model"
        if not self._has_model():
            Model.log(
                artifact_path=None,
                name="model",
                flavor=serving,
                registered_model_name=name or None,
                written=folder,
                validate_serving_input=False,
            )
        elif name and "twinner.registered" not in self._run.data.tags:
            mlflow.register_model(uri, name)
        if name:
            mlflow.set_tag("twinner.registered", name)
        return uri

    def _has_model(self) -> bool:
        """Whether the run was stopped so late that it has its model: the one of now is the same, to the byte."""
        if not self._resumed:
            return False
        found = self._client.search_logged_models([self.experiment_id], f"source_run_id = '{self.run_id}'")
        return any(model.status == LoggedModelStatus.READY for model in found)


@contextmanager
def tracked_run(step: str, resume: str = "") -> Iterator[TrackedRun]:
    """Open the run of a step and leave it FINISHED, FAILED (with `twinner.error`) or KILLED, never RUNNING.

    resume: id of the run to go on with, which is opened as soon as its corpus is known; see `TrackedRun`.
    """
    run = TrackedRun(step, resume)
    try:
        yield run
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        words = str(error) if isinstance(error, BadInput | ChildFailed) else f"{type(error).__name__}: {error}"
        run.end("KILLED" if interrupted else "FAILED", "interrupted" if interrupted else words)
        raise
    run.end()


def unfinished_run(run_id: str, step: str) -> dict[str, str]:
    """The params of a run of this step that can be gone on with, as the store spells them.

    Errors: BadInput for a run that is not known, is of another step, or has finished.
    """
    begin = f"resume={run_id}"
    try:
        run = mlflow.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        advice = "give the id of a run of this tracking store, MLFLOW_TRACKING_URI"
        raise BadInput(f"{begin}: there is no such run", advice) from None
    of = run.data.tags.get("twinner.step", "no step of this project")
    if of != step:
        raise BadInput(f"{begin}: that run is of {of}", f"give one of {step}")
    if run.info.lifecycle_stage == "deleted":
        raise BadInput(f"{begin}: that run is deleted", "restore it, or leave resume empty")
    if run.info.status == "FINISHED":
        raise BadInput(f"{begin}: that run has finished", "train on from its model with init, or leave resume empty")
    return dict(run.data.params)


def download_model(uri: str, folder: Path) -> Path:
    """Fetch a model (`runs:/…` or `models:/…`) to a folder; the folder it is then in.

    Errors: BadInput if there is none.
    """
    try:
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        advice = "name a run's model as runs:/ID/model, or models:/NAME/VERSION"
        raise BadInput(f"init={uri!r}: there is no such model: {reason}", advice) from None


def fail_joined_run(message: str, status: str = "FAILED") -> None:
    """End the run that this process was started in, unless it was opened already; without one, do nothing."""
    if run_id := os.environ.get("MLFLOW_RUN_ID"):
        client = mlflow.MlflowClient()
        client.set_tag(run_id, "twinner.error", message[:LONGEST_TAG])
        client.set_terminated(run_id, status)


def where_to_look(run: TrackedRun) -> str:
    """The command or address that shows the run, passwords masked."""
    uri = mlflow.get_tracking_uri()
    if uri.startswith(("http://", "https://")):
        address = make_url(uri).render_as_string(hide_password=True)
        return f"{address.rstrip('/')}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    if "://" in uri and not uri.startswith("file:"):
        uri = make_url(uri).render_as_string(hide_password=True)
    return f"mlflow ui --backend-store-uri {shlex.quote(uri)}"


def _source(place: str) -> DatasetSource:
    """Where a dataset came from, as MLflow knows it: a file or an address."""
    kind = "http" if place.startswith(("http://", "https://")) else "local"
    if kind == "local" and "://" not in place:
        place = Path(place).absolute().as_uri()
    return get_dataset_source_from_json(json.dumps({"url" if kind == "http" else "uri": place}), source_type=kind)
