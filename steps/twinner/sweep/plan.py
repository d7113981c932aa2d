"""What a sweep does, checked before its first trial."""

import importlib
import inspect
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from twinner import cli
from twinner.cores import available_cores, parse_count
from twinner.errors import BadInput
from twinner.parameters import check_parameters
from twinner.secrets import refuse_secrets
from twinner.spark.settings import check_settings, is_local
from twinner.sweep.space import Space, combinations, grid, parse_space, spell_values

STEPS = {"spacy_train": 3 << 30, "sparknlp_train": 9 << 30}  # bytes of memory that a training may take
OBJECTIVES = ("best_dev_f1", "best_dev_precision", "best_dev_recall")
OF_WINNER = ("model_name", "export")  # parameters that only the winner's trainings get
OURS = {
    "sweep": "`name` is the name of the sweep",
    "reuse": "a sweep reuses its trials",
    "resume": "give its `name` again",
}


@dataclass(frozen=True)
class Plan:
    """What a sweep does.

    settings: of the step; those in `space` don't count. of_winner: of the winner's trainings alone. seeds: of the
    trainings of each setting. timeout: seconds after which no trial is begun; 0: none. jobs: trainings at once.
    spark_master: of the cluster whose executors train; empty: this machine does.
    """

    step: str
    settings: Mapping[str, Any]
    of_winner: Mapping[str, Any]
    space: Space
    objective: str
    trials: int
    sampler: str
    prune: bool
    seeds: Sequence[int]
    seed: int
    jobs: int
    timeout: int
    name: str
    spark_master: str
    spark_conf: str

    @property
    def searched(self) -> dict[str, Any]:
        """What must be the same to continue a sweep."""
        space = {f"space {name}": spell_values(values) for name, values in sorted(self.space.items())}
        fixed = {name: value for name, value in self.settings.items() if name not in self.space}
        return {"step": self.step, **space, "seeds": list(self.seeds), "objective": self.objective, **fixed}


def make_plan(
    *,
    step: str,
    space: str,
    trials: int,
    sampler: str,
    prune: str,
    seeds: int,
    objective: str,
    jobs: str,
    timeout: int,
    seed: int,
    name: str,
    spark_master: str,
    spark_conf: str,
    settings: Mapping[str, str],
) -> Plan:
    """Check all that a sweep was given. settings: parameters of the step, as text.

    Raises BadInput for anything that could not be trained, and click.UsageError for a value of another type.
    """
    function = _step(step)
    if objective not in OBJECTIVES:
        reason = (
            "a setting that is chosen by its test score has seen the test data" if "test" in objective else "unknown"
        )
        raise BadInput(f"objective={objective}: {reason}", f"choose among {', '.join(OBJECTIVES)}")
    if not re.fullmatch(r"[\w.: -]*", name):
        raise BadInput(f"name={name!r}", "write it with letters, digits, spaces, and . : - _")
    values = parse_space(space, function)
    if sampler == "grid":
        grid(values)  # raises
    if step == "sparknlp_train":  # a training with Spark NLP takes the cluster itself
        session = {"spark_master": spark_master, "spark_conf": spark_conf}
        settings = {**settings, **{key: value for key, value in session.items() if value}}
        spark_master = spark_conf = ""
    on_cluster = bool(spark_master) and not is_local(spark_master)
    if on_cluster:
        check_settings(spark_master, "auto", spark_conf)
    typed = _typed(function, values, settings)
    size = combinations(values)
    trials = min(trials, size) if sampler == "grid" and size else trials
    return Plan(
        step=step,
        settings={name: value for name, value in typed.items() if name not in (*OF_WINNER, *OURS, "seed")},
        of_winner={name: typed[name] for name in OF_WINNER},
        space=values,
        objective=objective,
        trials=trials,
        sampler=sampler,
        prune=prune == "yes",
        seeds=range(seed, seed + seeds),
        seed=seed,
        jobs=trials * seeds if on_cluster and jobs == "auto" else _jobs(jobs, step),
        timeout=timeout,
        name=name or secrets.token_hex(4),
        spark_master=spark_master if on_cluster else "",
        spark_conf=spark_conf,
    )


def _step(name: str) -> Callable[..., object]:
    if name not in STEPS:
        raise BadInput(f"step={name} can't be swept", f"choose among {', '.join(STEPS)}")
    function: Callable[..., object] = getattr(importlib.import_module(name), name)
    return function


def _typed(step: Callable[..., object], space: Space, given: Mapping[str, str]) -> dict[str, Any]:
    known = inspect.signature(step).parameters
    for name in given:
        if name in OURS:
            raise BadInput(f"{name} is no parameter of a trial", OURS[name])
        if name not in known:
            raise BadInput(f"{name} is no parameter of {step.__name__}", f"it has {', '.join(known)}")
        if name in space:
            raise BadInput(f"{name} is in the space and has a value", "leave one of them out")
    typed = cli.parse(step, given)
    check_parameters(typed)
    refuse_secrets(typed)
    return typed


def _jobs(text: str, step: str) -> int:
    if text == "auto":
        return max(1, min(len(available_cores()), psutil.virtual_memory().total // STEPS[step]))
    return parse_count("jobs", text, "give a whole number of at least 1, or auto")
