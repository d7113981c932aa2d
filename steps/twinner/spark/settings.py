"""The settings of a Spark session: what the user asked for, checked, and ours beside it."""

import contextlib
import os
import re
import shlex
import socket
from pathlib import Path

import psutil

from twinner.cache import CacheUnusable, cache_folder, writable_cache_folder
from twinner.cores import job_count
from twinner.errors import BadInput
from twinner.spark.jars import S3_LOCK, spark_jars
from twinner.spark.java import trust_options

S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
UNITS = {"m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
LEAST_MEMORY = 512 << 20  # bytes; Spark refuses to start with less than 450 MiB
INITIAL_HEAP = 0.25  # the part of its heap that Java starts with; growing it takes some 7 % of a training on one core
# List-valued settings, with their separators: the user's value is appended to ours. Elsewhere it replaces ours.
LISTS = {
    "spark.driver.extraJavaOptions": " ",
    "spark.executor.extraJavaOptions": " ",
    "spark.driver.extraClassPath": os.pathsep,
}


def is_local(master: str) -> bool:
    """Return whether a master runs everything in the driver's own Java, which sees the driver's files and class path.

    `local-cluster[…]` does not: it starts executors in Javas of their own, so it is treated like any other cluster.
    """
    return master == "local" or master.startswith("local[")


def check_settings(master: str, driver_memory: str, spark_conf: str) -> None:
    """Raise BadInput for settings that a session can't start with, as far as that is known before Java starts."""
    _memory(driver_memory)
    _parse_settings(spark_conf)
    _check_master(master)


def brings_spark_nlp(spark_conf: str) -> bool:
    """Return whether the user's settings name jars of Spark NLP, to be used instead of ours."""
    users = _parse_settings(spark_conf)
    return "spark-nlp" in users.get("spark.jars", "") + users.get("spark.jars.packages", "")


def optimized(spark_conf: str) -> str:
    """Return settings with which Java optimizes its code in full, which pays off in what takes minutes only."""
    settings = _parse_settings(spark_conf)
    options = "spark.driver.extraJavaOptions"
    settings[options] = f"-XX:TieredStopAtLevel=4 {settings.get(options, '')}".strip()
    return shlex.join(f"{key}={value}" for key, value in settings.items())


def session_settings(
    master: str, driver_memory: str, spark_conf: str, folder: Path, spark_nlp: bool = True, s3: bool = False
) -> dict[str, str]:
    """Return all settings of a new session, which may write below `folder`; fetch the jars of what it has.

    Raises BadInput where `check_settings` does, and if the jars can't be fetched.
    """
    check_settings(master, driver_memory, spark_conf)
    users = _parse_settings(spark_conf)
    jars = [] if brings_spark_nlp(spark_conf) or not spark_nlp else spark_jars()
    jars += [jar for jar in spark_jars(S3_LOCK) if jar not in jars] if s3 else []
    where = _local(jars) if is_local(master) else _cluster(jars) if spark_nlp or s3 else {}
    ours = _memory_and_speed(driver_memory) | _folders(folder) | where | (_s3() if s3 else {})
    if "spark.driver.memory" not in users:
        ours["spark.driver.extraJavaOptions"] += f" -Xms{int(_memory(driver_memory) * INITIAL_HEAP) >> 20}m"
    for key in LISTS.keys() & ours.keys() & users.keys():
        users[key] = LISTS[key].join((ours[key], users[key]))
    return {"spark.master": master, "spark.app.name": "twinner", **ours, **users}


def _memory_and_speed(driver_memory: str) -> dict[str, str]:
    """Return the settings for memory, serialization and threads."""
    return {
        "spark.driver.memory": f"{_memory(driver_memory) >> 20}m",
        "spark.driver.maxResultSize": "0",  # unlimited: training collects the embeddings of the whole corpus
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.kryoserializer.buffer.max": "2000M",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "8",
        "spark.jsl.settings.onnx.intraOpNumThreads": "1",  # each core embeds its own sentences: twice as fast
    }


def _folders(folder: Path) -> dict[str, str]:
    """Return the settings that keep all that Spark, Spark NLP, TensorFlow and ONNX write in `folder` or our cache."""
    options = [
        f"-Djava.io.tmpdir={folder}",
        f"-Dorg.bytedeco.javacpp.cachedir={_natives_folder(folder)}",  # by default in the user's home
        "-Dfile.encoding=UTF-8",  # Java 17 takes the locale's, which in a bare container is ASCII
        "-Duser.language=en",  # for the numbers in the training log
        "-XX:MetaspaceSize=256m",  # room for all classes; with less, Java stops several times for full collections
        "-XX:TieredStopAtLevel=1",  # saves a short training a quarter of its CPU time; see `optimized`
        *trust_options(folder),
    ]
    return {
        "spark.driver.extraJavaOptions": shlex.join(options),
        "spark.executor.extraJavaOptions": "-Dfile.encoding=UTF-8",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": (folder / "warehouse").as_uri(),
        "spark.hadoop.hadoop.tmp.dir": str(folder / "hadoop"),
        "spark.jsl.settings.annotator.log_folder": str(folder / "annotator_logs"),
        "spark.jsl.settings.pretrained.cache_folder": str(_pretrained_folder(folder)),
    }


def _natives_folder(folder: Path) -> Path:
    """Return where TensorFlow unpacks its libraries: it has to write there even if they are unpacked already."""
    try:
        return writable_cache_folder("natives")
    except CacheUnusable:
        return folder / "natives"


def _pretrained_folder(folder: Path) -> Path:
    """Return where Spark NLP keeps the models of its hub; a read-only cache can still have the right one."""
    try:
        return cache_folder("pretrained")
    except CacheUnusable:
        return folder / "pretrained"


def _s3() -> dict[str, str]:
    """Return the settings for S3: where it is, as MLflow and Amazon's own tools are told. No key is in them."""
    settings = {
        "spark.hadoop.fs.s3a.aws.credentials.provider": "com.amazonaws.auth.DefaultAWSCredentialsProviderChain",
        "spark.hadoop.fs.s3a.attempts.maximum": "3",  # by default minutes
        "spark.hadoop.fs.s3a.retry.limit": "3",
        # Fewer requests; what is written so is moved to its place only when all of it is there.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
        "spark.hadoop.fs.s3a.directory.marker.retention": "keep",
    }
    endpoint = next(filter(None, map(os.environ.get, S3_ENDPOINTS)), "")
    if endpoint:
        settings |= {"spark.hadoop.fs.s3a.endpoint": endpoint, "spark.hadoop.fs.s3a.path.style.access": "true"}
    return settings


def _local(jars: list[Path]) -> dict[str, str]:
    """Return the settings of a session in the driver's own Java.

    The jars go on its class path: `spark.jars` would copy all of them for each session.
    """
    return {
        "spark.driver.extraClassPath": os.pathsep.join(map(str, jars)),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }


def _cluster(jars: list[Path]) -> dict[str, str]:
    """Return the settings of a session on a cluster, which gets the jars from the driver.

    Spark assigns tasks to workers with the random numbers that NerDLApproach uses too, and does so again every second
    for tasks that wait for a better place. For repeatable training no task waits, and only new ones are assigned.
    """
    repeatable = {"spark.scheduler.revive.interval": "1d", "spark.locality.wait": "0s"}
    return repeatable | ({"spark.jars": ",".join(jar.as_uri() for jar in jars)} if jars else {})


def _memory(driver_memory: str) -> int:
    """Return the bytes of Java's heap; auto: half of the memory (TensorFlow needs its share), at most 16 GiB.

    Several trainings at once share that half.
    """
    total = _machine_memory()
    if driver_memory.strip().lower() == "auto":
        return max(LEAST_MEMORY, min(total // 2 // job_count(), 16 << 30))
    match = re.fullmatch(r"(\d+)([mgt])b?", driver_memory.strip().lower())
    if match is None:
        raise BadInput(f"driver_memory {driver_memory!r} is not a size", "give a size such as 4g or 3500m, or auto")
    asked = int(match[1]) * UNITS[match[2]]
    if not LEAST_MEMORY <= asked <= total:
        than = "less than Spark starts with" if asked < LEAST_MEMORY else "more than this machine has"
        raise BadInput(
            f"driver_memory {driver_memory} is {than}", f"give between 512m and {total >> 20}m, or auto (half of it)"
        )
    return asked


def _machine_memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or its container's limit."""
    total: int = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):  # no control groups, or the limit is `max`
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


def _parse_settings(spark_conf: str) -> dict[str, str]:
    """Parse `key=value key=value`, quoted as in a shell."""
    try:
        words = shlex.split(spark_conf)
    except ValueError as error:
        raise BadInput(f"spark_conf {spark_conf!r} has an open quote", "close it") from error
    settings = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.startswith("spark."):
            raise BadInput(
                f"{word!r} in spark_conf is not a Spark setting",
                "write spark.some.key=value, separate settings with spaces, and quote values that contain spaces",
            )
        settings[key] = value
    return settings


def _check_master(master: str) -> None:
    """Raise BadInput if no address of a standalone master answers: Spark itself would try for minutes."""
    if not master.startswith("spark://"):
        return
    problems = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
            return
        except (OSError, ValueError) as error:
            problems.append(f"{address}: {error}")
    raise BadInput(f"spark_master {master} does not answer ({'; '.join(problems)})", "start it, or correct its address")
