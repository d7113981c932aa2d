"""Write the commands that repeat a run, as it was or with other values."""

import shlex
from collections.abc import Mapping, Sequence

from twinner.tracking.run import Run

# Where a result goes, not how it is made; and what would keep an equal run from being made.
NOT_REPEATED = ("export", "model_name", "reuse")
Changes = Mapping[str, Sequence[int | float]]  # other values by parameter


def rerun_command(run: Run, manager: str = "", changes: Changes | None = None) -> str:
    """Return the shell command that repeats a run: its entry point and its parameters that are not empty.

    manager: for `--env-manager`; empty: MLflow's default. changes: with several values of a parameter the command is a
    loop over them. Empty for a run of another tool, which no step can repeat.
    """
    if run.is_foreign:
        return ""
    changed = changes or {}
    words = ["mlflow", "run", ".", "-e", run.step, *(["--env-manager", manager] if manager else [])]
    command = shlex.join(words)
    for name, value in {**run.settings, **dict.fromkeys(changed, 0)}.items():
        values = changed.get(name, [value])
        if len(values) > 1:
            command = f'for {name} in {" ".join(map(str, values))}; do {command} -P {name}="${name}"'
        elif values[0] != "" and name not in NOT_REPEATED:
            command += f" -P {shlex.quote(f'{name}={values[0]}')}"
    return command + "; done" * sum(len(values) > 1 for values in changed.values())
