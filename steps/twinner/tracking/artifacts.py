"""Fetch artifacts of runs: only the files and runs asked for, several at a time."""

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
from twinner.tracking.read import MAX_REQUESTS
from twinner.tracking.run import Run


def fetch_artifacts(runs: Sequence[Run], names: Sequence[str]) -> dict[str, dict[str, Path]]:
    """Return the local files of artifacts by run id and name; those that are missing are left out.

    names: of files at the top of a run's artifacts. Local artifacts are read in place; remote ones are kept in the
    cache and fetched again if their size has changed.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # small files need no bar
    with ThreadPoolExecutor(MAX_REQUESTS) as pool:
        return dict(zip([run.id for run in runs], pool.map(lambda run: _fetch(run, names), runs), strict=True))


def _fetch(run: Run, names: Sequence[str]) -> dict[str, Path]:
    try:
        listed = {file.path: file for file in mlflow.MlflowClient().list_artifacts(run.id)}
    except (MlflowException, OSError):  # the run's folder is missing or unreadable
        return {}
    files = {}
    for name in names:
        if name in listed and not listed[name].is_dir:
            try:
                files[name] = _local_file(run, name, listed[name].file_size)
            except (MlflowException, OSError):
                continue
    return files


def _local_file(run: Run, name: str, size: int | None) -> Path:
    place = urlsplit(run.artifact_uri)
    if place.scheme in ("", "file"):
        return Path(url2pathname(place.path) if place.scheme else run.artifact_uri, name)
    kept = cache_folder("artifacts", run.id) / name
    if not kept.is_file() or kept.stat().st_size != size:
        with tempfile.TemporaryDirectory(dir=kept.parent) as temporary:
            fetched = mlflow.artifacts.download_artifacts(run_id=run.id, artifact_path=name, dst_path=temporary)
            shutil.move(fetched, kept)
    return kept
