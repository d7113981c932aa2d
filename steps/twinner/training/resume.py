"""The settings of a resumed run."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twinner.cache import cache_folder
from twinner.errors import BadInput
from twinner.tracking.journal import Journal
from twinner.tracking.outbox import ended_training
from twinner.tracking.params import step_settings
from twinner.tracking.read import unfinished_run

# The data may have moved (its digest is checked), and these change where the results go, not what they are.
CHANGEABLE = ("corpus", "test", "model_name", "export")


def finished_training(run_id: str) -> Path:
    """Return what `Trainer.save` wrote for a run that was stopped after its training and before its results.

    Raises BadInput if there is none in this cache.
    """
    journal = Journal(cache_folder("runs") / run_id)
    given = f"resume={run_id}"
    if not journal.folder.is_dir():
        problem = f"{given}: nothing of that run is left to continue from"
        raise BadInput(problem, "a training of this framework can't be continued in its middle: leave resume empty")
    if not journal.claim():
        raise BadInput(f"{given}: that run is still going on", "wait for its end, or stop it first")
    try:
        if not journal.is_trained:
            problem = f"{given}: its training was not finished"
            raise BadInput(problem, "a training of this framework can't be continued in its middle: leave resume empty")
        if not journal.trained.exists():
            journal.artifacts.rename(journal.trained)
            journal.artifacts.mkdir()
        return journal.trained
    finally:
        journal.release()


def resumed_settings(step: Callable[..., object], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with which a step resumes the run that `resume` in `given` names.

    step: the step's function. given: its arguments by name; those at their default are taken from the run.
    Raises BadInput for a run that can't be resumed, and for a setting that differs from the run's, except `CHANGEABLE`.
    """
    run_id = given["resume"]
    if ended_training(run_id):
        problem = f"resume={run_id}: that training has ended, and its results wait to be delivered"
        raise BadInput(problem, "deliver them with `mlflow run . -e sync`")
    logged = step_settings(unfinished_run(run_id, step.__name__))
    defaults = {name: parameter.default for name, parameter in inspect.signature(step).parameters.items()}
    settings = dict(given)
    for name, value in given.items():
        if name == "resume" or name not in logged:
            continue
        if value == defaults[name]:
            settings[name] = logged[name]
        elif value != logged[name] and name not in CHANGEABLE:
            raise BadInput(f"resume={run_id}: that run has {name}={logged[name]}, not {value}", f"leave {name} out")
    return settings
