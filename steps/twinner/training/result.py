"""What a training returns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinner.frameworks.contract import Epoch


@dataclass(frozen=True)
class Result:
    """What a training returns.

    run_id: MLflow's id of its run. epochs: all of them, from the first. metrics: the final metrics as they were logged.
    dev_scores, test_scores: the scores of the model of the best epoch, as `twinner.evaluation` names them; of a trial
    and of a run that was reused, there are no test scores.
    """

    run_id: str
    epochs: Sequence[Epoch]
    metrics: Mapping[str, float]
    dev_scores: Mapping[str, float]
    test_scores: Mapping[str, float]
