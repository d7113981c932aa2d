"""Two machines are played by two sets of kernels, which OpenBLAS and NumPy are made to choose."""

import os
import subprocess
import sys
from pathlib import Path

import archspec.cpu
import mlflow
import pytest
from spacy_train import spacy_train
from twinner.errors import BadInput
from twinner.portable import check_portable, portable_settings, restart_portably
from users import PROJECT, small_corpus, user_environment  # type: ignore[import-not-found]

MACHINES: dict[str, dict[str, str]] = {
    "old": {"OPENBLAS_CORETYPE": "Sandybridge", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"},
    "new": {"OPENBLAS_CORETYPE": "Haswell"},
}
SHOW = "from twinner.machine import *; from twinner.portable import *; check_portable(''); print(numpy_features())"


@pytest.mark.slow
def test_two_machines_agree_to_the_digit_only_if_portable(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path / "corpus")
    found: dict[str, dict[str, tuple[object, ...]]] = {"no": {}, "yes": {}}
    for portable, machines in found.items():
        for machine, settings in MACHINES.items():
            store = f"sqlite:///{tmp_path}/{machine}-{portable}.db"
            command = [sys.executable, "-s", str(PROJECT / "steps" / "spacy_train.py"), "--portable", portable]
            command += [
                "--corpus",
                str(corpus),
                "--limit",
                "60",
                "--batch-size",
                "100",
                "--epochs",
                "2",
                "--lr",
                "0.005",
            ]
            environment = user_environment(tmp_path / "cache", MLFLOW_TRACKING_URI=store, **settings)
            subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
            (run,) = mlflow.MlflowClient(store).search_runs(["0"])
            history = mlflow.MlflowClient(store).get_metric_history(run.info.run_id, "ner.losses")
            machines[machine] = tuple(point.value for point in history)
            assert len(machines[machine]) == 2
    assert found["no"]["old"] != found["no"]["new"]
    assert found["yes"]["old"] == found["yes"]["new"]


def test_settings_leave_one_instruction_set() -> None:
    path = os.pathsep.join([str(PROJECT / "steps"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | portable_settings() | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "['X86_V3']\n"


def test_a_process_that_has_chosen_its_kernels_is_refused(small_corpus: Path) -> None:
    with pytest.raises(BadInput, match="OPENBLAS_CORETYPE='Haswell'"):
        spacy_train(corpus=str(small_corpus), portable="yes")


def test_encoder_is_refused() -> None:
    with pytest.raises(BadInput, match="does not go with embeddings=minilm: ONNX Runtime chooses"):
        check_portable("minilm")


@pytest.mark.parametrize("processor", ["ivybridge", "m1"])
def test_processor_without_the_instructions_is_refused(processor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archspec.cpu, "host", lambda: archspec.cpu.TARGETS[processor])
    with pytest.raises(BadInput, match=f"needs an x86-64 processor with AVX2 and FMA; this is {processor}"):
        restart_portably()
