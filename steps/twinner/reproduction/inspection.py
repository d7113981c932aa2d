"""Compare a checked-out commit with a run before anything is trained: its code, its data, its pinned versions."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from twinner.errors import BadInput, Failure
from twinner.reproduction.original import TRAIN_AGAIN
from twinner.source_code import CONSTRAINTS, PROJECT
from twinner.terminal import one_line
from twinner.tracking.params import step_settings
from twinner.tracking.run import Run
from twinner.tracking.tags import CODE, UNCOMMITTED

SCRIPT = Path(__file__).with_name("inspect_commit.py")
MAX_SHOWN = 10  # pinned versions


@dataclass(frozen=True)
class Inspection:
    """What a commit has.

    digests: of the splits of the corpus, as its code reads them here. pins: how its pinned versions differ from this
    project's. env_manager: what the step must be run with, `local` if the versions are equal.
    """

    digests: Mapping[str, str]
    pins: list[str]
    env_manager: str


def inspect(run: Run, project: Path, settings: Mapping[str, str], manager: str) -> Inspection:
    """Inspect the project of a run's commit. manager: the `--env-manager` of this process, empty if unknown.

    Raises BadInput if the run's code was not that of its commit, or if the corpus can't be read.
    """
    pins = _differing_pins(project)
    done = subprocess.run(
        [sys.executable, "-s", str(SCRIPT), str(project), json.dumps(step_settings(settings))],
        cwd=project,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if done.returncode:
        last = one_line((done.stderr.strip().splitlines() or ["no message"])[-1])
        if not pins:
            raise Failure(f"the code of commit {run.commit[:10]} can't be inspected: {last}")
        print(f"warning: the corpus can't be checked in this environment: {last}", file=sys.stderr)
        return Inspection({}, pins, _env_manager(manager))
    found = json.loads(done.stdout.splitlines()[-1])
    logged = run.tags.get(CODE)
    if logged and found["code"] and logged != found["code"]:
        files = run.tags.get(UNCOMMITTED)
        problem = f"run {run.id} was made with uncommitted changes to commit {run.commit[:10]}"
        raise BadInput(f"{problem} ({files or 'its code has another digest; which files is not known'})", TRAIN_AGAIN)
    if "bad_input" in found:
        raise BadInput(f"the corpus of run {run.id} can't be read: {found['bad_input']}", "restore it")
    # Another version of spaCy may tokenize differently: then only the training itself tells.
    return Inspection({} if pins else found["splits"], pins, _env_manager(manager) if pins else "local")


def _differing_pins(project: Path) -> list[str]:
    """The pinned versions that differ between the present project and another one."""
    here, there = _pins(PROJECT), _pins(project)
    lines = sorted(f"- {line}" for line in there - here) + sorted(f"+ {line}" for line in here - there)
    return lines[:MAX_SHOWN] + ([f"and {len(lines) - MAX_SHOWN} more"] if len(lines) > MAX_SHOWN else [])


def _pins(project: Path) -> set[str]:
    conda = yaml.safe_load((project / "conda.yaml").read_text(encoding="utf-8"))["dependencies"]
    pip = [entry for one in conda if isinstance(one, dict) for entry in one["pip"]]
    constraints = project / CONSTRAINTS
    lines = constraints.read_text(encoding="utf-8").splitlines() if constraints.is_file() else []
    return {entry for entry in (*conda, *pip, *lines) if isinstance(entry, str) and not entry.startswith("#")}


def _env_manager(manager: str) -> str:
    """The manager that can build another environment: the one in use, else one that is installed."""
    if manager in ("uv", "conda", "virtualenv"):
        return manager
    if shutil.which("uv"):
        return "uv"
    return "conda" if shutil.which("conda") or os.environ.get("MLFLOW_CONDA_HOME") else "virtualenv"
