"""What makes two machines compute differently: processor, kernels, threads, and the versions of all packages."""

import functools
import os
import platform
from collections.abc import Mapping
from importlib.metadata import distributions
from typing import Any

import archspec.cpu
import numpy as np
from threadpoolctl import threadpool_info

Machine = Mapping[str, Mapping[str, str]]  # cause of a difference -> name -> value

PROCESSOR, ENVIRONMENT = "processor", "environment"  # the causes
SETTINGS = (  # environment variables that choose kernels or threads
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "TF_ENABLE_ONEDNN_OPTS",
    "GLIBC_TUNABLES",
)


def describe_machine(training_processes: int) -> dict[str, dict[str, str]]:
    """Describe this machine and process, by the cause that a difference would be.

    `processor`: what it is, the instruction sets that it has (TensorFlow and ONNX Runtime use what they find), the
    kernels that OpenBLAS and NumPy have chosen, threads, and the settings of these. `environment`: versions. A library
    may limit threads for a while: seen is what holds at the time of the call. training_processes: of the training.
    """
    host = archspec.cpu.host()
    blas = [tuple(map(library.get, _BLAS)) for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        PROCESSOR: {
            "name": archspec.cpu.brand_string() or platform.processor(),
            "microarchitecture": host.name,
            "level": host.generic.name,
            "instruction sets": " ".join(sorted(host.features)),
            "processors": str(_processors()),
            "training processes": str(training_processes),
            "BLAS": "; ".join(dict.fromkeys(f"{kernel}, {threads} threads" for _, _, kernel, threads in blas)),
            "NumPy": " ".join(numpy_features()),
            **{name: os.environ[name] for name in SETTINGS if os.environ.get(name)},
        },
        ENVIRONMENT: {
            "system": f"{platform.system()} {platform.machine()}",
            "C library": " ".join(platform.libc_ver()),
            "Python": platform.python_version(),
            "BLAS": "; ".join(dict.fromkeys(f"{name} {version}" for name, version, _, _ in blas)),
            **installed_packages(),
        },
    }


@functools.cache
def installed_packages() -> Mapping[str, str]:
    """Return the version of each installed Python package; the first call takes up to half a second."""
    return {str(found.metadata["Name"]): found.version for found in distributions()}


def summary(machine: Machine) -> dict[str, str]:
    """Return what to search runs by, as tags: the processor, and the kernels of its BLAS with their threads."""
    processor = machine[PROCESSOR]
    return {
        "twinner.processor": f"{processor['microarchitecture']} ({processor['name']})",
        "twinner.blas": f"{machine[ENVIRONMENT]['BLAS']}: {processor['BLAS']}",
    }


def differences(then: Machine, now: Machine) -> dict[str, list[str]]:
    """Return what differs between two machines, by cause, as `name: before → after`."""
    found = {}
    for cause in now:
        before, after = then.get(cause, {}), now[cause]
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        found[cause] = [f"{name}: {before.get(name) or '–'} → {after.get(name) or '–'}" for name in names]
    return found


def numpy_features() -> list[str]:
    """Return the groups of instruction sets that this NumPy has code for beyond its baseline, and uses here."""
    core: Any = np._core._multiarray_umath  # type: ignore[attr-defined]  # no public function tells it without printing
    return [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]


_BLAS = ("internal_api", "version", "architecture", "num_threads")


def _processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
