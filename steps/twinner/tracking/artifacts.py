"""What runs left in MLflow as artifacts: only the files asked for, of only the runs asked for, several at a time."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import mlflow
from mlflow.exceptions import MlflowException

from twinner.cache import cache_folder
from twinner.tracking.read import AT_ONCE, Run


def fetch_artifacts(runs: Sequence[Run], names: Sequence[str]) -> dict[str, dict[str, Path]]:
    """The local files of some artifacts, by run id and name; one that a run lacks, or that is gone, is left out.

    What lies on this machine is read where it lies; what comes over a network is kept in the cache, and fetched anew
    if its size has changed.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # small files need no bar
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip([run.id for run in runs], pool.map(lambda run: _fetch(run, names), runs), strict=True))


def _fetch(run: Run, names: Sequence[str]) -> dict[str, Path]:
    try:
        listed = {file.path: file.file_size for file in mlflow.MlflowClient().list_artifacts(run.id)}
    except (MlflowException, OSError):  # the whole folder of the run is gone, or may not be read
        return {}
    files = {}
    for name in names:
        if name in listed:
            try:
                files[name] = _local_file(run, name, listed[name])
            except (MlflowException, OSError):
                continue
    return files


def _local_file(run: Run, name: str, size: int | None) -> Path:
    place = urlsplit(run.artifact_uri)
    if place.scheme in ("", "file"):
        return Path(url2pathname(place.path) if place.scheme else run.artifact_uri, name)
    kept = cache_folder("artifacts", run.id) / name
    if not kept.exists() or kept.stat().st_size != size:
        with tempfile.TemporaryDirectory(dir=kept.parent) as temporary:
            fetched = mlflow.artifacts.download_artifacts(run_id=run.id, artifact_path=name, dst_path=temporary)
            shutil.move(fetched, kept)
    return kept
