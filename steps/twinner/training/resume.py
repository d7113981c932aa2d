"""The settings of a resumed run."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from twinner.errors import BadInput
from twinner.tracking.params import step_settings
from twinner.tracking.read import unfinished_run

# The data may have moved (its digest is checked), and these change where the results go, not what they are.
CHANGEABLE = ("corpus", "test", "model_name", "export")


def resumed_settings(step: Callable[..., object], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with which a step resumes the run that `resume` in `given` names.

    step: the step's function. given: its arguments by name; those at their default are taken from the run.
    Raises BadInput for a run that can't be resumed, and for a setting that differs from the run's, except `CHANGEABLE`.
    """
    run_id = given["resume"]
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
