"""Predict the entities of many texts with Spark: part by part, so that an interrupted job goes on where it was.

The texts are first copied to files of some thousand rows each, whatever their format. One Spark job with one task
predicts a part, made of one or more of them, and as many run at once as the session has cores.
"""

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from twinner.errors import BadInput, Failure
from twinner.frameworks import FRAMEWORKS, python_frames
from twinner.prediction.output import Output
from twinner.prediction.progress import Progress
from twinner.prediction.texts import ADDED, READING, TextFrame, copy_texts, find_texts, read_texts
from twinner.serving import SavedModel
from twinner.source_code import code_digest
from twinner.spark.session import java_cause

BYTES_A_ROW = 100  # of the input, as a guess
PARTS = 16  # whatever the cores: what NerDL finds depends a little on the texts that it gets together
ROWS_OF_PART = range(250, 10_001)
ARROW_ROWS = 512  # that a Python process gets at once
JOBS_IN_ADVANCE = 2  # that wait for a core, so that none does
AGAIN = "started again, the job goes on with what is missing"
JOB_GROUP = "twinner predict"
MODEL_COLUMNS = ADDED[2:]


@dataclass(frozen=True)
class Part:
    """A part of the texts. files: of the copy. accepted: rows that are not rejected."""

    number: int
    files: tuple[str, ...]
    rows: int
    accepted: int


@dataclass(frozen=True)
class Copy:
    """The copied texts. digest: of all rows, whatever their order: 16 hexadecimal digits."""

    parts: tuple[Part, ...]
    digest: str

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(part.rows for part in self.parts)

    @property
    def accepted(self) -> int:
        """The rows that are not rejected."""
        return sum(part.accepted for part in self.parts)


@dataclass(frozen=True)
class Predicted:
    """What a job has found.

    rows: predicted and rejected ones. entities: their number by label, for each model. differing: rows in which two
    models found different entities. seconds: of this process; earlier: rows that an interrupted one had predicted.
    frame: the rows with their entities.
    """

    digest: str
    rows: int
    rejected: int
    entities: Sequence[dict[str, int]]
    differing: int
    seconds: float
    earlier: int
    text_column: str
    frame: DataFrame = field(repr=False)

    @property
    def rate(self) -> float:
        """Texts a second, in this process."""
        return (self.rows - self.rejected - self.earlier) / self.seconds


def predict_texts(
    session: SparkSession,
    models: Sequence[SavedModel],
    input_address: str,
    output: Output,
    text_column: str,
    overwrite: bool,
) -> Predicted:
    """Predict the entities of all texts of an input, and write them to an output.

    models: one, or two to compare. Raises BadInput for texts or an output that can't be used; Failure if Spark gives
    up, after which the same call goes on with what is missing.
    """
    output.check(input_address)
    texts = find_texts(session, input_address)
    session = session.newSession()  # its settings are ours alone
    for name, value in {**READING, "spark.sql.execution.arrow.maxRecordsPerBatch": str(ARROW_ROWS)}.items():
        session.conf.set(name, value)
    frame = read_texts(session, texts, text_column)
    job = {
        "model": models[0].digest,
        "compare": models[1].digest if len(models) > 1 else "",
        "text_column": text_column,
        "code": code_digest(),
        "files": texts.versions,
    }
    goes_on = output.begin(job, overwrite)
    names = [f"found_{number}" for number in range(len(models))]
    annotate = [_loaded(session, model, name) for model, name in zip(models, names, strict=True)]
    try:
        copy = _copy(session, frame, output)
        if not copy.rows:
            raise BadInput(f"input {texts.name} holds no text", "give files that do")
    except BadInput:
        output.discard()
        raise

    def predicted(part: Part) -> DataFrame:
        rows = session.read.parquet(*part.files).where("reason is null").coalesce(1)
        rows = reduce(lambda rows, add: add(rows), annotate, rows.sortWithinPartitions("file", "row"))
        found = (F.col(name).alias(column) for name, column in zip(names, MODEL_COLUMNS, strict=False))
        return rows.select(*frame.output_columns, *found)

    finished = output.finished_parts()
    waiting = [part for part in copy.parts if part.number not in finished]
    earlier = sum(part.accepted for part in copy.parts if part.number in finished)
    if goes_on:
        print(f"Going on: {earlier:,} of {copy.accepted:,} texts are predicted already.")
    began = time.monotonic()
    with Progress(copy.accepted, earlier) as progress:
        for part in _in_parallel(session, waiting, lambda part: output.write_part(part.number, predicted(part))):
            progress.advance(part.accepted)
    seconds = time.monotonic() - began
    if copy.rows > copy.accepted:
        files = [name for part in copy.parts if part.accepted < part.rows for name in part.files]
        rejected = session.read.parquet(*files).where("reason is not null").coalesce(1)
        rejected = rejected.sortWithinPartitions("file", "row")
        output.write_rejected(rejected.selectExpr(f"file as {ADDED[0]}", f"row as {ADDED[1]}", "reason", "beginning"))
    result = output.read(predicted(copy.parts[0]).schema)
    entities, differing = _count(result, len(models))
    rejected_rows = copy.rows - copy.accepted
    return Predicted(copy.digest, copy.rows, rejected_rows, entities, differing, seconds, earlier, text_column, result)


def _loaded(session: SparkSession, model: SavedModel, name: str) -> Callable[[DataFrame], DataFrame]:
    framework = FRAMEWORKS[model.framework]
    if not framework.frame_loader:
        return python_frames.load(session, model.data, name, framework.loader)
    loader = importlib.import_module(framework.frame_loader)
    load: Callable[[SparkSession, Path, str], Callable[[DataFrame], DataFrame]] = loader.load
    return load(session, model.data, name)


def _copy(session: SparkSession, frame: TextFrame, output: Output) -> Copy:
    """Copy the texts, unless an earlier process has done so, and make parts of the copied files."""
    copied_rows = output.copied_rows
    rows = copied_rows or min(max(frame.texts.size // BYTES_A_ROW // PARTS, ROWS_OF_PART[0]), ROWS_OF_PART[-1])
    place = output.copy(rows)
    if not copied_rows:
        copy_texts(frame, place, rows)
    files = (
        session.read.parquet(place)
        .groupBy(F.col("_metadata.file_name").alias("name"))
        .agg(
            F.min("file").alias("file"),
            F.min("row").alias("row"),
            F.count("*").alias("rows"),
            F.count_if(F.col("reason").isNull()).alias("accepted"),
            F.sum(F.xxhash64("row", "text", "reason", "beginning")).alias("digest"),  # overflows, which is no harm
        )
        .orderBy("file", "row")
        .collect()
    )
    parts: list[Part] = []
    gathered: list[Any] = []
    for number, file in enumerate(files, 1):
        gathered.append(file)
        if sum(one.rows for one in gathered) >= rows or number == len(files):
            names = tuple(f"{place}/{one.name}" for one in gathered)
            sums = sum(one.rows for one in gathered), sum(one.accepted for one in gathered)
            parts.append(Part(len(parts), names, *sums))
            gathered = []
    return Copy(tuple(parts), f"{sum(file.digest for file in files) % 2**64:016x}")


def _in_parallel(session: SparkSession, parts: Sequence[Part], run: Callable[[Part], None]) -> Iterator[Part]:
    """Run a Spark job for each part, several at once; yield each part when it is done.

    Raises Failure after the first that fails; the others are cancelled.
    """
    context = session.sparkContext
    at_once = context.defaultParallelism + JOBS_IN_ADVANCE
    pool = ThreadPoolExecutor(at_once, initializer=context.setJobGroup, initargs=(JOB_GROUP, JOB_GROUP, True))
    waiting = iter(parts)
    try:
        running = {pool.submit(run, part): part for part in islice(waiting, at_once)}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                part = running.pop(future)
                future.result()
                running |= {pool.submit(run, part): part for part in islice(waiting, 1)}
                yield part
    except Exception as error:  # py4j and pyspark raise many types
        raise Failure(f"part {part.number} could not be predicted: {java_cause(error)}; {AGAIN}") from error
    finally:
        context.cancelJobGroup(JOB_GROUP)
        pool.shutdown(wait=False, cancel_futures=True)


def _count(rows: DataFrame, models: int) -> tuple[list[dict[str, int]], int]:
    """Count the entities of each model by label, and the rows that two models differ in."""
    counts = []
    for name in MODEL_COLUMNS[:models]:
        labels = rows.select(F.explode(f"{name}.label").alias("label")).groupBy("label").count().orderBy("label")
        counts.append({row["label"]: row["count"] for row in labels.collect()})
    return counts, rows.where(differs()).count() if models > 1 else 0


def differs() -> Column:
    """Whether two models have found different entities, whatever their scores."""
    spans = (
        F.transform(name, lambda found: F.struct(found["start"], found["end"], found["label"]))
        for name in MODEL_COLUMNS
    )
    return reduce(lambda one, other: one != other, spans)
