"""A Spark session for tests, and a cache that has the jars of the user's, if they are there."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest
from pyspark.sql import SparkSession
from twinner.errors import BadInput
from twinner.spark.jars import PLATFORMS, read_lock, spark_jars
from twinner.spark.session import spark_session, stop_session

# Looked up at import, before tests set TWINNER_CACHE to folders of their own.
USERS_JARS = Path(os.environ.get("TWINNER_CACHE") or platformdirs.user_cache_dir("twinner"), "jars").expanduser()


@pytest.fixture(scope="session")
def spark_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder with nothing but the jars of Spark NLP, linked to the user's if possible."""
    cache = tmp_path_factory.mktemp("spark-cache")
    jars = [jar.name for jar in read_lock() if jar.platform not in PLATFORMS.values()]
    if all((USERS_JARS / name).is_file() for name in jars):
        (cache / "jars").symlink_to(USERS_JARS, target_is_directory=True)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TWINNER_CACHE", str(cache))
            try:
                spark_jars()
            except BadInput as error:
                pytest.skip(str(error))
    yield cache
    for folder in ("jars", "natives"):  # pytest would keep hundreds of megabytes
        if not (cache / folder).is_symlink():
            shutil.rmtree(cache / folder, ignore_errors=True)


@pytest.fixture(scope="session")
def spark(spark_cache: Path) -> Iterator[SparkSession]:
    """The Spark session of all tests; trainers use it and leave it running."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWINNER_CACHE", str(spark_cache))
        # TensorFlow and ONNX keep the memory of every model, and are refused more than twice the heap.
        yield spark_session("local[2]", "3g")
        stop_session()


def read_only(folder: Path) -> list[str | Path]:
    """Return the start of a command line that runs the rest of it with a folder mounted read-only.

    Permissions would not do, since they do not bind root. Skips the test where mounting is not allowed.
    """
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    command: list[str | Path] = ["unshare", "--mount", "sh", "-c", script, folder]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("mounting a folder takes unshare and its rights")
    return command
