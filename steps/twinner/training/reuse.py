"""Skip a training that would only repeat a finished one."""

from collections.abc import Mapping
from typing import Any

from twinner.tracking.equal_runs import find_equal_run, remove_joined_run
from twinner.tracking.read import read_runs
from twinner.tracking.store import check_store
from twinner.training.result import Result
from twinner.training.trial import read_corpus_of


def reused_result(step: str, settings: Mapping[str, Any]) -> Result | None:
    """Return the result of an equal finished run if the settings ask for one (`reuse`) and there is one; say so.

    Its epochs and its scores by split are left to the run. Imports no framework, so that it takes little time.
    Errors: BadInput for a corpus that can't be read; StoreUnusable if the store does not answer.
    """
    if settings.get("reuse") != "yes" or settings.get("resume"):
        return None
    check_store()
    run_id = find_equal_run(step, settings, read_corpus_of(settings))
    if run_id is None:
        return None
    remove_joined_run()
    metrics = read_runs([run_id])[run_id].metrics
    print(f"nothing to train: run {run_id} is equal, with a test F1 of {metrics['test_f1']:.4f}")
    return Result(run_id, (), metrics, {}, {})
