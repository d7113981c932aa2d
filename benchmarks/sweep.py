"""Compare a sweep with a shell loop over the same settings: `python benchmarks/sweep.py spacy` or `sparknlp`.

The loop is one `mlflow run` after the other in the managed environment, as a user types it. `search` compares how soon
20 trials of TPE with pruning and 20 random ones without reach the same dev F1.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mlflow import MlflowClient

PROJECT = Path(__file__).resolve().parents[1]
RATES = (".1", ".15", ".2", ".25", ".3", ".35", ".4", ".45")
SETTINGS = {
    "spacy": (RATES, {"corpus": "demo", "epochs": "5"}),
    "sparknlp": (RATES[:6], {"corpus": "demo", "epochs": "3", "limit": "1000", "embeddings": "minilm"}),
}


def seconds(command: list[str], store: str) -> float:
    """Run a command with a store of its own; return how long it took."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": store}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    began = time.perf_counter()
    subprocess.run(command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def mlflow_run(entry_point: str, parameters: dict[str, str]) -> list[str]:
    """Return the command line of an `mlflow run` in this environment."""
    given = [word for name, value in parameters.items() for word in ("-P", f"{name}={value}")]
    return [sys.executable, "-m", "mlflow", "run", ".", "-e", entry_point, "--env-manager", "local", *given]


def compare(framework: str, folder: Path) -> None:
    """Print the times of a loop and of a sweep over the same settings, with their best dev F1."""
    rates, fixed = SETTINGS[framework]
    step = f"{framework}_train"
    stores = {name: f"sqlite:///{folder}/{framework}-{name}.db" for name in ("loop", "sweep")}
    if "embeddings" in fixed:  # computed once, for both
        seconds(mlflow_run(step, fixed | {"epochs": "1"}), f"sqlite:///{folder}/first.db")
    loop = sum(seconds(mlflow_run(step, fixed | {"drop_rate": rate}), stores["loop"]) for rate in rates)
    grid = {"step": step, "space": f"drop_rate={','.join(rates)}", "sampler": "grid", "prune": "no"}
    sweep = seconds(mlflow_run("sweep", fixed | grid), stores["sweep"])
    print(f"{framework}: {len(rates)} trials, loop {loop:.0f} s, sweep {sweep:.0f} s, ratio {sweep / loop:.2f}")
    for name, store in stores.items():
        runs = MlflowClient(store).search_runs(["0"], f"tags.`twinner.step` = '{step}'")
        print(f"  {name}: best dev F1", max(run.data.metrics["best_dev_f1"] for run in runs), f"of {len(runs)} runs")


def search(folder: Path) -> None:
    """Print when TPE with pruning reached the best dev F1 of as many random trials without."""
    space = {"space": "drop_rate=0.05:0.6 lr=1e-4:2e-2:log batch_size=200:2000", "epochs": "5", "trials": "20"}
    progress = {}
    for sampler, prune in (("random", "no"), ("tpe", "yes")):
        store = f"sqlite:///{folder}/{sampler}.db"
        took = seconds(mlflow_run("sweep", space | {"sampler": sampler, "prune": prune}), store)
        trials = MlflowClient(store).search_runs(["0"], "tags.`twinner.step` = 'sweep_trial'")
        began = min(trial.info.start_time for trial in trials)
        values = [
            ((trial.info.end_time - began) / 1000, trial.data.metrics["value"])
            for trial in trials
            if trial.info.status == "FINISHED"
        ]
        progress[sampler] = sorted(values)
        print(f"{sampler}, prune={prune}: {took:.0f} s, best dev F1 {max(value for _, value in values):.4f}")
    target = max(value for _, value in progress["random"])
    for sampler, values in progress.items():
        reached = next((f"{at:.0f} s" for at, value in values if value >= target), "never")
        print(f"  {sampler} reached {target:.4f} after {reached}")


def main() -> None:
    """Run one comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*SETTINGS, "search"])
    what = parser.parse_args().what
    with tempfile.TemporaryDirectory() as folder:
        if what == "search":
            search(Path(folder))
        else:
            compare(what, Path(folder))


if __name__ == "__main__":
    main()
