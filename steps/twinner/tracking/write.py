"""Write to MLflow: the run of a step, and what it logs."""

import json
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mlflow
import mlflow.projects
from mlflow.entities import Run
from mlflow.exceptions import ExecutionException

from twinner.corpus import Corpus
from twinner.errors import BadInput, Failure, Undelivered
from twinner.frameworks.contract import Epoch, Trainer
from twinner.machine import Machine, summary
from twinner.secrets import mask_secrets
from twinner.source_code import code_digest
from twinner.tracking.address import store_address
from twinner.tracking.datasets import TextsDataset, dataset_inputs
from twinner.tracking.delivery import Delivery, say, tracking_wait
from twinner.tracking.forwarding import uncommitted_tags
from twinner.tracking.journal import FILES, MODEL, RESUMED, About, Journal
from twinner.tracking.opening import child_of, open_run, persist
from twinner.tracking.outbox import deliver_waiting
from twinner.tracking.registry import shorten_description, version_tags
from twinner.tracking.store import within
from twinner.tracking.tags import CODE, ERROR, LONGEST_TAG, MACHINE

SHORT_WAIT = 10.0  # seconds to tell MLflow that a step failed, and to end the delivery of earlier runs


class ChildFailed(Failure):
    """A child run failed; its own process has told the user why."""


class TrackedRun:
    """The MLflow run of one step. Everything that the step logs goes through this object.

    What is logged is on disk when a method returns, and is sent to MLflow meanwhile; see `Journal` and `Delivery`.
    """

    def __init__(self, step: str, resume: str = "", in_background: bool = False) -> None:
        """Open the run that `mlflow run` made for this process, else a new one, nested if another run is open.

        resume: the id of a run to reopen instead. `log_corpus` or `reopen` sets it going again, so that a
        refused corpus leaves it as it is.
        The run that `mlflow run` made gets a tag with that id, and ends as the resumed run does. in_background: send
        what is logged at once, rather than at the end of the run.
        Errors: BadInput if the store does not answer, or if another process is at the resumed run.
        """
        self._client = mlflow.MlflowClient()
        self._step = step
        self._resumed = bool(resume)
        self._is_open = not resume
        self._stand_in = os.environ.pop("MLFLOW_RUN_ID", "") if resume else ""
        self._run = persist(lambda: self._client.get_run(resume)) if resume else open_run(self._client, step)
        self._logged_params = set(self._run.data.params)
        info = self._run.info
        about = About(info.run_id, info.experiment_id, step, store_address(), info.start_time)
        self.journal = Journal.create(about)
        self._delivery = Delivery(self.journal, self._client, is_new=not resume)
        self._logged_metrics = self._metrics_in_store() if resume else set()
        self._logged_metrics |= {(m[0], m[3]) for entry in self.journal.entries("metrics") for m in entry.value}
        if self._stand_in:
            for tag, value in (("twinner.step", step), ("twinner.resumed", resume)):
                persist(lambda tag=tag, value=value: self._client.set_tag(self._stand_in, tag, value))  # type: ignore[misc]
        if resume:
            self.journal.remove_files()
            self.journal.add(RESUMED, "")
        else:
            self.set_tags({"twinner.step": step, **_run_name(self._run, step, step)})
        if in_background:
            self._delivery.start()
        self._earlier_runs = threading.Thread(target=_deliver_earlier_runs, daemon=True)
        if step != "sync":
            self._earlier_runs.start()

    @property
    def run_id(self) -> str:
        """MLflow's id of the run."""
        return str(self._run.info.run_id)

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment."""
        return str(self._run.info.experiment_id)

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags that the run had when it was opened."""
        return dict(self._run.data.tags)

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics that the run had when it was opened: the last value of each."""
        return dict(self._run.data.metrics)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self.journal.add("tags", dict(tags))

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params, except those that `mlflow run` has logged: MLflow refuses them in another spelling."""
        if new := {name: str(value) for name, value in params.items() if name not in self._logged_params}:
            self.journal.add("params", new)
        self._logged_params |= params.keys()

    def reopen(self) -> None:
        """Set a resumed run going again in the store; nothing happens to a new one."""
        if not self._is_open:
            self.journal.add("reopened", self.run_id)
            self._is_open = True

    def log_corpus(self, corpus: Corpus, training_size: int) -> None:
        """Log the sizes, digests and datasets of a corpus; training_size: the training sentences in use.

        Errors: BadInput if the resumed run had another corpus.
        """
        if self._resumed:
            self._check_digests(corpus)
            self.reopen()
        self.log_params({"training_size": training_size, "dev_size": len(corpus.dev), "test_size": len(corpus.test)})
        self.set_tags(
            {
                "twinner.corpus": corpus.name,
                "twinner.lang": corpus.lang,
                "twinner.corpus_digest": corpus.digest,
                "twinner.test_digest": corpus.test_digest,
            }
        )
        self.journal.add("inputs", dataset_inputs(corpus))

    def log_texts(self, place: str, digest: str, texts: int) -> None:
        """Log the texts that a model has predicted as a dataset. place: a path or a URI. texts: how many they are."""
        self.journal.add("inputs", {"predict": TextsDataset(place, digest, texts).to_dict()})

    def log_framework(self, trainer: Trainer) -> None:
        """Log the framework and the versions of the packages that take part."""
        self.set_tags({"twinner.framework": trainer.framework})
        versions = {"python": platform.python_version(), "mlflow": mlflow.__version__, **trainer.versions}
        self.log_params({f"{name}_version": version for name, version in versions.items()})

    def log_code(self) -> None:
        """Log what code this is, and which of its files are not as they are in the commit."""
        self.set_tags({CODE: code_digest(), **uncommitted_tags()})

    def log_machine(self, machine: Machine) -> None:
        """Log the processor and the versions that the run computes with."""
        text = json.dumps(machine, ensure_ascii=False, indent=1)
        with suppress(OSError):  # a full disk is no reason to lose the training
            (self.journal.artifacts / MACHINE).write_text(text, encoding="utf-8")
        self.set_tags(summary(machine))

    def log_epoch(self, epoch: Epoch) -> None:
        """Log the metrics of an epoch."""
        self.log_metrics({"ner.losses": epoch.loss, "epoch_seconds": epoch.seconds, **epoch.scores}, epoch.number)

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log metrics, except those that the run has at this step already: a resumed run has some."""
        if new := self._new_metrics(values, step):
            self.journal.add("metrics", new)

    def log_results(self, metrics: Mapping[str, float], model_name: str, card: str) -> None:
        """Log what a training has produced: the files in the journal's `artifacts` and `model`, and the final metrics.

        metrics: logged without a step, for the run and its model. model_name: registers the model unless it is empty.
        card: describes the run, and the registered version, in Markdown.
        """
        self.journal.add("final", self._new_metrics(metrics, 0))
        name = f"{self._step} {metrics['test_f1']:.3f}"
        self.set_tags({"mlflow.note.content": shorten_description(card), **_run_name(self._run, self._step, name)})
        self.journal.add(FILES, "")
        if model_name:
            tags = {name: value for entry in self.journal.entries("tags") for name, value in entry.value.items()}
            tags = version_tags(self.run_id, self._run.data.tags | tags, metrics)
            self.journal.add("registration", {"name": model_name, "tags": tags, "description": card})
        self.journal.add(MODEL, self.model_uri)

    @property
    def model_uri(self) -> str:
        """The URI of the model that the run logs."""
        return f"runs:/{self.run_id}/model"

    def log_pages(self, files: Mapping[str, str], description: str) -> None:
        """Log texts as artifacts, by the names of their files.

        description: of the run, in Markdown; if it is too long, it refers to the first file.
        """
        for name, text in files.items():
            (self.journal.artifacts / name).write_text(text, encoding="utf-8")
        self.journal.add(FILES, "")
        self.set_tags({"mlflow.note.content": shorten_description(description, next(iter(files)))})

    def start_child(
        self,
        project: Path,
        step: str,
        params: Mapping[str, str],
        env_manager: str = "local",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Run a step of a project as a child of this run; return the id of its run.

        env_manager: `local` for this environment, else as for `mlflow run`. tags: set on the child after its end.
        Errors: ChildFailed, with the words of the child's tag `twinner.error`.
        """
        path = os.environ.get("PATH", "")
        if env_manager == "local":  # it may not be activated: its `python` must come first
            os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), path])
        try:
            with child_of(self.run_id):
                child = mlflow.projects.run(
                    str(project),
                    entry_point=step,
                    parameters=dict(params),
                    experiment_id=self.experiment_id,
                    env_manager=env_manager,
                )
        except ExecutionException:
            query = f"tags.mlflow.parentRunId = '{self.run_id}' and tags.mlflow.project.entryPoint = '{step}'"
            failed = self._client.search_runs([self.experiment_id], query, max_results=1)
            if failed:
                self.tag_child(failed[0].info.run_id, tags or {})
            words = failed[0].data.tags.get(ERROR, "") if failed else ""
            raise ChildFailed(f"{step} failed: {words}" if words else f"{step} failed") from None
        finally:
            os.environ["PATH"] = path
        self.tag_child(child.run_id, tags or {})
        return str(child.run_id)

    def tag_child(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a child run that has ended."""
        for name, value in tags.items():
            persist(lambda name=name, value=value: self._client.set_tag(run_id, name, value[:LONGEST_TAG]))  # type: ignore[misc]

    def end(self, status: str = "FINISHED", error: str = "", wait: float | None = None) -> None:
        """End the run, and the one that `mlflow run` made for resuming it, once everything has arrived in MLflow.

        error: why it failed. wait: see `Delivery.finish`; by default TWINNER_TRACKING_WAIT.
        Errors: Undelivered; what is missing then waits in the outbox.
        """
        runs = [*([self.run_id] if self._is_open else []), *([self._stand_in] if self._stand_in else [])]
        self.journal.add("end", {"status": status, "error": error[:LONGEST_TAG], "runs": runs})
        try:
            self._delivery.finish(tracking_wait() if wait is None else wait)
        except Undelivered as undelivered:
            undelivered.add_note(self._how_to_deliver())
            raise
        finally:
            if self.journal.end is not None and self.journal.is_delivered(self.journal.end.number):
                self._tidy()
            self.journal.release()
        if self._earlier_runs.ident is not None:
            self._earlier_runs.join(SHORT_WAIT)

    def _tidy(self) -> None:
        """Remove the folder of a delivered run, unless its finished training still waits for `resume`."""
        if self.journal.is_complete or not self.journal.is_trained:
            self.journal.remove()

    def _how_to_deliver(self) -> str:
        cache = self.journal.folder.parent.parent
        elsewhere = f"TWINNER_CACHE={cache} " if cache.name.startswith("twinner-run-") else ""
        return f"it waits in {self.journal.folder} for `{elsewhere}mlflow run . -e sync`"

    def _check_digests(self, corpus: Corpus) -> None:
        """Raise BadInput unless a corpus is that of the resumed run."""
        tags = self._run.data.tags
        for tag, splits, digest in (
            ("twinner.corpus_digest", "train and dev", corpus.digest),
            ("twinner.test_digest", "test", corpus.test_digest),
        ):
            logged = tags.get(tag) or next((e.value[tag] for e in self.journal.entries("tags") if tag in e.value), None)
            if logged != digest:
                problem = f"resume={self.run_id}: that run had another corpus ({tags.get('twinner.corpus')})"
                details = f"the digest of its {splits} is {logged}, not {digest}"
                raise BadInput(f"{problem}, {details}", "give the same corpus, or leave resume empty")

    def _metrics_in_store(self) -> set[tuple[str, int]]:
        names = self._run.data.metrics
        histories = (persist(lambda name=name: self._client.get_metric_history(self.run_id, name)) for name in names)  # type: ignore[misc]
        return {(metric.key, metric.step) for history in histories for metric in history}

    def _new_metrics(self, values: Mapping[str, float], step: int) -> list[tuple[str, float, int, int]]:
        """The metrics that the run does not have at this step yet, as (name, value, time in ms, step)."""
        now = int(time.time() * 1000)
        new = {name: float(value) for name, value in values.items() if (name, step) not in self._logged_metrics}
        self._logged_metrics |= {(name, step) for name in new}
        return [(name, value, now, step) for name, value in new.items()]


@contextmanager
def tracked_run(
    step: str, resume: str = "", keep_text: bool = True, in_background: bool = False
) -> Iterator[TrackedRun]:
    """Open the run of a step and leave it FINISHED, FAILED (with `twinner.error`) or KILLED, never RUNNING.

    resume, in_background: see `TrackedRun`. keep_text: whether the stored error may quote the corpus.
    Errors: Undelivered if not everything arrived in MLflow, with a note that says where it is.
    """
    run = TrackedRun(step, resume, in_background)
    try:
        yield run
    except BaseException as error:
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        if run.journal.is_trained and not run.journal.is_complete:
            error.add_note(f"the training is kept: resume={run.run_id} finishes it")
        try:
            run.end(status, _stored_words(error, keep_text), min(SHORT_WAIT, tracking_wait()))
        except Undelivered as second:  # the first error is the one to report
            error.add_note("; ".join([f"The run could not be marked {status}: {second}", *second.__notes__]))
        raise
    run.end()


@contextmanager
def joined_run(step: str) -> Iterator[None]:
    """Name and end the run that `mlflow run` made for this process, if it did: the step needs none of its own."""
    if "MLFLOW_RUN_ID" not in os.environ:
        yield
        return
    with tracked_run(step):
        yield


def fail_joined_run(message: str, status: str = "FAILED") -> None:
    """End the run that `mlflow run` started this process in, unless it was opened; the store must answer soon."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        return

    def fail() -> None:
        client = mlflow.MlflowClient()
        client.set_tag(run_id, ERROR, mask_secrets(message)[:LONGEST_TAG])
        client.set_terminated(run_id, status)

    with suppress(Exception):  # the store may be what failed, and the first error is the one to tell
        within(SHORT_WAIT, fail)


def _run_name(run: Run, step: str, name: str) -> dict[str, str]:
    """The tag that names a run of a step, unless the user has named it: MLflow's own names say nothing."""
    is_ours_or_made_up = re.fullmatch(rf"{step}|[a-z]+-[a-z]+-\d{{1,3}}|", run.info.run_name or "")
    return {"mlflow.runName": name} if is_ours_or_made_up else {}


def _deliver_earlier_runs() -> None:
    """Deliver what earlier runs have left in the outbox, and say so."""
    with suppress(Exception):  # whatever it is, this run does not depend on it, and `sync` says it
        for outcome in deliver_waiting():
            if outcome.state == "delivered":
                say(f"delivered from the outbox: run {outcome.run_id} ({outcome.step})")


def _stored_words(error: BaseException, keep_text: bool) -> str:
    """What the tag `twinner.error` says of an error."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted"  # a pruned trial says so
    if isinstance(error, BadInput):
        words = str(error) if keep_text else error.redacted
    elif isinstance(error, Failure):
        words = str(error)
    else:
        words = f"{type(error).__name__}: {error if keep_text else 'its message is not stored, as log_text is no'}"
    return mask_secrets("; ".join([words, *getattr(error, "__notes__", [])]))
