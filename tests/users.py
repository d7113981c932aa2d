"""Simulated users for the end-to-end tests, each with a folder and the store that MLflow creates in it.

Commands run in the environment of the tests. Only Spark NLP's jars come from the real user's cache.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

PROJECT = Path(__file__).resolve().parent.parent
NOT_THE_PROJECT = (".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "mlruns", "mlflow.db*")


def user_environment(cache: Path, **extra: str) -> dict[str, str]:
    """Return a user's environment outside any run: no MLflow variables, this Python first in PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    # Without a network, telemetry would delay the end of each process.
    return kept | {"PATH": path, "TWINNER_CACHE": str(cache), "DO_NOT_TRACK": "true"} | extra


@dataclass(frozen=True)
class User:
    """Runs commands in a folder; the store that MLflow creates there belongs to this user."""

    folder: Path
    cache: Path

    def run(self, *command: str, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command and check that it succeeds or fails as expected."""
        done = subprocess.run(
            command, cwd=self.folder, env=user_environment(self.cache), capture_output=True, text=True, timeout=600
        )
        assert (done.returncode == 0) == succeeds, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def mlflow_run(self, project: str | Path, step: str, params: dict[str, str], succeeds: bool = True) -> None:
        """Call `mlflow run` in the current environment."""
        options = [word for name, value in params.items() for word in ("-P", f"{name}={value}")]
        self.run("mlflow", "run", str(project), "-e", step, "--env-manager", "local", *options, succeeds=succeeds)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.store)

    @property
    def store(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def runs(self) -> list[Run]:
        """Return the runs of the store, oldest first."""
        runs: list[Run] = self.client.search_runs(["0"], order_by=["attributes.start_time ASC"])
        return runs

    def artifact(self, run: Run, name: str, to: Path) -> Path:
        return Path(self.client.download_artifacts(run.info.run_id, name, str(to)))


def git(*arguments: str, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run git without the user's settings."""
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(["git", *arguments], cwd=cwd, env=environment, check=check, capture_output=True, text=True)


def commit_everything(tree: Path) -> str:
    """Make a folder a git repository with one commit more, and return that commit."""
    git("init", "-q", "-b", "main", cwd=tree)
    git("add", "-A", cwd=tree)
    git("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "-m", "Working tree", cwd=tree)
    return git("rev-parse", "HEAD", cwd=tree).stdout.strip()


def small_corpus(folder: Path) -> Path:
    """Write the first sentences of each split of the demo corpus to a new folder."""
    folder.mkdir(parents=True)
    for split, size in {"train": 300, "dev": 100, "test": 100}.items():
        sentences = (PROJECT / "data" / f"{split}.conll").read_text(encoding="utf-8").split("\n\n")[:size]
        (folder / f"{split}.conll").write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    return folder


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def accepts_connections(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], problem: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, problem
        time.sleep(0.2)
