"""Find the run to repeat, and the settings to repeat it with."""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from twinner.corpus.builtin import BUILTIN
from twinner.errors import BadInput
from twinner.report import find_sections
from twinner.report.commands import NOT_REPEATED
from twinner.source_code import PROJECT
from twinner.tracking.read import read_runs
from twinner.tracking.run import Run

GIVE_ANOTHER = "give the id of a finished training"
TRAIN_AGAIN = "train again from a clone of the project whose changes are committed"
# Where results go, and how runs are found and continued: a repetition leaves what is there alone, and trains in one go.
LEFT_OUT = (*NOT_REPEATED, "sweep", "resume")
DATA = ("corpus", "test")
OTHER_PATHS = ("config", "vectors", "init", "embeddings")


def find_original(run_id: str, experiment: str) -> Run:
    """Return the run with this id; empty: the winner of an experiment, as `report` chooses it.

    Raises BadInput for a run that is missing, unfinished, no training of this project, or was not made from a commit.
    """
    if run_id:
        given = f"run_id={run_id}"
        run = read_runs([run_id]).get(run_id)
        if run is None:
            raise BadInput(f"{given}: there is no such run", "give the id of a run in this store (MLFLOW_TRACKING_URI)")
    else:
        winner = find_sections(experiments=experiment)[0].winner
        assert winner is not None
        run = read_runs([winner.id])[winner.id]
        given = f"the winner, run {run.id}"
        print(f"{'winner':<11}{run.label}, run {run.id}")
    if run.is_foreign:
        raise BadInput(f"{given}: it was made by another project or tool", GIVE_ANOTHER)
    if not run.step.endswith("_train"):
        raise BadInput(f"{given}: that is a run of {run.step}", GIVE_ANOTHER)
    if resumed := run.tags.get("twinner.resumed"):
        raise BadInput(f"{given}: it only resumed another run", f"give run_id={resumed}")
    if run.status != "FINISHED":
        raise BadInput(f"{given}: it is {run.status}, so there is no result to compare with", GIVE_ANOTHER)
    if not re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", run.commit):
        raise BadInput(f"{given}: it was not made from a git commit", TRAIN_AGAIN)
    return run


def repeated_settings(run: Run, project: Path) -> dict[str, str]:
    """Return the parameters to repeat a run with, as text: those of its step in the checked-out project.

    Paths are relative to a project's folder. One that the commit does not have is looked up in the present project, and
    then in the current folder.
    """
    step = yaml.safe_load((project / "MLproject").read_text(encoding="utf-8"))["entry_points"][run.step]
    names = set(step.get("parameters", {})) & run.params.keys() - set(LEFT_OUT)
    settings = {name: run.params[name] for name in sorted(names)}
    return settings | {name: _located(settings[name], project) for name in _paths(settings)}


def _paths(settings: Mapping[str, str]) -> list[str]:
    data = [name for name in DATA if settings.get(name) and settings[name] not in BUILTIN]
    return data + [name for name in OTHER_PATHS if "/" in settings.get(name, "")]  # others are names


def _located(path: str, project: Path) -> str:
    for folder in (project, PROJECT, Path.cwd()):
        if (folder / path).exists():
            return path if folder == project else str(folder / path)
    return path
