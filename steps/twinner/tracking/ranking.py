"""The metrics that training runs are ranked by."""

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches

from twinner.errors import BadInput
from twinner.terminal import one_line
from twinner.tracking.run import Run

LOWER_IS_BETTER = frozenset({"training_time", "test_time", "epoch_seconds", "peak_memory_mb", "ner.losses", "test_ece"})
CHOICE = "best_dev_f1"  # what runs are chosen by
FALLBACK = "test_f1"  # what they are ranked by where none has that
TRAIN_FIRST = "let one finish: `mlflow run . -e spacy_train`"


def kept_epoch_metric(metric: str) -> str:
    """Return the metric to rank by: for a score of each epoch on dev, the score of the epoch whose model was kept."""
    return f"best_{metric}" if metric.startswith("dev_") else metric


def by_epoch_metric(metric: str) -> str:
    """Return the opposite of `kept_epoch_metric`: the score of each epoch."""
    return metric.removeprefix("best_") if metric.startswith("best_dev_") else metric


def metrics_to_rank_by(metric: str, is_foreign: bool = True) -> list[str]:
    """Return the metrics that a section is ranked by, the first that any of its runs can be ranked by.

    is_foreign: of another tool, which does not say which epoch's model it kept.
    """
    metrics = [metric, *([by_epoch_metric(metric)] if is_foreign else []), *([FALLBACK] if metric == CHOICE else [])]
    return list(dict.fromkeys(metrics))


def check_metric(runs: Sequence[Run], metric: str) -> None:
    """Raise BadInput unless some run can be ranked by the metric; suggest metrics that the runs have."""
    by_epoch = by_epoch_metric(metric)
    if any(run.ranks(name) for run in runs for name in metrics_to_rank_by(metric, run.is_foreign)):
        return
    finished = [run for run in runs if run.status == "FINISHED"]
    if not finished:
        counts = ", ".join(f"{count} {status}" for status, count in Counter(run.status for run in runs).items())
        failure = next((f"; the newest failure: {one_line(run.error)}" for run in runs if run.error), "")
        raise BadInput(f"no finished training run ({counts}{failure})", TRAIN_FIRST)
    known = sorted({name for run in finished for name in run.metrics})
    if not {metric, by_epoch} & set(known):
        raise BadInput(f"no finished run has the metric {metric!r}", suggest_metric(metric, known))
    if metric != by_epoch and metric not in known:
        problem = f"no finished run has {metric!r}, nor a value of {by_epoch!r} at its best_epoch"
        raise BadInput(problem, "rank by another metric, such as test_f1")
    raise BadInput(f"no finished run has both a finite {metric!r} and the tag twinner.test_digest", TRAIN_FIRST)


def suggest_metric(metric: str, known: Sequence[str]) -> str:
    """Return the remedy for an unknown metric. known: those that the runs have, sorted."""
    headline = [name for name in known if name.startswith("test_")]
    similar = get_close_matches(metric, known, n=5) or headline[:12] or known[:12]
    return f"use one of these: {', '.join(map(one_line, similar)) or '(none)'}"
