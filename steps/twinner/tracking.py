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
from mlflow.entities import RunStatus
from mlflow.exceptions import ExecutionException
from mlflow.models import Model
from mlflow.types.schema import Array, ColSpec, DataType, Schema
from sqlalchemy.engine import make_url

from twinner import serving
from twinner.corpus import Corpus, Sentence, digest
from twinner.errors import BadInput
from twinner.training.trainer import Epoch, Trainer

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

    def __init__(self, step: str) -> None:
        """Open the run that `mlflow run` made for this process, else a new one."""
        self._run = mlflow.start_run()
        self._client = mlflow.MlflowClient()
        self._pending: list[Any] = []
        self._logged = set(self._client.get_run(self.run_id).data.params)
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
        mlflow.log_params({name: value for name, value in params.items() if name not in self._logged})
        self._logged |= params.keys()

    def log_corpus(self, corpus: Corpus, trained_on: int) -> None:
        """Log what was read: sizes, digests and the three datasets; trained_on: the training sentences in use."""
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
        self._pending.append(mlflow.log_metrics(values, step=epoch.number, synchronous=False))

    def log_results(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log final metrics, after those of the epochs have arrived; fails if one of them has not."""
        for operations in self._pending:
            operations.wait()
        self._pending.clear()
        mlflow.log_metrics(dict(metrics), step=step)

    def log_outputs(self, folder: Path) -> None:
        """Log everything in a folder as artifacts, under the names that it has there."""
        mlflow.log_artifacts(str(folder))

    def log_page(self, html: str, name: str) -> None:
        """Log a page as an artifact."""
        mlflow.log_text(html, name)

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

    def log_model(self, trainer: Trainer, example: str | None, name: str) -> str:
        """Log the model as `model`, registered under `name` if there is one; return its URI.

        A plain file store has no registry: there the model is logged only, and a tag says so.
        """
        if name and mlflow.get_tracking_uri().startswith("file:"):
            print(f"The file store has no registry: the model is logged, not registered as {name}.")
            mlflow.set_tag("twinner.registered", "no: a file store has no registry")
            name = ""
        Model.log(
            artifact_path=None,
            name="model",
            flavor=serving,
            registered_model_name=name or None,
            trainer=trainer,
            example=example,
        )
        if name:
            mlflow.set_tag("twinner.registered", name)
        return f"runs:/{self.run_id}/model"


@contextmanager
def tracked_run(step: str) -> Iterator[TrackedRun]:
    """Open the run of a step and leave it FINISHED, FAILED (with `twinner.error`) or KILLED, never RUNNING."""
    run = TrackedRun(step)
    try:
        yield run
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        words = str(error) if isinstance(error, BadInput | ChildFailed) else f"{type(error).__name__}: {error}"
        mlflow.set_tag("twinner.error", "interrupted" if interrupted else words[:LONGEST_TAG])
        mlflow.end_run(RunStatus.to_string(RunStatus.KILLED if interrupted else RunStatus.FAILED))
        raise
    mlflow.end_run()


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
