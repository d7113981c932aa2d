"""Turn the params of a run, which MLflow keeps as text, back into the settings of its step."""

import math
import shlex
from collections.abc import Mapping

from twinner.parameters import PARAMETERS

_NUMERIC_PARAMS = frozenset({"training_size", "dev_size", "test_size"})  # logged beside the parameters of a step


def step_settings(logged: Mapping[str, str]) -> dict[str, str | int | float]:
    """Return the parameters of a step, typed and in their usual order, from the params of its run.

    `mlflow run` logs values in the user's spelling, quoted for the shell: `'local[*]'` gives `local[*]`, `''` the empty
    text, and for `lr` `1e-3` gives 0.001. A value that does not fit its type (an odd run's) stays text.
    """
    settings: dict[str, str | int | float] = {}
    for name, parameter in PARAMETERS.items():
        if name in logged:
            text = unquote(logged[name])
            value = number(text) if parameter.kind is not str else None
            if value is None:
                settings[name] = text
            else:
                settings[name] = int(value) if parameter.kind is int and value.is_integer() else value
    return settings


def plain_params(logged: Mapping[str, str]) -> dict[str, str]:
    """Return all params of a run as text: unquoted, and each number in one spelling, so that `.20` equals `0.2`."""
    return {name: _plain(name, text) for name, text in logged.items()}


def is_numeric(name: str) -> bool:
    """Whether a param holds a number."""
    return name in _NUMERIC_PARAMS or (name in PARAMETERS and PARAMETERS[name].kind is not str)


def number(text: str | None) -> float | None:
    """Return the finite number that a text spells (`.20`, `1e-3`), else None."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    if "_" in (text or ""):  # a number to Python, to nobody else
        return None
    return value if math.isfinite(value) else None


def unquote(logged: str) -> str:
    """Remove the shell quoting of `mlflow run`, if there is any."""
    try:
        words = shlex.split(logged)
    except ValueError:  # an unquoted value with an apostrophe
        return logged
    return words[0] if len(words) == 1 and shlex.quote(words[0]) == logged else logged


def _plain(name: str, logged: str) -> str:
    text = unquote(logged)
    value = number(text) if is_numeric(name) else None
    if value is None:
        return text
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
