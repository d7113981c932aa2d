"""Convert a run's params, which MLflow stores as text, back into typed settings."""

import math
import shlex
from collections.abc import Mapping

from twinner.parameters import PARAMETERS

_NUMERIC_PARAMS = frozenset({"training_size", "dev_size", "test_size"})  # logged in addition to the step's parameters


def step_settings(logged: Mapping[str, str]) -> dict[str, str | int | float]:
    """Return a step's parameters, typed and in declaration order, from the params of its run.

    `mlflow run` logs values as the user spelled them, quoted for the shell: `'local[*]'` becomes `local[*]`, `''` the
    empty string, and an `lr` of `1e-3` becomes 0.001. A value that does not fit its type stays a string.
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
    """Return all params of a run as unquoted strings with normalized numbers, so that `.20` equals `0.2`."""
    return {name: _normalize(name, text) for name, text in logged.items()}


def is_numeric(name: str) -> bool:
    """Whether a param holds a number."""
    return name in _NUMERIC_PARAMS or (name in PARAMETERS and PARAMETERS[name].kind is not str)


def number(text: str | None) -> float | None:
    """Parse a finite number such as `.20` or `1e-3`; return None for anything else."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    if "_" in (text or ""):  # `1_000` is a number only to Python
        return None
    return value if math.isfinite(value) else None


def unquote(logged: str) -> str:
    """Remove the shell quoting added by `mlflow run`, if any."""
    try:
        words = shlex.split(logged)
    except ValueError:  # unbalanced quotes: a value with an apostrophe, logged unquoted
        return logged
    return words[0] if len(words) == 1 and shlex.quote(words[0]) == logged else logged


def _normalize(name: str, logged: str) -> str:
    text = unquote(logged)
    value = number(text) if is_numeric(name) else None
    if value is None:
        return text
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
