"""One instruction set for all machines with an x86-64 processor, so that a training gives the same digits on each."""

import os
import subprocess
import sys
from typing import Any

import archspec.cpu

from twinner.errors import BadInput

LEVEL = "x86_64_v3"  # AVX2 and FMA, as Intel's processors have them since 2013 and AMD's since 2015
KERNEL = "Haswell"  # OpenBLAS's kernels for that level
NUMPYS_LEVEL = "X86_V3"  # NumPy's name of that level
REMEDY = "train without portable"


def portable_settings() -> dict[str, str]:
    """Return the environment variables that make OpenBLAS and NumPy compute with `LEVEL`, whatever else they have."""
    import numpy as np  # takes a fifth of a second that other steps need not wait for

    core: Any = np._core._multiarray_umath  # type: ignore[attr-defined]  # no public function tells it without printing
    others = [name for name in core.__cpu_dispatch__ if name != NUMPYS_LEVEL]
    return {"OPENBLAS_CORETYPE": KERNEL, "NPY_DISABLE_CPU_FEATURES": " ".join(others)}


def restart_portably() -> None:
    """Start this process again with `portable_settings`, unless it has them: the libraries read them when loaded.

    Raises BadInput if the processor does not have `LEVEL`.
    """
    host = archspec.cpu.host()
    if LEVEL not in {host.name, *(ancestor.name for ancestor in host.ancestors)}:
        raise BadInput(f"portable=yes needs an x86-64 processor with AVX2 and FMA; this is {host.name}", REMEDY)
    settings = portable_settings()
    if settings.items() <= os.environ.items():
        return
    environment = os.environ | settings
    environment.pop("NPY_ENABLE_CPU_FEATURES", None)  # NumPy refuses to have both
    command = [sys.executable, *sys.orig_argv[1:]]
    sys.stdout.flush()
    if os.name == "nt":  # where `exec` would leave the shell with a process that has ended
        sys.exit(subprocess.call(command, env=environment))
    os.execve(sys.executable, command, environment)


def check_portable(embeddings: str) -> None:
    """Raise BadInput unless this process computes with `LEVEL`, as far as it can be told to.

    embeddings: the encoder of the training; ONNX Runtime, which runs it, can't be told.
    """
    if embeddings:
        problem = f"portable=yes does not go with embeddings={embeddings}: ONNX Runtime chooses its instructions itself"
        raise BadInput(problem, "leave out one of them")
    from threadpoolctl import threadpool_info

    settings = portable_settings()
    if not settings.items() <= os.environ.items():
        told = " ".join(f"{name}='{value}'" for name, value in settings.items())
        remedy = f"give it on the command line, also to resume a run that had it, or start Python with {told}"
        raise BadInput("portable=yes comes too late for this process", remedy)
    kernels = {str(found.get("architecture")) for found in threadpool_info() if found["user_api"] == "blas"}
    if kernels != {KERNEL}:
        problem = (
            f"portable=yes: NumPy's BLAS does not take the kernels {KERNEL} (it has {', '.join(kernels) or 'none'})"
        )
        raise BadInput(problem, f"use the project's environment, or {REMEDY}")
