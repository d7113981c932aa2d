"""Send a run's journal and files to MLflow, in the background, as often as it takes."""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import mlflow
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModel,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from tqdm import tqdm

from twinner.errors import Undelivered
from twinner.tracking.address import is_file_store, masked_uri
from twinner.tracking.journal import FILES, MODEL, Entry, Journal
from twinner.tracking.opening import own_retries
from twinner.tracking.reasons import in_words
from twinner.tracking.registry import lacks_registry, register_version
from twinner.tracking.tags import ERROR

WAIT = 60.0  # seconds without an answer after which the end of a run stops waiting; TWINNER_TRACKING_WAIT
FIRST_DELAY, LONGEST_DELAY = 0.5, 8.0  # seconds between attempts
SLOW = 10.0  # seconds after which a failing attempt is not continued with the next request
BEHIND = 20.0  # seconds without success after which the user is told
MAX_UPLOADS = 8  # at the same time
LARGEST_BATCH = {"metrics": 800, "params": 100, "tags": 100}  # MLflow takes 1000 entries


def tracking_wait() -> float:
    """Return TWINNER_TRACKING_WAIT in seconds; the default for anything that is no number."""
    try:
        return max(0.0, float(os.environ.get("TWINNER_TRACKING_WAIT") or WAIT))
    except ValueError:
        return WAIT


class Delivery:
    """Delivers one journal from a thread of its own; nothing that fails there disturbs the caller.

    Everything is sent in such a way that sending it twice leaves it there once: the answer to a request may get lost
    after the server did its work.
    """

    def __init__(self, journal: Journal, client: mlflow.MlflowClient, is_new: bool) -> None:
        """client: of the run's store. is_new: whether nothing of the run can have been sent by an earlier process."""
        self._journal = journal
        self._client = client
        self._run_id = journal.about.run_id
        self._may_repeat = self._may_have_model = not is_new
        self._logged_model: LoggedModel | None = None
        self._thread = threading.Thread(target=self._deliver_until_done, daemon=True)
        self._done = threading.Event()
        self._given_up = threading.Event()
        self._hurried = threading.Event()  # cuts a back-off short
        self._last_success = time.monotonic()
        self._failures: list[Exception] = []  # of the attempt going on
        self._failing_since: float | None = None
        self._told_behind = False
        self.reason = "it does not answer"  # why the last attempt failed

    def start(self) -> None:
        """Start sending, if that has not begun."""
        if self._thread.ident is None:
            self._thread.start()

    def finish(self, wait: float) -> None:
        """Return when everything has arrived, once the journal has its end.

        wait: seconds without any success after which to give up.
        Errors: Undelivered; the run is then FAILED in the store, if the store can be told so.
        """
        self.start()
        self._journal.changed.set()
        self._hurried.set()
        began = time.monotonic()
        while not self._done.wait(0.05):
            if time.monotonic() - max(began, self._last_success) > wait:
                self._given_up.set()
                self._journal.changed.set()
                self._hurried.set()
                self._thread.join(SLOW)
                if self._done.is_set():
                    return
                raise Undelivered(f"not everything has arrived in MLflow ({self.reason})")

    def _deliver_until_done(self) -> None:
        delay = FIRST_DELAY
        with own_retries():
            while not self._given_up.is_set():
                self._journal.changed.clear()
                before = self._last_success
                self._failures = []
                self._attempt()
                if self._is_done():
                    self._done.set()
                    return
                if self._failures:
                    self._may_repeat = True
                    self.reason = in_words(self._failures[0])
                    delay = FIRST_DELAY if self._last_success > before else min(2 * delay, LONGEST_DELAY)
                    self._tell_if_behind()
                    self._hurried.wait(delay)
                    self._hurried.clear()
                else:
                    self._tell_if_caught_up()
                    self._journal.changed.wait()
            self._tell_store_of_failure()

    def _is_done(self) -> bool:
        end = self._journal.end
        return end is not None and self._journal.is_delivered(end.number)

    def _attempt(self) -> None:
        """Send all that is pending, each part whether or not another one fails."""
        began = time.monotonic()
        for part in (
            self._send_reopened,
            self._send_entries,
            self._send_inputs,
            self._send_final_metrics,
            self._send_artifacts,
            self._send_model,
            self._send_registration,
            self._send_end,
        ):
            if self._given_up.is_set() or (self._failures and time.monotonic() - began > SLOW):
                return
            self._try(part)

    def _try(self, send: Callable[[], object], *mark: object) -> bool:
        try:
            send()
        except Exception as error:  # MLflow's, a database's, the network's, an artifact store's
            self._failures.append(error)
            return False
        if mark:
            self._journal.mark(*mark)
            self._last_success = time.monotonic()
        return True

    def _send_reopened(self) -> None:
        for entry in self._journal.pending("reopened"):
            self._client.update_run(self._run_id, status="RUNNING")
            self._delete_error()
            self._mark(entry)

    def _send_entries(self) -> None:
        """Send params, tags and metrics together, or one entry at a time if the store refuses one of them."""
        entries = self._journal.pending("params", "tags", "metrics")
        failures = len(self._failures)
        if entries and not self._try(lambda: self._log_batch(entries), *(entry.number for entry in entries)):
            began = time.monotonic()
            for entry in entries if len(entries) > 1 else ():
                if time.monotonic() - began > SLOW:
                    break
                self._try(lambda entry=entry: self._log_batch([entry]), entry.number)  # type: ignore[misc]
            if len(entries) > 1:
                del self._failures[failures]  # of all together; each one has its own now

    def _log_batch(self, entries: Sequence[Entry]) -> None:
        lists: dict[str, list[Any]] = {"metrics": [], "params": [], "tags": []}
        for entry in entries:
            if entry.kind == "metrics":
                lists["metrics"] += [Metric(*values) for values in entry.value]
            else:
                make = Param if entry.kind == "params" else RunTag
                lists[entry.kind] += [make(name, value) for name, value in entry.value.items()]
        lists["metrics"] = self._without_sent(lists["metrics"])
        lists["tags"] = list({tag.key: tag for tag in lists["tags"]}.values())  # the last value counts
        while any(lists.values()):
            metrics, params, tags = (lists[kind][:most] for kind, most in LARGEST_BATCH.items())
            self._client.log_batch(self._run_id, metrics, params, tags)
            lists = {kind: lists[kind][most:] for kind, most in LARGEST_BATCH.items()}

    def _without_sent(self, metrics: list[Metric]) -> list[Metric]:
        """Leave out what a plain file store has already: it keeps what it gets twice. Databases don't."""
        if not (self._may_repeat and metrics and is_file_store(self._client.tracking_uri)):
            return metrics
        known = self._client.get_run(self._run_id).data.metrics
        names = {metric.key for metric in metrics if metric.key in known}
        sent = {
            (m.key, m.step, m.timestamp) for name in names for m in self._client.get_metric_history(self._run_id, name)
        }
        return [metric for metric in metrics if (metric.key, metric.step, metric.timestamp) not in sent]

    def _send_inputs(self) -> None:
        for entry in self._journal.pending("inputs"):
            inputs = [
                DatasetInput(Dataset(**dataset), [InputTag("mlflow.data.context", context)])
                for context, dataset in entry.value.items()
            ]
            self._client.log_inputs(self._run_id, inputs)
            self._mark(entry)

    def _send_final_metrics(self) -> None:
        """Send the metrics of the run's model, for the run and the model."""
        for entry in self._journal.pending("final"):
            model_id = self._model().model_id
            metrics = [Metric(name, value, at, step, model_id=model_id) for name, value, at, step in entry.value]
            if metrics := self._without_sent(metrics):
                self._client.log_batch(self._run_id, metrics=metrics)
            self._mark(entry)

    def _send_artifacts(self) -> None:
        for entry in self._journal.pending(FILES):
            self._upload(
                self._journal.artifacts,
                lambda file, folder: self._client.log_artifact(self._run_id, str(file), folder),
            )
            self._mark(entry)

    def _send_model(self) -> None:
        for entry in self._journal.pending(MODEL):
            model_id = self._model().model_id
            if not self._journal.is_delivered("output"):
                if not (self._may_repeat and self._is_output(model_id)):
                    self._client.log_outputs(self._run_id, [LoggedModelOutput(model_id, step=0)])
                self._journal.mark("output")
            _name_model(self._journal.model, self._model(), self._run_id)
            self._upload(self._journal.model, self._log_model_file)
            self._client.finalize_logged_model(model_id, LoggedModelStatus.READY)
            self._mark(entry)

    def _log_model_file(self, file: Path, folder: str | None) -> None:
        self._client.log_model_artifact(self._model().model_id, str(file), folder)

    def _send_registration(self) -> None:
        for entry in self._journal.pending("registration"):
            if self._journal.pending(MODEL):
                return
            registered = entry.value["name"]
            try:
                register_version(self._client, model_id=self._model().model_id, run_id=self._run_id, **entry.value)
            except MlflowException as error:
                if not lacks_registry(error):
                    raise
                registered = "no: the store has no registry"
            self._client.set_tag(self._run_id, "twinner.registered", registered)
            self._mark(entry)

    def _send_end(self) -> None:
        """End the run, once all else has arrived."""
        end = self._journal.end
        kinds = ("reopened", "params", "tags", "metrics", "inputs", "final", FILES, MODEL, "registration")
        if end is None or self._journal.is_delivered(end.number) or self._journal.pending(*kinds):
            return
        if self._journal.is_delivered("told of failure"):
            self._delete_error()
        for run_id in end.value["runs"]:
            if error := end.value["error"]:
                self._client.set_tag(run_id, ERROR, error)
            self._client.set_terminated(run_id, end.value["status"], end.time)
        self._mark(end)

    def _tell_store_of_failure(self) -> None:
        """Mark the run FAILED until the rest is delivered, if the store can be told."""
        end = self._journal.end
        if end is None:
            return
        words = end.value["error"] or f"not everything has arrived in MLflow ({self.reason}); `sync` delivers the rest"
        status = "FAILED" if end.value["status"] == "FINISHED" else end.value["status"]
        try:
            for run_id in end.value["runs"]:
                self._client.set_tag(run_id, ERROR, words)
                self._journal.mark("told of failure")
                self._client.set_terminated(run_id, status, end.time)
        except Exception:  # it can't: the run stays RUNNING there until `sync` ends it
            return

    def _model(self) -> LoggedModel:
        """The run's model in the store; made unless it is there."""
        if self._logged_model is None:
            about = self._journal.about
            self._logged_model = self._find_model() if self._may_have_model else None
            if self._logged_model is None:
                self._may_have_model = True
                params = {
                    name: value for entry in self._journal.entries("params") for name, value in entry.value.items()
                }
                self._logged_model = self._client.create_logged_model(
                    about.experiment_id, name="model", source_run_id=self._run_id, params=params
                )
        return self._logged_model

    def _find_model(self) -> LoggedModel | None:
        query = f"source_run_id = '{self._run_id}'"
        found = self._client.search_logged_models([self._journal.about.experiment_id], query)
        return next((model for model in found if model.name == "model"), None)

    def _is_output(self, model_id: str) -> bool:
        outputs = self._client.get_run(self._run_id).outputs
        return outputs is not None and any(output.model_id == model_id for output in outputs.model_outputs)

    def _delete_error(self) -> None:
        if ERROR in self._client.get_run(self._run_id).data.tags:
            self._client.delete_tag(self._run_id, ERROR)

    def _upload(self, root: Path, send: Callable[[Path, str | None], None]) -> None:
        """Send the files below a folder that did not arrive yet, several at a time. Raises the first error."""
        names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        waiting = [name for name in names if not self._journal.is_delivered(f"{root.name}/{name}")]
        failed = threading.Event()
        began = time.monotonic()

        def upload(name: str) -> Exception | None:
            if self._given_up.is_set() or (failed.is_set() and time.monotonic() - began > SLOW):
                return TimeoutError("given up")
            parent = PurePosixPath(name).parent.as_posix()
            try:
                send(root / name, None if parent == "." else parent)
            except Exception as error:
                failed.set()
                return error
            self._journal.mark(f"{root.name}/{name}")
            self._last_success = time.monotonic()
            return None

        errors = [upload(name) for name in waiting[:1]]  # alone: MLflow looks up where files go, and remembers it
        with ThreadPoolExecutor(MAX_UPLOADS) as pool:
            errors += pool.map(upload, waiting[1:])
        for error in errors:
            if error is not None:
                raise error

    def _mark(self, entry: Entry) -> None:
        self._journal.mark(entry.number)
        self._last_success = time.monotonic()

    def _tell_if_behind(self) -> None:
        self._failing_since = self._failing_since or time.monotonic()
        if not self._told_behind and time.monotonic() - self._failing_since > BEHIND:
            say(f"tracking is behind: {masked_uri()} does not take everything ({self.reason})")
            say(f"everything is kept in {self._journal.folder}")
            self._told_behind = True

    def _tell_if_caught_up(self) -> None:
        if self._told_behind:
            say("tracking has caught up")
        self._failing_since, self._told_behind = None, False


def _name_model(folder: Path, model: LoggedModel, run_id: str) -> None:
    """Write into a model which logged model and run it belongs to, as MLflow does."""
    written = Model.load(str(folder))
    written.run_id, written.model_id, written.model_uuid = run_id, model.model_id, model.model_id
    written.artifact_path = model.artifact_location
    written.save(str(folder / "MLmodel"))


def say(text: str) -> None:
    """Print a line to stderr, above the progress bar if there is one."""
    tqdm.write(text, file=sys.stderr)
