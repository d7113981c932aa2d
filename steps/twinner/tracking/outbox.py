"""The outbox: runs whose results did not all arrive in MLflow, and their delivery."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from twinner.cache import cache_folder
from twinner.errors import BadInput, Undelivered
from twinner.tracking.address import failure_reason, store_address
from twinner.tracking.delivery import Delivery, tracking_wait
from twinner.tracking.journal import Journal

KILLED = "the process of this run ended before its training did"


@dataclass(frozen=True)
class Outcome:
    """What became of one run in the outbox.

    state: `delivered`, `kept` (delivered, but its finished training waits for `resume`), `waiting` (it could not be
    delivered), `running`, `elsewhere` (it belongs to another store) or `unreadable`. detail: the reason, in one line.
    """

    run_id: str
    state: str
    step: str = ""
    detail: str = ""

    def __str__(self) -> str:
        """One line for the terminal."""
        return f"{self.state:<11}{self.run_id}" + "".join(f"  {part}" for part in (self.step, self.detail) if part)


def waiting_folders() -> list[Path]:
    """The folders of all runs in the cache that were not delivered, and of those that are going on; oldest first."""
    folders = [path for path in cache_folder("runs").iterdir() if path.is_dir()]
    return sorted(folders, key=lambda folder: folder.stat().st_mtime)


def deliver_waiting() -> Iterator[Outcome]:
    """Deliver the runs of the present store that wait in the outbox, one after the other."""
    for folder in waiting_folders():
        yield deliver(folder)


def deliver(folder: Path) -> Outcome:
    """Deliver one run, unless a process is at it; its folder is removed once nothing of it is needed."""
    journal = Journal(folder)
    try:
        if not journal.claim():
            return Outcome(folder.name, "running", detail="its process, or another sync, is at it")
    except BadInput as error:
        return Outcome(folder.name, "unreadable", detail=str(error))
    about = journal.about
    try:
        if about.store != store_address():
            return Outcome(about.run_id, "elsewhere", about.step, f"belongs to the store {about.store}")
        return _deliver_claimed(journal)
    finally:
        journal.release()


def discard_run(run_id: str) -> None:
    """Drop what waits of a run. Raises BadInput if nothing does, or if a process is at it."""
    problem = f"discard={run_id}"
    folder = next((folder for folder in waiting_folders() if folder.name == run_id), None)
    if folder is None:
        raise BadInput(f"{problem}: nothing of that run waits", "`mlflow run . -e sync` lists what does")
    journal = Journal(folder)
    if not journal.claim(read=False):  # it may be of another version, or damaged
        raise BadInput(f"{problem}: its process, or a sync, is at it", "wait for its end, or stop it first")
    journal.remove()


def ended_training(run_id: str) -> bool:
    """Whether the results of this run are complete and wait to be delivered."""
    folder = next((folder for folder in waiting_folders() if folder.name == run_id), None)
    if folder is None:
        return False
    journal = Journal(folder)
    if not journal.claim():
        return False
    journal.release()
    return journal.is_complete


def _deliver_claimed(journal: Journal) -> Outcome:
    about = journal.about
    client = mlflow.MlflowClient()
    stopped = not journal.is_complete and journal.end is None
    try:
        if journal.end is None:  # its process was killed
            status, words = ("FAILED", KILLED) if stopped else ("FINISHED", "")
            journal.add("end", {"status": status, "error": words, "runs": [about.run_id]}, at=journal.last_time)
        Delivery(journal, client, is_new=False).finish(tracking_wait())
    except Undelivered as error:
        return Outcome(about.run_id, "waiting", about.step, str(error))
    except MlflowException as error:
        return Outcome(about.run_id, "waiting", about.step, failure_reason(error))
    if journal.is_trained and not journal.is_complete:
        return Outcome(about.run_id, "kept", about.step, f"its training has ended: resume={about.run_id} finishes it")
    journal.remove()
    return Outcome(about.run_id, "delivered", about.step)
