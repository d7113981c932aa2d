"""Deliver to MLflow what earlier runs could not: `python steps/sync.py`."""

from typing import TYPE_CHECKING

from twinner import cli
from twinner.errors import Failure
from twinner.terminal import printable

if TYPE_CHECKING:
    from twinner.tracking.outbox import Outcome


def sync(discard: str = "") -> list["Outcome"]:
    """Deliver the runs in the outbox to MLflow, or drop one of them.

    discard: the id of a run to drop; empty: deliver all that belong to the present store.
    Returns what became of each. Errors: BadInput if the store does not answer, or if nothing of the run to drop waits.
    Failure if a run could not be delivered.
    """
    from twinner.tracking.outbox import deliver, discard_run, waiting_folders
    from twinner.tracking.store import check_store
    from twinner.tracking.write import joined_run

    if discard:
        with joined_run("sync"):
            discard_run(discard)
        print(f"discarded: run {discard}")
        return []
    check_store()
    folders = waiting_folders()
    outcomes = []
    with joined_run("sync"):
        print(f"{len(folders)} runs in the outbox" if folders else "The outbox is empty.")
        for folder in folders:
            outcomes.append(deliver(folder))
            print(printable(str(outcomes[-1])), flush=True)
        if failed := [outcome for outcome in outcomes if outcome.state in ("waiting", "unreadable")]:
            raise Failure(f"{len(failed)} of {len(folders)} runs could not be delivered")
    return outcomes


if __name__ == "__main__":
    cli.run(sync)
