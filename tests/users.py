"""Users of the project for the tests that run it whole: each has a folder, and the store that MLflow makes there.

Everything runs in the environment that the tests run in. Only the jars of Spark NLP are taken from the user's cache.
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


def user_environment(cache: Path, **more: str) -> dict[str, str]:
    """The environment of a user who is not inside a run: nothing of MLflow's, this Python first in PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    # Telemetry would keep a process waiting where there is no network.
    return kept | {"PATH": path, "TWINNER_CACHE": str(cache), "DO_NOT_TRACK": "true"} | more


@dataclass(frozen=True)
class User:
    """Somebody who runs commands in a folder; the store that MLflow makes there is theirs."""

    folder: Path
    cache: Path

    def run(self, *command: str, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command and see that it ends as expected."""
        done = subprocess.run(
            command, cwd=self.folder, env=user_environment(self.cache), capture_output=True, text=True, timeout=600
        )
        assert (done.returncode == 0) == succeeds, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def mlflow_run(self, project: str | Path, step: str, params: dict[str, str], succeeds: bool = True) -> None:
        """`mlflow run` in this environment."""
        given = [word for name, value in params.items() for word in ("-P", f"{name}={value}")]
        self.run("mlflow", "run", str(project), "-e", step, "--env-manager", "local", *given, succeeds=succeeds)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.store)

    @property
    def store(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    def runs(self) -> list[Run]:
        """The runs of the store, first to last."""
        found: list[Run] = self.client.search_runs(["0"], order_by=["attributes.start_time ASC"])
        return found

    def artifact(self, run: Run, name: str, to: Path) -> Path:
        return Path(self.client.download_artifacts(run.info.run_id, name, str(to)))


def small_corpus(folder: Path) -> Path:
    """The first sentences of each part of the demo corpus, in a folder with blanks in its name."""
    folder.mkdir(parents=True)
    for part, size in {"train": 300, "dev": 100, "test": 100}.items():
        sentences = (PROJECT / "data" / f"{part}.conll").read_text(encoding="utf-8").split("\n\n")[:size]
        (folder / f"{part}.conll").write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def wait_until(holds: Callable[[], bool], problem: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, problem
        time.sleep(0.2)
