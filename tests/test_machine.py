import json

import numpy as np
import pytest
from threadpoolctl import threadpool_limits
from twinner.machine import ENVIRONMENT, PROCESSOR, describe_machine, differences, summary


def test_kernels_threads_and_versions_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    with threadpool_limits(1, user_api="blas"):
        machine = describe_machine(training_processes=2)
    assert machine[PROCESSOR]["BLAS"].endswith(", 1 threads")
    assert machine[PROCESSOR]["OPENBLAS_CORETYPE"] == "Haswell"
    assert machine[PROCESSOR]["training processes"] == "2"
    assert machine[ENVIRONMENT]["numpy"] == np.__version__
    assert machine[ENVIRONMENT]["BLAS"].startswith("openblas 0.")
    assert json.loads(json.dumps(machine)) == machine
    assert summary(machine)["twinner.blas"].endswith(", 1 threads")


def test_differences_are_told_by_cause() -> None:
    then = {PROCESSOR: {"BLAS": "Haswell", "name": "x", "OMP_NUM_THREADS": "2"}, ENVIRONMENT: {"numpy": "2.4.6"}}
    now = {PROCESSOR: {"BLAS": "Zen", "name": "x"}, ENVIRONMENT: {"numpy": "2.4.6", "new": "1.0"}}
    assert differences(then, now) == {
        PROCESSOR: ["BLAS: Haswell → Zen", "OMP_NUM_THREADS: 2 → –"],
        ENVIRONMENT: ["new: – → 1.0"],
    }
