"""The one Spark session of a step: its Java, jars, memory and quiet."""

import atexit
import contextlib
import logging
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pyspark
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from twinner.cache import cache_folder
from twinner.errors import BadInput
from twinner.spark.jars import are_in_cache, spark_jars
from twinner.spark.java import java_home, trust_options

UNITS = {"m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
LEAST_MEMORY = 512 << 20  # bytes; Spark refuses to start with less than 450 MiB
# Settings that are lists: the user's are added to ours, while any other of theirs takes the place of ours.
JOINED = {
    "spark.driver.extraJavaOptions": " ",
    "spark.executor.extraJavaOptions": " ",
    "spark.driver.extraClassPath": os.pathsep,
}

_work_folder: Path | None = None  # of the session that this module started; None while there is none
_one_at_a_time = threading.RLock()  # starting and stopping
_ahead = False  # whether a session was started for somebody who is yet to take it over


@contextlib.contextmanager
def session_ahead(master: str, driver_memory: str, spark_conf: str) -> Iterator[None]:
    """Start the session that `spark_session` will give while the block does something else, and stop it at the end.

    Only a session in this machine whose jars are there: all else may take long, and is for `spark_session` to tell of,
    as is what goes wrong here.
    """
    global _ahead
    if is_running() or not _is_local(master) or not are_in_cache() or "spark.jars" in spark_conf:
        yield
        return

    def start() -> None:
        session: Any = spark_session(master, driver_memory, spark_conf)
        session._jvm.org.tensorflow.TensorFlow.version()  # which loads its library

    _ahead = True
    threading.Thread(target=_quietly, args=(start,), daemon=True).start()
    try:
        yield
    finally:
        _ahead = False
        stop_session()


def take_over() -> bool:
    """Whether it is the caller's part to stop the session: there is none yet, or `session_ahead` began it for them."""
    global _ahead
    theirs = _ahead or not is_running()
    _ahead = False
    return theirs


def spark_session(master: str = "local[*]", driver_memory: str = "auto", spark_conf: str = "") -> SparkSession:
    """The process's Spark session with Spark NLP in it, started if there is none.

    A session that is already there (Databricks, a notebook, a second trainer) is taken as it is.
    master: any Spark master URL. driver_memory: `auto`, or a size such as `4g` or `3500m`. spark_conf: more settings,
    `key=value key=value`, quoted as in a shell; they win over ours.
    Nothing is written to the current folder: what Spark keeps goes to a temporary folder that `stop_session` removes.
    Raises BadInput for settings that Spark can't start with, a master that does not answer, no Java, no jars.
    """
    with _one_at_a_time:
        if is_running():
            return SparkSession.builder.getOrCreate()
        return _new_session(master, driver_memory, spark_conf)


def _new_session(master: str, driver_memory: str, spark_conf: str) -> SparkSession:
    check_settings(master, driver_memory, spark_conf)
    ours, theirs = _memory_and_speed(driver_memory), _parse_settings(spark_conf)
    home = java_home()
    jars = [] if "spark-nlp" in theirs.get("spark.jars", "") + theirs.get("spark.jars.packages", "") else spark_jars()
    global _work_folder
    _work_folder = Path(tempfile.mkdtemp(prefix="twinner-spark-"))
    ours |= _places(_work_folder) | (_local_driver(jars) if _is_local(master) else _cluster(jars))
    for key in JOINED.keys() & ours.keys() & theirs.keys():
        theirs[key] = JOINED[key].join((ours[key], theirs[key]))
    try:
        return _start(home, {"spark.master": master, "spark.app.name": "twinner", **ours, **theirs})
    except BaseException:
        stop_session()
        raise


def check_settings(master: str, driver_memory: str, spark_conf: str) -> None:
    """Raise BadInput for what `spark_session` would not start with, as far as that is seen without starting Java."""
    _memory(driver_memory)
    _parse_settings(spark_conf)
    _check_master(master)


def is_running() -> bool:
    """Whether this process has a Spark session, so that `spark_session` would start none."""
    return SparkContext._active_spark_context is not None


def stop_session() -> None:
    """Stop the session that `spark_session` started, with its Java and its temporary folder; do nothing without one.

    It ends within seconds whatever Spark is doing (after Ctrl-C it may be training), and another may be started.
    """
    global _work_folder
    with _one_at_a_time:
        if _work_folder is not None:
            _stop_java()
            shutil.rmtree(_work_folder, ignore_errors=True)
            _work_folder = None


def _stop_java() -> None:
    gateway, session = SparkContext._gateway, SparkSession._instantiatedSession
    if session is not None:
        # From a thread of its own: this thread's connection to Java may be waiting for a call that was interrupted.
        polite = threading.Thread(target=_quietly, args=(session.stop,), daemon=True)
        polite.start()
        polite.join(timeout=5)
    if gateway is not None:
        gateway._gateway_client.is_connected = False  # objects that are still held are not to be freed in Java
        with _silence():  # py4j and pyspark would tell of the calls that are cut here
            gateway.proc.kill()
            gateway.proc.wait()
            if session is not None:
                polite.join(timeout=5)
    SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None
    SparkSession._instantiatedSession = SparkSession._activeSession = None


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Log nothing and warn of nothing for a while, in any thread."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def java_cause(error: BaseException) -> str:
    """What went wrong, in a line: the innermost cause that Java gives."""
    java = getattr(error, "java_exception", None)
    if java is None:
        return " ".join(str(error).split()) or type(error).__name__
    while (cause := java.getCause()) is not None:
        java = cause
    return " ".join(str(java.getMessage() or java.toString()).split("\n")[0].split())


def _quietly(call: Callable[[], object]) -> None:
    """Call, whatever comes of it: what is being stopped may be gone already."""
    with contextlib.suppress(Exception):
        call()


atexit.register(stop_session)


def _start(home: Path, settings: Mapping[str, str]) -> SparkSession:
    """Start Java and the session in it; what they print goes to a log whose last words are told if they fail."""
    assert _work_folder is not None
    log = _work_folder / "jvm.log"
    environment = {
        "JAVA_HOME": str(home),
        "SPARK_HOME": _spark_home(),
        "PYSPARK_PYTHON": sys.executable,
        "TF_CPP_MIN_LOG_LEVEL": "3",  # else TensorFlow prints pages on where it places each operation
    }
    conf = SparkConf(loadDefaults=False).setAll(list(settings.items()))
    try:
        with _environment(environment), log.open("wb") as output:
            gateway = launch_gateway(conf, {"stdout": output, "stderr": output})
            SparkContext._gateway, SparkContext._jvm = gateway, gateway.jvm
            with _own_interrupt_handler():
                return SparkSession(SparkContext(conf=conf))
    except (PySparkException, Py4JError) as error:
        java = getattr(error, "java_exception", None)
        reason = java.toString() if java is not None else _last_words(log) or str(error)
        raise BadInput(
            f"Spark did not start on {settings['spark.master']!r}: {reason}",
            "check spark_master, driver_memory and spark_conf",
        ) from error


def _memory_and_speed(driver_memory: str) -> dict[str, str]:
    """Settings that every session has: memory, serialisation, and no web page."""
    return {
        "spark.driver.memory": f"{_memory(driver_memory) >> 20}m",
        "spark.driver.maxResultSize": "0",  # no limit: the embeddings of a corpus are collected to be trained on
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.kryoserializer.buffer.max": "2000M",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "8",
        "spark.jsl.settings.onnx.intraOpNumThreads": "1",  # each core embeds sentences of its own: twice as fast
    }


def _places(folder: Path) -> dict[str, str]:
    """Settings that keep all that Spark, Spark NLP, TensorFlow and ONNX write in `folder` or in our cache."""
    options = [
        f"-Djava.io.tmpdir={folder}",
        f"-Dorg.bytedeco.javacpp.cachedir={cache_folder('natives')}",  # by default in the user's home
        "-Dfile.encoding=UTF-8",  # Java 17 takes the locale's, which in a bare container is ASCII
        "-Duser.language=en",  # of the numbers in the training log
        "-XX:TieredStopAtLevel=1",  # half the processor time of starting and embedding: TensorFlow does the long work
        *trust_options(folder),
    ]
    return {
        "spark.driver.extraJavaOptions": shlex.join(options),
        "spark.executor.extraJavaOptions": "-Dfile.encoding=UTF-8",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": (folder / "warehouse").as_uri(),
        "spark.hadoop.hadoop.tmp.dir": str(folder / "hadoop"),
        "spark.jsl.settings.annotator.log_folder": str(folder / "annotator_logs"),
        "spark.jsl.settings.pretrained.cache_folder": str(cache_folder("pretrained")),
    }


def _local_driver(jars: list[Path]) -> dict[str, str]:
    """Settings of a session that lives in this machine alone.

    The jars are on Java's own class path: `spark.jars` would copy all of them anew for each session.
    """
    return {
        "spark.driver.extraClassPath": os.pathsep.join(map(str, jars)),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }


def _cluster(jars: list[Path]) -> dict[str, str]:
    """Settings of a session on a cluster, which gets the jars from the driver.

    Spark deals tasks out to its workers with the random numbers that all of the session share, those of NerDLApproach
    too, and does so each second for tasks that wait for a better place. Here none waits, and it does so for new ones.
    """
    repeatable = {"spark.scheduler.revive.interval": "1d", "spark.locality.wait": "0s"}
    return repeatable | ({"spark.jars": ",".join(jar.as_uri() for jar in jars)} if jars else {})


def _memory(driver_memory: str) -> int:
    """The bytes of Java's heap: as given, or half of the memory (TensorFlow wants its share) and at most 16 GiB."""
    total = _machine_memory()
    if driver_memory.strip().lower() == "auto":
        return max(LEAST_MEMORY, min(total // 2, 16 << 30))
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
    """The bytes of memory that this process may use: the machine's, or what its container is limited to."""
    total: int = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):  # no control groups here, or `max` in the file: no limit
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


def _parse_settings(spark_conf: str) -> dict[str, str]:
    """The settings of `key=value key=value`."""
    try:
        words = shlex.split(spark_conf)
    except ValueError as error:
        raise BadInput(f"spark_conf {spark_conf!r} has an open quote", "close it") from error
    settings = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key.startswith("spark."):
            raise BadInput(
                f"{word!r} in spark_conf is no setting of Spark",
                "write spark.some.key=value, several with blanks between them, values with blanks in quotes",
            )
        settings[key] = value
    return settings


def _is_local(master: str) -> bool:
    return master == "local" or master.startswith("local[")


def _check_master(master: str) -> None:
    """Raise BadInput if none of the addresses of a standalone master answers: Spark itself would try for minutes."""
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


def _spark_home() -> str:
    """The folder of the Spark to start: SPARK_HOME if it is the version that pyspark speaks to, else pyspark's own."""
    home = os.environ.get("SPARK_HOME", "")
    if home and list(Path(home).glob(f"jars/spark-core_*-{pyspark.__version__}.jar")):
        return home
    return str(Path(pyspark.__file__).parent)


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _own_interrupt_handler() -> Iterator[None]:
    """Keep the handler of Ctrl-C: Spark puts one in its place that calls Java from within whatever call it breaks."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _last_words(log: Path) -> str:
    """The line of Java's output that tells best why it ended: the first with an error in it, else the last."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"error|exception|unrecognized|invalid", line, re.IGNORECASE)]
    return (errors or lines[-1:] or [""])[0]
