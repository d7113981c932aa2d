"""A training run of MLflow as plain values."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from twinner.frameworks import FRAMEWORKS
from twinner.terminal import shorten
from twinner.tracking.tags import ERROR, SWEEP

# (run id, metric) -> its values by epoch, as (epoch, value) in order.
History = Mapping[tuple[str, str], Sequence[tuple[int, float]]]
MAX_LABEL = 80  # characters of a run's name on display
MAX_FRAMEWORK = 32  # characters of an unknown framework's name


@dataclass(frozen=True)
class Run:
    """One training run.

    params: as `plain_params` returns them. settings: the parameters of its step, as `step_settings` returns them.
    metrics: the last value of each. status: MLflow's, such as `FINISHED`. experiment: the name of its experiment.
    digests: of its datasets, by split.
    """

    id: str
    experiment_id: str
    name: str
    status: str
    started: datetime
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    artifact_uri: str = ""
    settings: Mapping[str, str | int | float] = field(default_factory=dict)
    experiment: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def label(self) -> str:
        """The name for display: on one line, without control characters, at most 80 characters."""
        return shorten(self.name, MAX_LABEL)

    @cached_property
    def framework(self) -> str:
        """The framework's title, or its name for display if it is not in `FRAMEWORKS`; empty if unknown."""
        name = self.tags.get("twinner.framework") or self.step.removesuffix("_train")
        if not name:
            flavors = _logged_flavors(self.tags)
            name = next((key for key, framework in FRAMEWORKS.items() if framework.flavor in flavors), "")
        return FRAMEWORKS[name].title if name in FRAMEWORKS else shorten(name, MAX_FRAMEWORK)

    @cached_property
    def step(self) -> str:
        """The entry point that made it, such as `spacy_train`; empty if another tool logged the run."""
        return step_of(self.tags)

    @property
    def is_foreign(self) -> bool:
        """Whether another tool logged the run."""
        return not self.step

    @property
    def corpus(self) -> str:
        """The corpus, as the user named it."""
        return self.tags.get("twinner.corpus") or self.params.get("corpus", "")

    @property
    def test_digest(self) -> str:
        """The digest of its test set; empty if unknown."""
        return self.tags.get("twinner.test_digest", "")

    @property
    def error(self) -> str:
        """Why the run failed, as the user was told."""
        return self.tags.get(ERROR, "")

    @property
    def sweep(self) -> str:
        """The sweep that it belongs to; empty for none."""
        # A run that failed early has the param, but not the tag yet.
        return self.tags.get(SWEEP) or self.params.get("sweep", "")

    @property
    def commit(self) -> str:
        """The git commit of the project."""
        return self.tags.get("mlflow.source.git.commit", "")

    @property
    def model_uri(self) -> str:
        """The URI of its model, for `mlflow models serve -m` and `load_model`."""
        return f"runs:/{self.id}/model"

    def score(self, metric: str) -> float | None:
        """Return a metric's value, or None if the run lacks it or it is not finite."""
        value = self.metrics.get(metric)
        return value if value is not None and math.isfinite(value) else None

    def ranks(self, metric: str) -> bool:
        """Whether the run can be ranked by the metric.

        It must have finished with a finite value, on a known test set unless another tool logged it.
        """
        has_test_set = bool(self.test_digest) or self.is_foreign
        return self.status == "FINISHED" and has_test_set and self.score(metric) is not None


def step_of(tags: Mapping[str, str]) -> str:
    """Return the entry point that made a run; empty if another tool logged it."""
    # A step that was stopped by a usage error has not named itself: MLflow's tag does.
    return tags.get("twinner.step") or (tags.get("mlflow.project.entryPoint", "") if ERROR in tags else "")


def _logged_flavors(tags: Mapping[str, str]) -> set[str]:
    """Return the MLflow flavors of a run's logged models."""
    try:
        models = json.loads(tags.get("mlflow.log-model.history", "[]"))
        return {flavor for model in models for flavor in model["flavors"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return set()
