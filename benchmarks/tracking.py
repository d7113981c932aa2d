"""What tracking costs: a spaCy training against a server that answers in 50 ms, and against a local SQLite file.

Run it with the project's environment on an idle machine: `python benchmarks/tracking.py [PAIRS]`. It prints the seconds
of each pair of runs, the requests of a run, and what eight runs at once against one server have stored.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import mlflow

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT / "tests"))

from servers import FaultProxy, mlflow_server  # type: ignore[import-not-found]  # noqa: E402

EPOCHS = 6
DELAY = 0.05  # seconds


def train(uri: str, folder: Path, *options: str) -> "subprocess.Popen[bytes]":
    """Start a training on the demo corpus."""
    command = [sys.executable, "-s", str(PROJECT / "steps" / "spacy_train.py"), f"--epochs={EPOCHS}", *options]
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "TWINNER_CACHE": str(folder / "cache")}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def seconds(uri: str, folder: Path) -> float:
    """Return the seconds of a whole training, the start of Python included."""
    began = time.perf_counter()
    if train(uri, folder).wait():
        raise SystemExit(f"the training against {uri} failed")
    return time.perf_counter() - began


def print_requests(requests: Counter[str]) -> None:
    """Print how many requests there were, by kind."""
    kinds: Counter[str] = Counter()
    for line, count in requests.items():
        method, path = line.split(" ")
        kinds[f"{method} {'…/mlflow-artifacts/…' if 'mlflow-artifacts' in path else path}"] += count
    print(f"{sum(kinds.values())} requests a run")
    for kind, count in kinds.most_common():
        print(f"{count:6}  {kind}")


def check_eight_at_once(uri: str, folder: Path) -> None:
    """Train eight times at once and print what has arrived."""
    options = ("--limit=200", "--seed=0")
    known = {run.info.run_id for run in mlflow.MlflowClient(uri).search_runs(["0"])}
    runs = [train(uri, folder, *options) for _ in range(8)]
    statuses = Counter(run.wait() for run in runs)
    client = mlflow.MlflowClient(uri)
    arrived = [run for run in client.search_runs(["0"]) if run.info.run_id not in known]
    values = {
        (
            run.info.status,
            len(run.data.metrics),
            sum(len(client.get_metric_history(run.info.run_id, name)) for name in run.data.metrics),
            len(run.data.params),
            len(client.list_artifacts(run.info.run_id)),
            len(client.search_logged_models(["0"], f"source_run_id = '{run.info.run_id}'")),
        )
        for run in arrived
    }
    print(f"eight at once: exit status {dict(statuses)}, {len(arrived)} runs; each distinct set of")
    print(f"(status, metrics, values, params, artifacts, models): {values}")


def main(pairs: int) -> None:
    """Time pairs of runs, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with mlflow_server(folder / "server") as server, FaultProxy(server.port) as proxy:
            local = f"sqlite:///{folder}/local.db"
            seconds(local, folder)  # makes the store
            proxy.delay(DELAY)
            times: list[tuple[float, float]] = []
            for number in range(pairs):
                proxy.requests.clear()
                times.append((seconds(local, folder), seconds(proxy.uri, folder)))
                print(f"pair {number + 1}: SQLite {times[-1][0]:.2f} s, server {times[-1][1]:.2f} s", flush=True)
            first, second = (statistics.median(column) for column in zip(*times, strict=True))
            print(f"median: SQLite {first:.2f} s, server {second:.2f} s: {second / first:.3f} ×")
            print_requests(proxy.requests)
            check_eight_at_once(server.uri, folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
