"""The space of a sweep: `drop_rate=0.1:0.5 lr=1e-4:1e-2:log epochs=5,10 embeddings=word2vec,minilm`."""

import inspect
import math
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from twinner.errors import BadInput
from twinner.parameters import PARAMETERS, check_parameters
from twinner.tracking.params import number

EXAMPLE = "write it as drop_rate=0.1:0.5 lr=1e-4:1e-2:log epochs=5,10"
NEVER = {"seed": "`seeds` says how many of them each setting is trained with"}
Space = dict[str, BaseDistribution]


def parse_space(text: str, step: Callable[..., object]) -> Space:
    """Return the values to try of each parameter of a step, by name: a range FROM:TO, FROM:TO:log, or a list A,B,C.

    Raises BadInput for what is not of this form, for a parameter that the step lacks or that can't change a score, and
    for a value that the step would refuse.
    """
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise BadInput(f"space {text!r}: {error}", EXAMPLE) from None
    if not parts:
        raise BadInput("space is empty", EXAMPLE)
    space: Space = {}
    for part in parts:
        name, equals, values = part.partition("=")
        name = name.replace("-", "_")
        if not equals or not values:
            raise BadInput(f"space: {part!r} names no values", EXAMPLE)
        _check_name(name, step)
        if name in space:
            raise BadInput(f"space: {name} is named twice", "give all of its values together")
        space[name] = _range(name, values) if ":" in values and _kind(name) is not str else _list(name, values)
    return space


def grid(space: Space) -> dict[str, list[Any]]:
    """Return all values of each parameter. Raises BadInput for a range of numbers that are not whole: it has no end."""
    values: dict[str, list[Any]] = {}
    for name, distribution in space.items():
        if isinstance(distribution, CategoricalDistribution):
            values[name] = list(distribution.choices)
        elif isinstance(distribution, IntDistribution) and not distribution.log:
            values[name] = list(range(distribution.low, distribution.high + 1))
        else:
            raise BadInput(f"space: a grid has no place for the range of {name}", f"list its values: {name}=A,B,C")
    return values


def combinations(space: Space) -> int | None:
    """Return the number of settings in a space; None if there is no end of them."""
    try:
        return math.prod(len(values) for values in grid(space).values())
    except BadInput:
        return None


def _check_name(name: str, step: Callable[..., object]) -> None:
    known = inspect.signature(step).parameters
    if name in NEVER:
        raise BadInput(f"space: {name} can't be swept", NEVER[name])
    if name not in known or not PARAMETERS[name].affects_scores:
        swept = [one for one in known if PARAMETERS[one].affects_scores and one not in NEVER]
        problem = "can't change a score" if name in known else f"is no parameter of {step.__name__}"
        raise BadInput(f"space: {name} {problem}", f"choose among {', '.join(swept)}")


def _range(name: str, text: str) -> BaseDistribution:
    ends = text.split(":")
    if log := ends[2:] == ["log"]:
        ends.pop()
    if len(ends) != 2:
        raise BadInput(f"space: {name}={text} is no range", f"write {name}=FROM:TO or {name}=FROM:TO:log")
    low, high = (_value(name, end) for end in ends)
    if low >= high:
        raise BadInput(f"space: the range {name}={text} is empty", "its second value must be larger than its first")
    if log and low <= 0:
        raise BadInput(f"space: the logarithmic range {name}={text} does not start above 0", "start it above 0")
    if _kind(name) is int:
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _list(name: str, text: str) -> CategoricalDistribution:
    values = [_value(name, value) for value in text.split(",")]
    if len(set(values)) < len(values):
        raise BadInput(f"space: {name}={text} has a value twice", "name each value once")
    return CategoricalDistribution(values)


def _value(name: str, text: str) -> Any:
    kind = _kind(name)
    if kind is str:
        return text
    value = number(text)
    if value is None or (kind is int and not value.is_integer()):
        raise BadInput(f"space: {name} can't be {text!r}", f"give {'whole ' if kind is int else ''}numbers")
    typed = kind(value)
    check_parameters({name: typed})
    return typed


def _kind(name: str) -> type:
    return PARAMETERS[name].kind


def spell_values(distribution: BaseDistribution) -> str:
    """Spell the values to try of a parameter as `parse_space` reads them: `0.1:0.5`, `0.0001:0.01:log`, `5,10,20`."""
    if isinstance(distribution, CategoricalDistribution):
        return ",".join(map(str, distribution.choices))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return f"{distribution.low}:{distribution.high}{':log' if distribution.log else ''}"


def spell(params: Mapping[str, Any]) -> str:
    """Spell the values of a trial for people: `drop_rate 0.2384, epochs 10`."""
    return ", ".join(f"{name} {shown(value)}" for name, value in params.items())


def shown(value: Any) -> str:
    """Spell a value for people: a number that is not whole has four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
