"""Going on with a run that was stopped: which settings it had, and what it has behind it."""

from collections.abc import Mapping
from typing import Any

from twinner.errors import BadInput
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy.checkpoint import Checkpoint
from twinner.tracking import write as tracking
from twinner.tracking.params import step_settings


def settings_to_go_on(step: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the run that `resume` names, for it to go on as it began.

    given: what the step was given, by name; what is left at its default is as it was in that run.
    Errors: BadInput for a run that can't be gone on with, and for a setting that differs from that run's; but for
    `corpus` and `test`, which may be another way to the same data.
    """
    run_id = given["resume"]
    params = tracking.unfinished_run(run_id, step)
    checkpoint = Checkpoint(run_id)
    if not checkpoint.exists:
        problem = f"resume={run_id}: {checkpoint.folder} is not there"
        raise BadInput(problem, "a run goes on where it began, as long as the cache is kept")
    if checkpoint.in_use:
        raise BadInput(f"resume={run_id}: that run is still training", "wait for its end, or stop it first")
    settings = dict(given)
    earlier = step_settings(params)
    for name, default in defaults.items():
        if name == "resume" or name not in earlier:
            continue
        own = earlier[name]
        if given[name] == default:
            settings[name] = own
        elif given[name] != own and name not in ("corpus", "test"):
            raise BadInput(f"resume={run_id}: that run has {name}={own}, not {given[name]}", f"leave {name} out")
    return settings


def finished_epochs(run_id: str) -> tuple[Epoch, ...]:
    """The epochs that a run has behind it."""
    state = Checkpoint(run_id).load()
    return state.epochs if state else ()
