"""The fixture `spark_cache`, for tests that start Spark: the jars that are already there, in a cache of the tests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest
from twinner.errors import BadInput
from twinner.spark.jars import PLATFORMS, read_lock, spark_jars

# Looked up when this is imported, before any test puts a folder of its own in the place of the cache.
USERS_JARS = Path(os.environ.get("TWINNER_CACHE") or platformdirs.user_cache_dir("twinner"), "jars").expanduser()


@pytest.fixture(scope="session")
def spark_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder that has the jars of Spark NLP, linked to those of the user, and nothing else."""
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
    for folder in ("jars", "natives"):  # hundreds of megabytes that pytest would keep
        if not (cache / folder).is_symlink():
            shutil.rmtree(cache / folder, ignore_errors=True)
