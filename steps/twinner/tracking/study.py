"""Optuna's studies in MLflow: the run of a sweep is the study, and each of its trials is a child of that run."""

import json
from collections.abc import Container, Mapping, Sequence
from typing import Any

import mlflow
from mlflow.optuna.storage import MlflowStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from twinner.errors import BadInput
from twinner.tracking.opening import persist
from twinner.tracking.store import current_experiment
from twinner.tracking.tags import ERROR, SWEEP

STEP, TRIAL_STEP = "sweep", "sweep_trial"
SPACE = "twinner.space"  # tag: what a sweep of that name searches; it can't be continued with another
INTERRUPTED = "twinner.interrupted"  # tag: `yes` while a trial of a stopped sweep waits for the sweep to be continued


class StudyStorage(MlflowStorage):  # type: ignore[misc]
    """MLflow's storage for one study that this process alone writes: it remembers the trials that have ended.

    MLflow's own asks the store for every trial, several times, whenever Optuna samples or prunes.
    """

    def __init__(self, experiment_id: str, run_id: str) -> None:
        """run_id: of the sweep, which becomes the study."""
        super().__init__(experiment_id, name=run_id)
        self._client = mlflow.MlflowClient()
        self._study_run = run_id
        self._ended: dict[str, FrozenTrial] = {}
        children = self._client.search_runs([experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
        trials = [run for run in children if run.data.tags.get("twinner.step") == TRIAL_STEP]
        self._trials = [run.info.run_id for run in sorted(trials, key=lambda run: run.info.start_time)]

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> Any:
        """Make the run of the sweep a study."""
        self._client.set_tag(self._study_run, "optuna.study_direction", directions[0].name)
        return self._study_run

    def get_study_id_from_name(self, study_name: str) -> Any:
        """Return the id of the one study."""
        return self._study_run

    def create_new_trial(self, study_id: Any, template_trial: FrozenTrial | None = None) -> Any:
        """Make a child run for a trial."""
        trial_id: Any = super().create_new_trial(study_id, template_trial)
        self._client.set_tag(trial_id, "twinner.step", TRIAL_STEP)
        self._trials.append(trial_id)
        return trial_id

    def get_trial(self, trial_id: Any) -> FrozenTrial:
        """Return a trial; one that has ended from memory."""
        if trial_id in self._ended:
            return self._ended[trial_id]
        trial = super().get_trial(trial_id)
        if trial.state.is_finished():
            self._ended[trial_id] = trial
        return trial

    def get_all_trials(
        self, study_id: Any, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return all trials, oldest first."""
        trials = [self.get_trial(trial_id) for trial_id in self._trials]
        return [trial for trial in trials if states is None or trial.state in states]

    def get_n_trials(self, study_id: Any, state: Any = None) -> int:
        """Return the number of trials; of all of them without asking the store."""
        return len(self._trials if state is None else self.get_all_trials(study_id, states=state))

    def name_trial(self, trial_id: str, name: str) -> None:
        """Name the run of a trial."""
        self._client.set_tag(trial_id, "mlflow.runName", name)

    def interrupt(self, trial_id: str) -> None:
        """End a trial as KILLED, to be taken up when the sweep is continued."""
        self.flush_all_batches()
        self._client.set_tag(trial_id, INTERRUPTED, "yes")
        self._client.set_terminated(trial_id, "KILLED")

    def unfinished(self) -> list[str]:
        """Return the trials that an earlier process of the sweep has left, RUNNING again."""
        left = []
        for trial_id in self._trials:
            run = self._client.get_run(trial_id)
            if run.info.status == "KILLED" and run.data.tags.get(INTERRUPTED) == "yes":
                self._client.set_tag(trial_id, INTERRUPTED, "no")
                self._client.update_run(trial_id, status="RUNNING")
                left.append(trial_id)
            elif run.info.status == "RUNNING":
                left.append(trial_id)
        return left

    def forget(self, trial_id: str) -> None:
        """Delete a trial that was stopped before it had its values."""
        self._client.delete_run(trial_id)
        self._trials.remove(trial_id)

    def fail_training(self, trial_id: str, seed: int, error: str) -> None:
        """End the run of a training whose process could not do so."""
        for run in self.trainings(trial_id):
            if run.info.status == "RUNNING" and run.data.params.get("seed") == str(seed):
                self._client.set_tag(run.info.run_id, ERROR, error)
                self._client.set_terminated(run.info.run_id, "FAILED")

    def trainings(self, trial_id: str) -> list[mlflow.entities.Run]:
        """Return the training runs of a trial, newest first."""
        return list(self._client.search_runs([self._experiment_id], f"tags.mlflow.parentRunId = '{trial_id}'"))


def study_tags(name: str, searched: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of the run of a sweep, by which `find_sweep` finds it."""
    return {SWEEP: name, SPACE: json.dumps(dict(searched))}


def find_sweep(name: str, searched: Mapping[str, Any]) -> str | None:
    """Return the id of the run of the sweep with this name in the current experiment, if there is one.

    searched: what it searches and how. Raises BadInput if the sweep of that name searches something else.
    """
    experiment = persist(current_experiment)
    query = f"tags.`twinner.step` = '{STEP}' and tags.`{SWEEP}` = '{name}'"
    client = mlflow.MlflowClient()
    found = [
        run for run in persist(lambda: client.search_runs([experiment.experiment_id], query)) if SPACE in run.data.tags
    ]
    if not found:
        return None
    known = json.loads(found[-1].data.tags[SPACE])
    for key in {**known, **searched}:
        if known.get(key) != searched.get(key):
            problem = f"the sweep {name!r} has {key}={known.get(key, 'none')}, not {searched.get(key, 'none')}"
            raise BadInput(problem, "repeat its settings to continue it, or choose another name")
    return str(found[-1].info.run_id)
