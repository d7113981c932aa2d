"""Bring this package, and folders of this machine, to the Python processes of Spark's executors."""

import shutil
from pathlib import Path

from pyspark import SparkFiles
from pyspark.sql import SparkSession

from twinner.source_code import STEPS, code_digest, zip_files
from twinner.spark.session import session_folder
from twinner.spark.settings import is_local

PACKAGE = STEPS / "twinner"


def ship_package(session: SparkSession) -> None:
    """Let executors import this package."""
    # Spark keeps files by name, so another name for other code.
    archive = session_folder() / f"twinner-{code_digest()}.zip"
    session.sparkContext.addPyFile(str(zip_files(archive, PACKAGE.rglob("*.py"), STEPS)))


def ship_folder(session: SparkSession, path: Path, name: str) -> str:
    """Bring a folder to all executors; return what `shipped_folder` needs to find it there. name: another for each."""
    if is_local(session.sparkContext.master):
        return str(path)
    archive = shutil.make_archive(str(session_folder() / name), "zip", path)
    session.sparkContext.addArchive(f"{archive}#{name}")
    return name


def shipped_folder(place: str) -> Path:
    """Return, in a process of an executor, a folder that `ship_folder` has brought there."""
    return Path(place) if Path(place).is_absolute() else Path(SparkFiles.get(place))
