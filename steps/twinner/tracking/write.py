"""Write to MLflow: the run of a step, and what it logs."""

import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import mlflow.projects
from mlflow.entities import LoggedModelStatus, Metric
from mlflow.exceptions import ExecutionException, MlflowException
from mlflow.models import Model

from twinner import serving
from twinner.corpus import Corpus
from twinner.errors import BadInput, Failure
from twinner.frameworks.contract import Epoch, Trainer
from twinner.tracking.datasets import SplitDataset
from twinner.tracking.registry import MODEL_CARD, lacks_registry, register_version, version_tags
from twinner.tracking.store import failure_reason

LONGEST_TAG = 5000  # characters that every store accepts


class ChildFailed(Failure):
    """A child run failed; its own process has told the user why."""


class TrackingFailed(Failure):
    """The results of a run did not all arrive in MLflow."""


class TrackedRun:
    """The MLflow run of one step. Everything that the step logs goes through this object."""

    def __init__(self, step: str, resume: str = "") -> None:
        """Open the run that `mlflow run` made for this process, else a new one, nested if another run is open.

        resume: the id of a run to reopen instead. `log_corpus` reopens it, so that a refused corpus leaves it as it is.
        The run that `mlflow run` made gets a tag with that id, and ends as the resumed run does.
        """
        self._client = mlflow.MlflowClient()
        self._sent: list[tuple[list[Metric], Any]] = []  # with the pending operation
        self._resumed = bool(resume)
        self._stand_in = os.environ.pop("MLFLOW_RUN_ID", "") if resume else ""
        if self._stand_in:
            self._client.set_tag(self._stand_in, "twinner.step", step)
            self._client.set_tag(self._stand_in, "twinner.resumed", resume)
        self._run = self._client.get_run(resume) if resume else mlflow.start_run(nested=_inside_a_run())
        known = self._client.get_run(self.run_id).data
        self._logged_params = set(known.params)
        self._logged_metrics = {
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
        """Log params, except those that `mlflow run` has logged: MLflow refuses them in another spelling."""
        if new := {name: value for name, value in params.items() if name not in self._logged_params}:
            mlflow.log_params(new)
        self._logged_params |= params.keys()

    def log_corpus(self, corpus: Corpus, training_size: int) -> None:
        """Log the sizes, digests and datasets of a corpus; training_size: the training sentences in use.

        Errors: BadInput if the resumed run had another corpus.
        """
        if self._resumed:
            self._reopen(corpus)
        self.log_params({"training_size": training_size, "dev_size": len(corpus.dev), "test_size": len(corpus.test)})
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
        """Log the framework and the versions of the packages that take part."""
        mlflow.set_tag("twinner.framework", trainer.framework)
        versions = {"python": platform.python_version(), "mlflow": mlflow.__version__, **trainer.versions}
        self.log_params({f"{name}_version": version for name, version in versions.items()})

    def log_epoch(self, epoch: Epoch) -> None:
        """Send the metrics of an epoch; see `send_metrics`."""
        self.send_metrics({"ner.losses": epoch.loss, "epoch_seconds": epoch.seconds, **epoch.scores}, epoch.number)

    def send_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Send metrics in the background, so that training goes on; never fails.

        `log_results` sends again what did not arrive.
        """
        if metrics := self._new_metrics(values, step):
            try:
                operation = self._client.log_batch(self.run_id, metrics=metrics, synchronous=False)
            except Exception:  # MLflow's, a database's, or the network's
                operation = None
            self._sent.append((metrics, operation))

    def log_results(self, outputs: Path, model: Path, model_name: str, metrics: Mapping[str, float]) -> None:
        """Log what a training has produced.

        outputs: a folder whose files and folders become artifacts. model: a folder that `serving.write_model` wrote.
        model_name: see `log_model`. metrics: the final metrics, logged without a step.
        Errors: TrackingFailed if anything did not arrive, after everything else was sent.
        """
        failures: list[Exception] = []
        for send in (
            self._repeat_failed_metrics,
            lambda: self._client.log_artifacts(self.run_id, str(outputs)),
            lambda: self.log_model(model, model_name, (outputs / MODEL_CARD).read_text(encoding="utf-8"), metrics),
            lambda: self._client.log_batch(self.run_id, metrics=self._new_metrics(metrics, 0)),
        ):
            try:
                send()
            except Exception as error:  # MLflow's, a database's, the network's, or an artifact store's
                failures.append(error)
        if failures:
            reason = failure_reason(failures[0])
            raise TrackingFailed(f"not all results could be logged to MLflow ({reason})") from failures[0]

    @property
    def model_uri(self) -> str:
        """The URI of the model that the run logs."""
        return f"runs:/{self.run_id}/model"

    def log_model(self, folder: Path, name: str, description: str, metrics: Mapping[str, float]) -> None:
        """Log the model in a folder as `model`, registered under `name` if it is not empty.

        folder: as `serving.write_model` wrote it. description, metrics: of the version, see `version_tags`.
        Where the store has no registry, the model is only logged, and a tag says so.
        """
        model_id = self._logged_model()
        if not model_id:
            model = Model.log(
                artifact_path=None, name="model", flavor=serving, written=folder, validate_serving_input=False
            )
            model_id = str(model.model_id)
        if not name:
            return
        tags = version_tags(self.run_id, self._client.get_run(self.run_id).data.tags, metrics)
        try:
            register_version(self._client, name, model_id, self.run_id, description, tags)
        except MlflowException as error:
            if not lacks_registry(error):
                raise
            name = "no: the store has no registry"
        mlflow.set_tag("twinner.registered", name)

    def log_page(self, text: str, name: str) -> None:
        """Log a text as an artifact."""
        mlflow.log_text(text, name)

    def start_child(self, project: Path, step: str, params: Mapping[str, str]) -> str:
        """Run another step of the project in this environment, as a child of this run; return the id of its run.

        Errors: ChildFailed, with the words of the child's tag `twinner.error`.
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

    def end(self, status: str = "FINISHED", error: str = "") -> None:
        """End the run, and the one that `mlflow run` made for resuming it; error: why it failed."""
        active = mlflow.active_run()
        if active and active.info.run_id == self.run_id:
            if error:
                mlflow.set_tag("twinner.error", error[:LONGEST_TAG])
            mlflow.end_run(status)
        if self._stand_in:
            if error:
                self._client.set_tag(self._stand_in, "twinner.error", error[:LONGEST_TAG])
            self._client.set_terminated(self._stand_in, status)

    def _reopen(self, corpus: Corpus) -> None:
        """Reopen the resumed run after checking its corpus digests."""
        tags = self._run.data.tags
        for tag, splits, digest in (
            ("twinner.corpus_digest", "train and dev", corpus.digest),
            ("twinner.test_digest", "test", corpus.test_digest),
        ):
            if tags.get(tag) != digest:
                problem = f"resume={self.run_id}: that run had another corpus ({tags.get('twinner.corpus')})"
                details = f"the digest of its {splits} is {tags.get(tag)}, not {digest}"
                raise BadInput(f"{problem}, {details}", "give the same corpus, or leave resume empty")
        mlflow.start_run(run_id=self.run_id, nested=_inside_a_run())
        if "twinner.error" in tags:
            self._client.delete_tag(self.run_id, "twinner.error")

    def _new_metrics(self, values: Mapping[str, float], step: int) -> list[Metric]:
        """The metrics that the run does not have at this step yet; a resumed run has some."""
        now = int(time.time() * 1000)
        new = {name: value for name, value in values.items() if (name, step) not in self._logged_metrics}
        self._logged_metrics |= {(name, step) for name in new}
        return [Metric(name, value, now, step) for name, value in new.items()]

    def _repeat_failed_metrics(self) -> None:
        """Wait for the metrics on their way, and send those again that did not arrive.

        The store keeps a metric that it gets twice, with its timestamp, once.
        """
        for metrics, operation in self._sent:
            try:
                if operation is None:
                    raise MlflowException("never sent")
                operation.wait()
            except Exception:  # whatever the reason was, it is raised here if it lasts
                self._client.log_batch(self.run_id, metrics=metrics)
        self._sent.clear()

    def _logged_model(self) -> str:
        """The id of the model that a resumed run had logged before it was stopped, which equals the one of now."""
        if not self._resumed:
            return ""
        found = self._client.search_logged_models([self.experiment_id], f"source_run_id = '{self.run_id}'")
        return next((str(model.model_id) for model in found if model.status == LoggedModelStatus.READY), "")


@contextmanager
def tracked_run(step: str, resume: str = "", keep_text: bool = True) -> Iterator[TrackedRun]:
    """Open the run of a step and leave it FINISHED, FAILED (with `twinner.error`) or KILLED, never RUNNING.

    resume: the id of a run to reopen, once its corpus is known; see `TrackedRun`. keep_text: whether the stored error
    may quote the corpus.
    """
    run = TrackedRun(step, resume)
    try:
        yield run
    except BaseException as error:
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        try:
            run.end(status, _stored_words(error, keep_text))
        except Exception as second:  # the tracker may be what failed: the first error is the one to report
            error.add_note(f"The run could not be marked {status}: {failure_reason(second)}")
        raise
    run.end()


def fail_joined_run(message: str, status: str = "FAILED") -> None:
    """End the run that `mlflow run` started this process in, unless it was opened already."""
    if run_id := os.environ.get("MLFLOW_RUN_ID"):
        client = mlflow.MlflowClient()
        client.set_tag(run_id, "twinner.error", message[:LONGEST_TAG])
        client.set_terminated(run_id, status)


def _inside_a_run() -> bool:
    return mlflow.active_run() is not None


def _stored_words(error: BaseException, keep_text: bool) -> str:
    """What the tag `twinner.error` says of an error."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, BadInput):
        words = str(error) if keep_text else error.redacted
    elif isinstance(error, Failure):
        words = str(error)
    else:
        words = f"{type(error).__name__}: {error if keep_text else 'its message is not stored, as log_text is no'}"
    return "; ".join([words, *getattr(error, "__notes__", [])])
