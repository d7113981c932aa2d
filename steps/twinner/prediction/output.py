"""The folder that a prediction writes, and what an interrupted one has left there.

entities/part-00000.parquet   the rows with their entities, in the order of the input
rejected/part-00000.jsonl     the rows without, and why
predictions.html              some of the rows, to look at
summary.json                  written last
_work/                        while the job is not finished
"""

import json
import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from twinner.errors import BadInput
from twinner.spark.files import Files, is_remote, local_path, spark_uri
from twinner.spark.session import java_cause, spark_path

ENTITIES, REJECTED, PAGE, SUMMARY, WORK = "entities", "rejected", "predictions.html", "summary.json", "_work"
JOB = f"{WORK}/job.json"
OURS = {ENTITIES, REJECTED, PAGE, SUMMARY, WORK}
COPY = "texts-"
JSON_LINES = ".jsonl"  # how the name of a folder ends that gets JSON lines
ANOTHER = "give another folder, or overwrite=yes"


class Output:
    """The output of one job."""

    def __init__(self, session: SparkSession, address: str) -> None:
        """address: a folder, as the user gave it; JSON lines if its name ends in `.jsonl`, else parquet."""
        self.name = address
        self.suffix = "jsonl" if address.rstrip("/").lower().endswith(JSON_LINES) else "parquet"
        self._files = Files(session)
        self._session = session
        self._path = None if is_remote(address) else local_path(address)

    @cached_property
    def uri(self) -> str:
        """The folder as Spark knows it."""
        return spark_path(self._path) if self._path else spark_uri(self.name)

    def check(self, input_address: str) -> None:
        """Raise BadInput for a place that can't be written to, or in the input."""
        if self._path is None:
            return
        if not is_remote(input_address):
            source = local_path(input_address)
            if self._path == source or source in self._path.parents:
                raise BadInput(f"output {self.name} is in the input {input_address}", "give another folder")
        if self._path.exists() and not self._path.is_dir():
            raise BadInput(f"output {self.name} is a file", "give a folder, which may not exist yet")
        parent = next(folder for folder in (self._path, *self._path.parents) if folder.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            raise BadInput(f"output {self.name} can't be written: no permission in {parent}", "give another folder")

    def begin(self, job: Mapping[str, Any], overwrite: bool) -> bool:
        """Begin a job, or go on with the same one; return whether it goes on.

        job: what decides the result, as JSON holds it. overwrite: replace what an earlier job has written.
        Raises BadInput for a folder with anything else in it, or with a job that is finished, or not the same.
        """
        try:
            there = self._files.names(self.uri)
            if foreign := sorted(there - OURS):
                problem = f"output {self.name} is not empty, and no output of predict: it has {foreign[0]}"
                raise BadInput(problem, "give another folder")
            if there and not overwrite:
                if WORK not in there:
                    raise BadInput(f"output {self.name} exists", ANOTHER)
                self._check_same(job)
                return True
            for name in there:
                self._files.remove(f"{self.uri}/{name}")
            self._files.write(f"{self.uri}/{JOB}", json.dumps(job))
        except OSError as error:
            raise BadInput(f"output {self.name} can't be written: {error}", "give another folder") from None
        except BadInput:
            raise
        except Exception as error:  # Java's errors have many types
            raise BadInput(f"output {self.name} can't be written: {java_cause(error)}", "give another folder") from None
        return False

    def copy(self, rows: int) -> str:
        """The URI of a folder for a copy of the texts, with so many rows in each file."""
        return f"{self.uri}/{WORK}/{COPY}{rows}"

    @property
    def copied_rows(self) -> int:
        """The rows in each file of the copy that an earlier process has finished; 0: there is none."""
        numbers = (int(name.removeprefix(COPY)) for name in self._files.names(f"{self.uri}/{WORK}") if COPY in name)
        return next((number for number in numbers if self._files.exists(f"{self.copy(number)}/_SUCCESS")), 0)

    def finished_parts(self) -> set[int]:
        """The numbers of the parts that are there."""
        names = self._files.names(f"{self.uri}/{ENTITIES}")
        return {int(name.split("-")[1].split(".")[0]) for name in names if name.startswith("part-")}

    def write_part(self, number: int, rows: DataFrame) -> None:
        """Write a part, whole or not at all. rows: of one partition."""
        self._write(rows, ENTITIES, number, self.suffix)

    def write_rejected(self, rows: DataFrame) -> None:
        """Write the rejected rows. rows: of one partition."""
        self._write(rows, REJECTED, 0, "jsonl")

    def read(self, schema: StructType) -> DataFrame:
        """Return the rows with their entities."""
        reader = self._session.read.schema(schema)
        place = f"{self.uri}/{ENTITIES}"
        return reader.parquet(place) if self.suffix == "parquet" else reader.json(place)

    def finish(self, page: str, summary: str) -> None:
        """Write the page and the summary, and remove what is no longer needed."""
        self._files.write(f"{self.uri}/{PAGE}", page)
        self._files.write(f"{self.uri}/{SUMMARY}", summary)
        self._files.remove(f"{self.uri}/{WORK}")

    def discard(self) -> None:
        """Remove the folder of a job that has no result; see `begin` for what can be in it."""
        self._files.remove(self.uri)

    def _check_same(self, job: Mapping[str, Any]) -> None:
        begun = json.loads(self._files.read(f"{self.uri}/{JOB}"))
        if different := [name for name in job if begun.get(name) != job[name]]:
            name = different[0]
            values = f": {begun.get(name)}, not {job[name]}" if isinstance(job[name], str) else ""
            problem = f"output {self.name} holds an unfinished job with different {name}{values}"
            raise BadInput(problem, "give another folder, or overwrite=yes to begin again")

    def _write(self, rows: DataFrame, folder: str, number: int, suffix: str) -> None:
        work = f"{self.uri}/{WORK}/{folder}-{number}"
        writer = rows.write.mode("overwrite")
        if suffix == "parquet":
            writer.parquet(work)
        else:
            writer.option("ignoreNullFields", False).json(work)
        [written] = [name for name in self._files.names(work) if name.startswith("part-")]
        self._files.move(f"{work}/{written}", f"{self.uri}/{folder}/part-{number:05}.{suffix}")
        self._files.remove(work)
