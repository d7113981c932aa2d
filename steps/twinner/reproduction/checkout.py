"""Check out the commit of a run into a temporary clone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from twinner.errors import BadInput
from twinner.reproduction.original import GIVE_ANOTHER
from twinner.secrets import mask_secrets
from twinner.source_code import PROJECT
from twinner.temporary import remove_folder, temporary_folder
from twinner.terminal import shorten
from twinner.tracking.run import Run

PATIENCE = 600  # seconds that git may take for one repository
UNATTENDED = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}  # git fails rather than asks
MAX_REASON = 200  # characters of what git says


@contextmanager
def checked_out(run: Run) -> Iterator[Path]:
    """Provide the project folder of a clone that has the commit of a run; it is removed after the block.

    The commit is taken from this project's own repository, else from where the run's tags say that its code came from.
    Raises BadInput if it can't be had, or holds no project with the step of the run.
    """
    folder = temporary_folder("reproduce")
    try:
        clone = folder / "clone"
        place = _fetch(run, clone)
        print(f"{'code':<11}commit {run.commit[:10]} of {mask_secrets(place)}", flush=True)
        yield _project_folder(run, clone)
    finally:
        remove_folder(folder)


def _fetch(run: Run, clone: Path) -> str:
    """Make a clone with the commit of a run; return the path or URL that it came from."""
    try:
        from git import GitCommandError, Repo  # fails where there is no git
    except ImportError:
        raise BadInput("the code can't be checked out: git is not installed", "install git") from None
    reasons = []
    repository = Repo.init(clone)
    repository.git.update_environment(**{name: os.environ.get(name, value) for name, value in UNATTENDED.items()})
    limit = {} if os.name == "nt" else {"kill_after_timeout": PATIENCE}  # GitPython can't do that on Windows
    for place in _places(run):
        # A server may refuse a single commit, but not its branches.
        for wanted in ([run.commit, "--depth=1"], ["+refs/*:refs/remotes/all/*"]):
            refspec, *options = wanted
            try:
                repository.git.fetch("--quiet", "--no-tags", *options, "--", place, refspec, **limit)
                repository.git.checkout("--quiet", "--detach", run.commit)
            except GitCommandError as error:
                reasons.append(f"{place}: {_last_line(str(error.stderr))}")
            else:
                return place
    told = "; ".join(mask_secrets(reason) for reason in reasons[::2]) or "its tags name no repository"
    problem = f"the code of run {run.id}, commit {run.commit[:10]}, can't be fetched ({told})"
    raise BadInput(problem, "run reproduce in a clone of the project that has this commit")


def _places(run: Run) -> list[str]:
    """The repositories that may have the commit, the project's own first."""
    from git import GitError, Repo

    places = []
    with suppress(GitError, OSError):  # no repository
        own = Repo(PROJECT, search_parent_directories=True)
        places = [str(own.working_dir), *(remote.url for remote in own.remotes)]
    places.append(run.tags.get("mlflow.source.git.repoURL", ""))
    return list(dict.fromkeys(filter(None, places)))


def _project_folder(run: Run, clone: Path) -> Path:
    """The folder with MLproject: where this project has it in its repository, or the run's source, or at the top."""
    from git import GitError, Repo

    folders = [run.tags.get("mlflow.source.name", "").partition("#")[2]]
    with suppress(GitError, OSError, ValueError):
        own = Repo(PROJECT, search_parent_directories=True)
        folders.append(PROJECT.relative_to(Path(own.working_dir).resolve()).as_posix())
    for folder in [*folders, ""]:
        project = (clone / folder).resolve()
        file = project / "MLproject"
        if project.is_relative_to(clone.resolve()) and file.is_file():
            points = yaml.safe_load(file.read_text(encoding="utf-8")).get("entry_points", {})
            if run.step in points and (project / "steps" / f"{run.step}.py").is_file():
                return project
    problem = f"run {run.id}: its commit {run.commit[:10]} is of another project, without the step {run.step}"
    raise BadInput(problem, GIVE_ANOTHER)


def _last_line(stderr: str) -> str:
    lines = [line.strip(" '") for line in stderr.splitlines() if line.strip(" '")]
    fatal = [line for line in lines if "fatal:" in line]
    return shorten((fatal or lines or ["git failed"])[0].removeprefix("stderr: '"), MAX_REASON)
