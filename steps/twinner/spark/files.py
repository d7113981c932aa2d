"""Files of any place that Spark can read and write: here, on S3, on HDFS."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pyspark.sql import SparkSession

REMOTE = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # more than one letter: `C:` is a drive
HIDDEN = ("_", ".")  # how names start that Spark does not read


@dataclass(frozen=True, order=True)
class File:
    """A file. name: for people. uri: what Spark reads. size: in bytes. changed: when, in milliseconds since 1970."""

    name: str
    uri: str
    size: int
    changed: int


def is_remote(address: str) -> bool:
    """Whether an address is a URI of another machine, rather than a path or URI of this one."""
    return bool(REMOTE.match(address)) and urlsplit(address).scheme.lower() != "file"


def local_path(address: str) -> Path:
    """Return the absolute path that an address of this machine names, with or without `file://` or `~`."""
    path = Path(os.path.expanduser(address.removeprefix("file://"))).absolute()
    return path.resolve() if ".." in path.parts else path  # one spelling for each file, or jobs would not know theirs


def is_on_s3(address: str) -> bool:
    """Whether an address is in S3."""
    return spark_uri(address).startswith("s3a://")


def spark_uri(address: str) -> str:
    """Return the URI by which Spark knows a remote address: `s3` is Amazon's own name for what Hadoop calls `s3a`."""
    return re.sub(r"^s3n?://", "s3a://", address, flags=re.IGNORECASE).rstrip("/")


def is_hidden(path: str) -> bool:
    """Whether Spark would not read a file of this path below a folder."""
    return any(part.startswith(HIDDEN) for part in path.split("/"))


class Files:
    """What can be done with files through Spark's Java. Every method may raise Py4JJavaError for an I/O error."""

    def __init__(self, session: SparkSession) -> None:
        """session: its settings hold the access to remote places."""
        self._jvm: Any = session._jvm
        self._configuration = session.sparkContext._jsc.hadoopConfiguration()  # type: ignore[union-attr]

    def find(self, pattern: str) -> list[File]:
        """Return the files that a URI or a glob names, sorted; those in a folder and below, without hidden ones."""
        system, path = self._open(pattern)
        found: list[File] = []
        for status in system.globStatus(path) or []:
            if status.isFile():
                found.append(_file(status))
                continue
            root, listed = str(status.getPath()), system.listFiles(status.getPath(), True)
            while listed.hasNext():
                file = _file(listed.next())
                if not is_hidden(file.uri[len(root) :].strip("/")):
                    found.append(file)
        return sorted(set(found))

    def names(self, folder: str) -> set[str]:
        """Return the names of what is in a folder; empty if there is none."""
        system, path = self._open(folder)
        return {str(status.getPath().getName()) for status in system.globStatus(self._path(f"{path}/*")) or []}

    def reported(self, uri: str) -> str:
        """Return how Spark spells the URI of a file in the column `_metadata.file_path`."""
        return re.sub("^file:/+", "file:/", str(self._path(uri).toUri()))

    def exists(self, uri: str) -> bool:
        """Whether there is a file or a folder."""
        system, path = self._open(uri)
        return bool(system.exists(path))

    def read(self, uri: str) -> str:
        """Return the text of a small file."""
        system, path = self._open(uri)
        stream = system.open(path)
        try:
            return bytes(stream.readAllBytes()).decode("utf-8")
        finally:
            stream.close()

    def write(self, uri: str, text: str) -> None:
        """Write a small file, whole or not at all."""
        system, path = self._open(uri)
        new = path if is_on_s3(uri) else self._path(f"{uri}.new")  # there nothing is seen before it is whole
        stream = system.create(new, True)
        stream.write(bytearray(text, "utf-8"))
        stream.close()
        if new != path:
            system.delete(path, False)
            self._rename(system, new, path)

    def move(self, uri: str, to: str) -> None:
        """Rename a file; the folder that it goes to is made if need be."""
        system, target = self._open(to)
        system.mkdirs(target.getParent())
        self._rename(system, self._path(uri), target)

    def remove(self, uri: str) -> None:
        """Remove a file, or a folder with all that is in it, if it is there."""
        system, path = self._open(uri)
        system.delete(path, True)

    def _rename(self, system: Any, path: Any, to: Any) -> None:
        if not system.rename(path, to):
            raise OSError(f"{path.getName()} could not be renamed to {to.getName()}")

    def _open(self, uri: str) -> tuple[Any, Any]:
        path = self._path(uri)
        system = path.getFileSystem(self._configuration)
        system.setWriteChecksum(False)  # on this machine Hadoop would write a hidden file beside each one
        return system, path

    def _path(self, uri: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(uri)


def _file(status: Any) -> File:
    uri = str(status.getPath())
    return File(uri, uri, int(status.getLen()), int(status.getModificationTime()))
