"""The search: which setting is trained next, on which worker, and what becomes of its result."""

import hashlib
import importlib
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from statistics import mean
from typing import Any

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from twinner.errors import Failure
from twinner.sweep.plan import Plan
from twinner.sweep.pool import Pool
from twinner.sweep.space import grid, spell
from twinner.sweep.table import Row, TrialTable
from twinner.sweep.worker import Ended, Job, Reached, Worker
from twinner.tracking.study import StudyStorage
from twinner.tracking.tags import TESTED

ALIKE = 3  # failures in a row with the same words that end a sweep
# `benchmarks/search_settings.py` compares the next three for sweeps of 20 trials.
PRUNED_FROM = 0.2  # the share of its epochs after which a trial can be pruned
UNPRUNED = 2  # trials that are trained to their end before others are measured against them
AT_RANDOM = 4, 10  # the least and the most trials that TPE draws at random first; in between, a fifth of all
MEASURABLE = 4  # finished trials that it takes to tell the importance of parameters
STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}  # in the table


@dataclass(frozen=True)
class Outcome:
    """What came out.

    winner: the best trial. runs: its trainings, by seed. importance: the share of each parameter; they sum to 1. It is
    empty if too few trials can be compared.
    """

    winner: FrozenTrial
    runs: Mapping[int, str]
    trials: Sequence[FrozenTrial]
    importance: Mapping[str, float]


@dataclass
class _Open:
    """A trial that is going on. waiting: the seeds still to be trained. done: run and objective by seed."""

    trial: Trial
    row: Row
    waiting: list[int]
    done: dict[int, tuple[str, float]] = field(default_factory=dict)
    resumable: dict[int, str] = field(default_factory=dict)
    training: int = 0

    @property
    def value(self) -> float:
        """The mean of the objective over the seeds that are done."""
        return mean(value for _, value in self.done.values())


class Sweep:
    """One process's part in a sweep: it continues what an earlier process of the same name has left."""

    def __init__(self, plan: Plan, pool: Pool, experiment_id: str, run_id: str, is_new: bool) -> None:
        """pool: has the workers. run_id: of the sweep. is_new: whether it has no trials yet."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._plan = plan
        self._pool = pool
        self._run_id = run_id
        self._storage = StudyStorage(experiment_id, run_id)
        if is_new:
            self._study = optuna.create_study(
                storage=self._storage, study_name=run_id, direction="maximize", sampler=self._sampler(0)
            )
        else:
            self._study = optuna.load_study(study_name=run_id, storage=self._storage, sampler=self._sampler(0))
        self._study.pruner = self._pruner()
        self._table = TrialTable(f"sweep {plan.name}", plan.trials, list(plan.space))
        self._open: list[_Open] = []
        self._busy: dict[Worker, tuple[_Open, int]] = {}
        self._failures: list[str] = []
        self._deadline = time.monotonic() + plan.timeout if plan.timeout else float("inf")

    def run(self) -> Outcome:
        """Train all trials; then score the winner's models on test, and return what came out.

        Errors: Failure if trials fail alike, or all of them. KeyboardInterrupt, once the trainings were KILLED.
        """
        try:
            with self._table:
                left = self._storage.unfinished()
                self._show_earlier_trials()
                self._take_up(left)
                self._train()
            return self._finish()
        except BaseException:
            self._interrupt()
            raise
        finally:
            self._storage.flush_all_batches()

    def _train(self) -> None:
        while True:
            while self._has_next() and (worker := self._pool.idle(self._busy)):
                self._start_next(worker)
            if not self._busy and not self._has_next():
                return
            for worker in self._pool.wait(list(self._busy)):
                self._handle(worker, worker.receive())
            self._table.refresh()

    def _has_next(self) -> bool:
        """Whether a training can be started now, if there is a worker."""
        if self._open_trial():
            return True
        is_in_time = time.monotonic() <= self._deadline
        return is_in_time and self._storage.get_n_trials(self._run_id) < self._plan.trials

    def _open_trial(self) -> _Open | None:
        """Return a trial with another training to start: its first one, or all others once one has ended."""
        return next((one for one in self._open if one.waiting and (one.done or not one.training)), None)

    def _start_next(self, worker: Worker) -> None:
        going = self._open_trial() or self._ask()
        seed = going.waiting.pop(0)
        going.training += 1
        going.row.state = "training"
        settings = {**self._plan.settings, **going.trial.params, "seed": seed, "sweep": self._plan.name}
        job = Job(settings, str(going.trial._trial_id), resume=going.resumable.get(seed, ""))
        self._busy[worker] = going, seed
        worker.start(job)

    def _ask(self) -> _Open:
        number = self._storage.get_n_trials(self._run_id)
        self._study.sampler = self._sampler(number)
        if self._plan.sampler == "grid":
            self._study.enqueue_trial(self._next_in_grid())
        return self._follow(self._study.ask(fixed_distributions=self._plan.space))

    def _next_in_grid(self) -> dict[str, Any]:
        """Return the first setting of the grid that no trial has. Optuna's own sampler serves only its own loop."""
        tried = [trial.params for trial in self._storage.get_all_trials(self._run_id)]
        settings = (
            dict(zip(self._plan.space, values, strict=True)) for values in product(*grid(self._plan.space).values())
        )
        return next(setting for setting in settings if setting not in tried)

    def _follow(self, trial: Trial) -> _Open:
        self._storage.flush_all_batches()
        row = self._row(trial)
        self._storage.name_trial(str(trial._trial_id), f"trial {trial.number + 1}: {spell(trial.params)}")
        going = _Open(trial, row, list(self._plan.seeds))
        self._open.append(going)
        self._table.add(row)
        return going

    def _handle(self, worker: Worker, message: Reached | Ended) -> None:
        going, seed = self._busy[worker]
        if isinstance(message, Reached):
            going.row.epoch, going.row.score = message.epoch, max(message.score, going.row.score or 0.0)
            go_on = True
            if seed == self._plan.seeds[0]:
                going.trial.report(message.score, message.epoch)
                is_early = message.epoch < PRUNED_FROM * going.row.epochs
                go_on = is_early or not going.trial.should_prune()
            worker.answer(go_on)
            return
        del self._busy[worker]
        going.training -= 1
        if message.state == "done":
            assert message.metrics is not None
            self._pool.bring_checkpoint(worker, message.run_id)
            going.done[seed] = message.run_id, message.metrics[self._plan.objective]
            if len(going.done) == len(self._plan.seeds):
                self._end(going, TrialState.COMPLETE, going.value)
        elif message.state == "pruned":
            self._end(going, TrialState.PRUNED)
        elif message.state == "interrupted":
            raise KeyboardInterrupt
        elif going in self._open:
            going.waiting.clear()
            self._storage.fail_training(str(going.trial._trial_id), seed, message.error)
            self._end(going, TrialState.FAIL, error=message.error)
            if message.state == "lost":  # which says nothing about the next trial
                return
            self._failures.append(message.error)
            if self._failures[-ALIKE:] == [message.error] * ALIKE:
                raise Failure(f"{ALIKE} trials failed alike: {message.error}")

    def _end(self, going: _Open, state: TrialState, value: float | None = None, error: str = "") -> None:
        self._study.tell(going.trial, value, state)
        if state == TrialState.COMPLETE:
            self._failures.clear()
        self._open.remove(going)
        going.row.end(STATES[state], value, error)
        self._table.ended(going.row)

    def _row(self, trial: Trial | FrozenTrial) -> Row:
        return Row(trial.number, trial.params, trial.params.get("epochs", self._plan.settings["epochs"]))

    def _show_earlier_trials(self) -> None:
        for trial in self._storage.get_all_trials(self._run_id):
            if trial.state in STATES:
                row = self._row(trial)
                row.state = STATES[trial.state]
                row.epoch = max(trial.intermediate_values, default=0)
                row.score = trial.value
                row.seconds = trial.duration.total_seconds() if trial.duration else 0.0
                self._table.add(row)

    def _take_up(self, left: Sequence[str]) -> None:
        """Continue the trials that an earlier process has left: their finished trainings count, others are resumed."""
        for trial_id in left:
            if self._storage.get_trial(trial_id).params.keys() != self._plan.space.keys():
                self._storage.forget(trial_id)
                continue
            going = self._follow(Trial(self._study, trial_id))  # type: ignore[arg-type]  # runs have ids of letters
            for run in self._storage.trainings(trial_id):
                seed = int(run.data.params.get("seed", -1))
                if seed not in going.waiting or seed in going.resumable:
                    continue
                if run.info.status == "FINISHED" and self._plan.objective in run.data.metrics:
                    going.waiting.remove(seed)
                    going.done[seed] = run.info.run_id, run.data.metrics[self._plan.objective]
                elif TESTED not in run.data.tags:
                    going.resumable[seed] = run.info.run_id
            if not going.waiting:
                self._end(going, TrialState.COMPLETE, going.value)

    def _finish(self) -> Outcome:
        trials = self._storage.get_all_trials(self._run_id)
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        if not complete:
            reasons = Counter(self._failures).most_common(1)
            raise Failure(f"no trial has succeeded: {reasons[0][0]}" if reasons else "no trial was finished in time")
        winner = max(complete, key=lambda trial: trial.value or 0.0)
        runs = {
            int(run.data.params["seed"]): run
            for run in self._storage.trainings(str(winner._trial_id))
            if run.info.status == "FINISHED"
        }
        best_first = sorted(runs.values(), key=lambda run: -run.data.metrics[self._plan.objective])
        importance: Mapping[str, float] | None = None
        for place, run in enumerate(best_first):
            if run.data.tags.get(TESTED) == "no":
                of_winner = self._plan.of_winner if place == 0 else {}
                job = Job({"resume": run.info.run_id, **of_winner}, str(winner._trial_id), is_trial=False)
                worker = self._pool.here()
                worker.start(job)
                if importance is None:  # meanwhile
                    importance = self._importance(complete)
                    importlib.import_module("twinner.report")
                self._check_scored(job, worker.receive())
        if importance is None:
            importance = self._importance(complete)
        return Outcome(winner, {seed: run.info.run_id for seed, run in sorted(runs.items())}, trials, importance)

    def _importance(self, complete: Sequence[FrozenTrial]) -> Mapping[str, float]:
        if len(complete) < MEASURABLE or len({trial.value for trial in complete}) == 1:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._plan.seed)
        found: Mapping[str, float] = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return found

    def _check_scored(self, job: Job, message: Reached | Ended) -> None:
        if isinstance(message, Ended) and message.state == "interrupted":
            raise KeyboardInterrupt
        if isinstance(message, Ended) and message.state == "failed":
            raise Failure(f"the winner, run {job.settings['resume']}, could not be scored on test: {message.error}")

    def _interrupt(self) -> None:
        """End the trainings that are going on, and leave their trials to be continued."""
        for worker in self._busy:
            worker.interrupt()
        for worker in self._busy:
            worker.drain()
        for going in self._open:
            self._storage.interrupt(str(going.trial._trial_id))
            going.row.end("interrupted")

    def _sampler(self, number: int) -> BaseSampler:
        """Return the sampler of a trial, seeded for it alone, so that a continued sweep does not draw values again."""
        plan = self._plan
        seed = int.from_bytes(hashlib.sha256(f"{plan.seed} {number}".encode()).digest()[:4], "big")
        if plan.sampler != "tpe":
            return RandomSampler(seed=seed)
        least, most = AT_RANDOM
        at_random = max(least, min(most, plan.trials // 5))
        return TPESampler(seed=seed, constant_liar=plan.jobs > 1, n_startup_trials=at_random)

    def _pruner(self) -> BasePruner:
        if not self._plan.prune:
            return NopPruner()
        return MedianPruner(n_startup_trials=UNPRUNED, n_min_trials=UNPRUNED)
