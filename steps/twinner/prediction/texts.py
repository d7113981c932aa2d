"""The texts to predict: files in one of four formats, read by Spark, a row each."""

import glob
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StringType, StructField, StructType

from twinner.errors import BadInput
from twinner.serving import LONGEST_TEXT
from twinner.spark.files import File, Files, is_hidden, is_remote, local_path, spark_uri
from twinner.spark.session import java_cause, spark_path

FORMATS = {
    ".txt": "txt",  # a text a line
    ".csv": "csv",  # with a header
    ".jsonl": "jsonl",  # an object a line
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
COMPRESSED = ".gz"  # not of parquet, which compresses by itself
GLOB = re.compile(r"[*?\[]")
BEGINNING = 200  # characters of a rejected text that are kept
ADDED = ("source_file", "source_row", "entities", "compared_entities")  # columns of the output
FILE, ROW, BROKEN, PARSED = (f"twinner_{name}" for name in ("file", "row", "broken", "parsed"))  # columns on the way
LATIN = "ISO-8859-1"  # a character for each byte
WHOLE_FILES = str(1 << 40)  # bytes; more than any file has
READING = {
    "spark.sql.files.maxPartitionBytes": WHOLE_FILES,  # one task reads one file, so that its rows can be counted
    "spark.sql.files.openCostInBytes": WHOLE_FILES,
    "spark.sql.execution.arrow.pyspark.enabled": "true",  # else a list of files would start a Python process
    "spark.sql.caseSensitive": "true",  # names of columns may differ in case only
}


@dataclass(frozen=True)
class Texts:
    """Files of texts. name: as the user gave them. format: a value of `FORMATS`."""

    name: str
    format: str
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Their bytes."""
        return sum(file.size for file in self.files)

    @property
    def versions(self) -> list[list[object]]:
        """URI, size and time of each file, by which an interrupted job knows them again."""
        return [[file.uri, file.size, file.changed] for file in self.files]


@dataclass(frozen=True)
class TextFrame:
    """Rows of texts.

    frame: `file`, `row` (from 1), `text`, `reason` (why it is rejected, or null), `beginning` (of a rejected one), and
    `other_0`, `other_1`, … columns: the names of the input's columns, the text's and the others. text_column: its name.
    """

    frame: DataFrame
    columns: tuple[str, ...]
    text_column: str
    texts: Texts

    @property
    def output_columns(self) -> list[Column]:
        """The input's columns under their own names, and the place of each row."""
        others = iter(_others(self.columns))
        columns = [F.col("text" if name == self.text_column else next(others)).alias(name) for name in self.columns]
        return [*columns, F.col("file").alias(ADDED[0]), F.col("row").alias(ADDED[1])]


def find_texts(session: SparkSession, address: str) -> Texts:
    """Find the files of a path, a glob, a folder or a URI, all of one format.

    Raises BadInput if there are none, if Spark can't read the place, or if the formats are mixed.
    """
    if is_remote(address):
        try:
            found = Files(session).find(spark_uri(address))
        except Exception as error:  # Java's errors have many types
            raise BadInput(f"input {address} can't be read: {java_cause(error)}", "correct it, or the access") from None
    else:
        found = sorted(_local_files(address))
    if not found:
        raise BadInput(f"input {address}: there is no file", "give a file, a folder, a glob or a URI")
    formats = {_format(file.name): file.name for file in reversed(found)}
    if "" in formats:
        problem = f"input {address}: {formats['']} is none of {', '.join(FORMATS)}"
        raise BadInput(problem, "give a glob such as 'texts/*.txt'")
    if len(formats) > 1:
        mixed = " and ".join(sorted(formats.values()))
        raise BadInput(f"input {address} has files of several formats, such as {mixed}", "give a glob for one of them")
    return Texts(address, next(iter(formats)), tuple(found))


def read_texts(session: SparkSession, texts: Texts, text_column: str) -> TextFrame:
    """Read the texts and their other columns. session: with the settings `READING`.

    text_column: the name of the column in csv, jsonl and parquet; in txt it names the only one.
    Raises BadInput for a missing column, one that holds no text, names that the output needs, and mixed schemas.
    """
    try:
        return _READERS[texts.format](_Reader(session, texts, text_column))
    except (Py4JError, PySparkException) as error:
        cause = java_cause(error)
        for file in texts.files:
            cause = cause.replace(file.uri, file.name)
        problem = f"input {texts.name} can't be read as {texts.format}: {cause}"
        raise BadInput(problem, "give whole files of one schema") from None


def copy_texts(frame: TextFrame, place: str, rows: int) -> None:
    """Copy the texts to a folder of parquet files with so many rows at most.

    Raises BadInput if files of one input have different columns.
    """
    try:
        frame.frame.write.mode("overwrite").option("maxRecordsPerFile", rows).parquet(place)
    except (Py4JError, PySparkException) as error:
        cause = java_cause(error)
        if "header does not conform" not in cause:
            raise
        raise BadInput(
            f"input {frame.texts.name}: the files have different columns", "give those of one schema"
        ) from None


def _local_files(address: str) -> list[File]:
    path = local_path(address)
    if path.is_file():
        paths = [path]
    elif path.is_dir():
        paths = [file for file in path.rglob("*") if not is_hidden(file.relative_to(path).as_posix())]
    elif GLOB.search(address):
        paths = [Path(match) for match in glob.glob(str(path), recursive=True)]
    else:
        raise BadInput(f"input {address} does not exist", "give a file, a folder, a glob or a URI")
    files = []
    for file in filter(Path.is_file, paths):
        if not os.access(file, os.R_OK):
            raise BadInput(f"input {file} can't be read", "ask for the permission")
        status = file.stat()
        files.append(File(str(file), spark_path(file), status.st_size, int(status.st_mtime * 1000)))
    return files


def _format(name: str) -> str:
    """Return the format of a file by its name; empty if it has none that we read."""
    plain = name.lower().removesuffix(COMPRESSED)
    found = FORMATS.get(os.path.splitext(plain)[1], "")
    return "" if found == "parquet" and plain != name.lower() else found


class _Reader:
    """Reads one format; each method but `text_frame` is that of a format."""

    def __init__(self, session: SparkSession, texts: Texts, text_column: str) -> None:
        self._session = session
        self._texts = texts
        self._text_column = text_column
        self._uris = [file.uri for file in texts.files]

    def lines(self) -> TextFrame:
        rows = self._placed(self._session.read.text(self._uris))
        return self._text_frame(rows, {self._text_column: F.col("value")})

    def csv(self) -> TextFrame:
        # Its reader replaces what is not UTF-8. Latin-1 keeps every byte, and the syntax of CSV is ASCII.
        options = {"header": True, "multiLine": True, "escape": '"', "encoding": LATIN, "enforceSchema": False}
        options |= {"nullValue": "\0"}  # else an empty text would be none
        read = self._session.read.options(**options).csv(self._uris)  # type: ignore[arg-type]
        names = [_header(name.encode(LATIN).decode("utf-8", "replace")) for name in read.columns]
        rows = self._placed(read.toDF(*names))
        return self._text_frame(rows, {name: F.encode(_column(name), LATIN) for name in names})

    def json_lines(self) -> TextFrame:
        option = {"columnNameOfCorruptRecord": BROKEN}
        fields = [
            field for field in self._session.read.options(**option).json(self._uris).schema if field.name != BROKEN
        ]
        if not fields:
            raise BadInput(f"input {self._texts.name} holds no JSON objects, a line each", "give JSON lines")
        schema = StructType([*fields, StructField(BROKEN, StringType())])
        rows = self._placed(self._session.read.text(self._uris)).where(F.trim("value") != "")
        rows = rows.withColumn(PARSED, F.from_json("value", schema, option))
        reasons = [
            (~_is_utf8(F.col("value")), F.lit("the line is not UTF-8")),
            (F.col(f"{PARSED}.{BROKEN}").isNotNull(), F.lit("the line is no JSON object")),
        ]
        columns = {field.name: F.col(PARSED)[field.name] for field in fields}
        return self._text_frame(rows, columns, reasons)

    def parquet(self) -> TextFrame:
        read = self._session.read.option("mergeSchema", True).parquet(*self._uris)
        return self._text_frame(self._placed(read), {name: _column(name) for name in read.columns})

    def _placed(self, rows: DataFrame) -> DataFrame:
        """Add the file and the number of each row, from 1, in it."""
        count = F.monotonically_increasing_id().bitwiseAND((1 << 33) - 1)  # without the number of the task
        files = Files(self._session)
        names = {BROKEN: [files.reported(uri) for uri in self._uris], FILE: [file.name for file in self._texts.files]}
        known = self._session.createDataFrame(pd.DataFrame(names))
        rows = rows.select("*", F.col("_metadata.file_path").alias(PARSED), (count + 1).alias(ROW))
        return rows.join(F.broadcast(known), F.col(PARSED) == F.col(BROKEN), "left").drop(PARSED, BROKEN)

    def _text_frame(
        self, rows: DataFrame, columns: dict[str, Column], reasons: Sequence[tuple[Column, Column]] = ()
    ) -> TextFrame:
        """columns: by name; bytes are text in UTF-8. reasons: conditions to reject a row, with the words, to be tested
        before those of every text.
        """
        names = tuple(columns)
        self._check_columns(names)
        text = columns.pop(self._text_column)
        kind = rows.select(text.alias("text")).schema["text"].dataType
        if not isinstance(kind, StringType | BinaryType):
            problem = f"input {self._texts.name}: the column {self._text_column!r} holds {kind.simpleString()}, no text"
            raise BadInput(problem, "name the column of the texts with text_column")
        words = f"the text has %,d characters; {LONGEST_TEXT:,} are the most"
        length = F.length(_utf8(text))
        checks = [
            *reasons,
            (text.isNull(), F.lit("there is no text")),
            (~_is_utf8(text), F.lit("the text is not UTF-8")),
            (length > LONGEST_TEXT, F.format_string(words, length)),
        ]
        reason = F.coalesce(*(F.when(condition, said) for condition, said in checks))
        others = [_utf8(column) if self._texts.format == "csv" else column for column in columns.values()]
        frame = rows.select(
            F.col(FILE).alias("file"),
            F.col(ROW).alias("row"),
            F.when(reason.isNull(), _utf8(text)).alias("text"),
            reason.alias("reason"),
            F.when(reason.isNotNull(), F.substring(_utf8(text), 1, BEGINNING)).alias("beginning"),
            *(column.alias(name) for column, name in zip(others, _others(names), strict=True)),
        )
        return TextFrame(frame, names, self._text_column, self._texts)

    def _check_columns(self, names: Sequence[str]) -> None:
        if self._text_column not in names:
            there = ", ".join(map(repr, names))
            problem = f"input {self._texts.name} has no column {self._text_column!r}"
            raise BadInput(problem, f"name the column of the texts with text_column; there are {there}")
        if taken := [name for name in ADDED if name in names]:
            problem = f"input {self._texts.name} has a column {taken[0]!r}, which the output adds"
            raise BadInput(problem, "rename it")


_READERS: dict[str, Callable[[_Reader], TextFrame]] = {
    "txt": _Reader.lines,
    "csv": _Reader.csv,
    "jsonl": _Reader.json_lines,
    "parquet": _Reader.parquet,
}


def _header(name: str) -> str:
    """Return the name of a column. Before the first one there may be a mark, which Spark takes for part of it."""
    unmarked = name.removeprefix("\ufeff")
    is_quoted = unmarked != name and unmarked[:1] == unmarked[-1:] == '"'
    return unmarked[1:-1] if is_quoted else unmarked


def _others(names: Sequence[str]) -> list[str]:
    """The names in a `TextFrame` of the columns that are not the text's."""
    return [f"other_{number}" for number in range(len(names) - 1)]


def _column(name: str) -> Column:
    return F.col("`{}`".format(name.replace("`", "``")))


def _utf8(column: Column) -> Column:
    """The text of a column of bytes or texts; what is not UTF-8 is replaced."""
    return F.decode(column.cast("binary"), "UTF-8")


def _is_utf8(column: Column) -> Column:
    raw = column.cast("binary")
    return F.encode(F.decode(raw, "UTF-8"), "UTF-8") == raw
