"""Compare settings of the search on a model of real trainings: `python benchmarks/search_settings.py`.

A sweep trains `spacy_train` with 64 random settings on the demo corpus, or `--store` names a store that has such runs.
Gaussian processes learn from them the dev F1 of each epoch, and sweeps of 20 trials on two workers are then simulated.
Printed are means over 150 of these: the time in all, and the best dev F1 after shares of the time. All times are shares
of what 20 trials take without pruning.
"""

import argparse
import heapq
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import optuna
from mlflow import MlflowClient
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

STEPS = Path(__file__).resolve().parents[1] / "steps"
TRAININGS, EPOCHS = 64, 5
TRIALS, WORKERS, SWEEPS = 20, 2, 150
DROP_RATE, LR = (0.05, 0.6), (1e-4, 2e-2)
SPACE: dict[str, BaseDistribution] = {
    "drop_rate": FloatDistribution(*DROP_RATE),
    "lr": FloatDistribution(*LR, log=True),
}
SHARES = (0.25, 0.5, 0.75, 1.0)
SHARED_NOISE = 0.5  # of its variance: what makes a training good or bad in all of its epochs


def train(store: str) -> None:
    """Train random settings."""
    space = "drop_rate=0.05:0.6 lr=1e-4:2e-2:log"
    options = {"space": space, "epochs": EPOCHS, "trials": TRAININGS, "sampler": "random", "prune": "no"}
    command = [sys.executable, str(STEPS / "sweep.py"), *(f"--{name}={value}" for name, value in options.items())]
    subprocess.run(command, check=True, env=os.environ | {"MLFLOW_TRACKING_URI": store})


class Trainings:
    """Draws the dev F1 of each epoch of trainings that nobody has done."""

    def __init__(self, store: str) -> None:
        """Learn from the runs in a store."""
        client = MlflowClient(store)
        settings, curves = [], []
        for run in client.search_runs(["0"], "tags.`twinner.step` = 'spacy_train' and attributes.status = 'FINISHED'"):
            history = client.get_metric_history(run.info.run_id, "dev_f1")
            curves.append([metric.value for metric in sorted(history, key=lambda metric: metric.step)])
            settings.append(_features({name: float(run.data.params[name]) for name in SPACE}))
        self.count = len(curves)
        logits = _logit(np.clip(curves, 0.001, 0.999))
        kernel = ConstantKernel() * Matern([0.5, 0.5], (0.1, 10), nu=2.5) + WhiteKernel(1e-3)
        processes = [GaussianProcessRegressor(kernel, normalize_y=True, random_state=0) for _ in range(EPOCHS)]
        self._processes = [process.fit(settings, epoch) for process, epoch in zip(processes, logits.T, strict=True)]
        variances = [process.kernel_.k2.noise_level for process in self._processes]
        self._noise = np.sqrt(variances) * logits.std(axis=0)

    def draw(self, params: dict[str, float], random: np.random.Generator) -> NDArray[np.float64]:
        """Return the dev F1 of each epoch of a training."""
        logits = np.array([process.predict([_features(params)])[0] for process in self._processes])
        shared, own = random.standard_normal(), random.standard_normal(EPOCHS)
        noise = np.sqrt(SHARED_NOISE) * shared + np.sqrt(1 - SHARED_NOISE) * own
        return 1 / (1 + np.exp(-logits - self._noise * noise))


def simulate(
    trainings: Trainings, sampler: Callable[..., BaseSampler], pruner: BasePruner, seed: int
) -> tuple[list[tuple[float, float]], float]:
    """Return the end and the best dev F1 of each trial that is not pruned, and the time in all; 1 is a training's."""
    random = np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    going: list[tuple[float, int, int, Trial, NDArray[np.float64]]] = []
    order = itertools.count()
    finished = []

    def start(now: float) -> None:
        study.sampler = sampler(seed=1000 * seed + len(study.trials))
        trial = study.ask(fixed_distributions=SPACE)
        heapq.heappush(going, (now + 1 / EPOCHS, next(order), 1, trial, trainings.draw(trial.params, random)))

    for _ in range(WORKERS):
        start(0.0)
    while going:
        now, _, epoch, trial, curve = heapq.heappop(going)
        trial.report(curve[epoch - 1], epoch)
        if epoch < EPOCHS and not trial.should_prune():
            heapq.heappush(going, (now + 1 / EPOCHS, next(order), epoch + 1, trial, curve))
            continue
        if epoch == EPOCHS:
            study.tell(trial, curve.max())
            finished.append((now, float(curve.max())))
        else:
            study.tell(trial, state=TrialState.PRUNED)
        if len(study.trials) < TRIALS:
            start(now)
    return finished, now


def show(name: str, trainings: Trainings, sampler: Callable[..., BaseSampler], pruner: BasePruner) -> None:
    """Print a line of the table."""
    whole = TRIALS / WORKERS
    found, times = [], []
    for seed in range(SWEEPS):
        finished, time = simulate(trainings, sampler, pruner, seed)
        found.append([max((f1 for at, f1 in finished if at <= share * whole), default=0.0) for share in SHARES])
        times.append(time / whole)
    cells = [name, f"{np.mean(times):.2f}", *(f"{f1:.4f}" for f1 in np.mean(found, axis=0))]
    print("|", " | ".join(cells), "|", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", help="the URI of a store with such a sweep")
    given = parser.parse_args().store
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        store = given or f"sqlite:///{folder}/mlflow.db"
        if not given:
            train(store)
        trainings = Trainings(store)
    print(trainings.count, "trainings")
    print("|", " | ".join(["search", "time", *(f"F1 at {share:.0%}" for share in SHARES)]), "|")
    print("|---" * (2 + len(SHARES)) + "|")
    show("random", trainings, RandomSampler, NopPruner())
    for at_random, unpruned, pruned_from in itertools.product((10, 4), (4, 2), (2, 1)):
        name = f"TPE after {at_random}, pruned after {pruned_from} of {EPOCHS} epochs and {unpruned} trials"
        sampler = partial(TPESampler, n_startup_trials=at_random, constant_liar=True)
        show(name, trainings, sampler, MedianPruner(unpruned, pruned_from, n_min_trials=unpruned))


def _features(params: dict[str, float]) -> list[float]:
    """Scale parameters to the range from 0 to 1."""
    places = np.interp([params["drop_rate"]], DROP_RATE, (0, 1)), np.interp(np.log([params["lr"]]), np.log(LR), (0, 1))
    return [float(place[0]) for place in places]


def _logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(share / (1 - share))


if __name__ == "__main__":
    main()
