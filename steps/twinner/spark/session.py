"""The one Spark session of the process: start it, stop it, and name paths for it."""

import atexit
import contextlib
import logging
import os
import re
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyspark
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from twinner.errors import BadInput, Failure
from twinner.spark.file_server import FileServer
from twinner.spark.jars import are_in_cache, check_platform
from twinner.spark.java import java_home
from twinner.spark.settings import brings_spark_nlp, is_local, session_settings
from twinner.temporary import remove_folder, temporary_folder

SAFE_PATH = re.compile(r"[\w/.,~+=@:-]+", re.ASCII)

_work_folder: Path | None = None  # of the session that this module started
_file_server: FileServer | None = None  # started by the first `spark_path` on a cluster
_lock = threading.RLock()  # held while any of these two changes
_started_early = False  # a session was started early, and nobody has claimed it yet


@contextlib.contextmanager
def start_session_early(master: str, driver_memory: str, spark_conf: str) -> Iterator[None]:
    """Start the session of `spark_session` in the background during the block, and stop it afterwards.

    Only a local session whose jars are in the cache: anything else may take long or fail, which `spark_session` has
    to report. Errors are left to `spark_session` too, which tries again.
    """
    global _started_early
    if is_running() or not is_local(master) or not are_in_cache() or "spark.jars" in spark_conf:
        yield
        return

    def start() -> None:
        session: Any = spark_session(master, driver_memory, spark_conf)
        session._jvm.org.tensorflow.TensorFlow.version()  # loads TensorFlow's library

    _started_early = True
    threading.Thread(target=_ignore_errors, args=(start,), daemon=True).start()
    try:
        yield
    finally:
        _started_early = False
        stop_session()


def claim_session() -> bool:
    """Return whether the caller has to stop the session: none is running, or it was started early for them."""
    global _started_early
    callers = _started_early or not is_running()
    _started_early = False
    return callers


def spark_session(
    master: str = "local[*]",
    driver_memory: str = "auto",
    spark_conf: str = "",
    spark_nlp: bool = True,
    s3: bool = False,
) -> SparkSession:
    """Return the process's Spark session, and start it if there is none.

    A session that is already running (Databricks, a notebook, a second trainer) is used as it is.
    master: any Spark master URL. driver_memory: `auto`, or a size such as `4g` or `3500m`. spark_conf: more settings,
    `key=value key=value`, quoted as in a shell; they take precedence over ours. spark_nlp, s3: whether
    a new session has Spark NLP, and reads and writes S3.
    Nothing is written to the current folder: Spark's files go to a temporary folder that `stop_session` removes.
    Raises BadInput for settings that Spark can't start with, a master that does not answer, no Java, or no jars.
    """
    with _lock:
        if is_running():
            return SparkSession.builder.getOrCreate()
        return _new_session(master, driver_memory, spark_conf, spark_nlp, s3)


def check_machine(spark_conf: str) -> None:
    """Raise BadInput if `spark_session` would have to start Spark NLP on a machine that its jars have no build for."""
    if not is_running() and not brings_spark_nlp(spark_conf):
        check_platform()


def is_running() -> bool:
    """Return whether this process has a Spark session, so that `spark_session` would start none."""
    return SparkContext._active_spark_context is not None


def stop_session() -> None:
    """Stop the session that `spark_session` started, with its Java and its temporary folder; else do nothing.

    It takes seconds at most, whatever Spark is doing (after Ctrl-C it may be training). A new one can be started.
    """
    global _work_folder, _file_server
    with _lock:
        if _work_folder is not None:
            _stop_java()
            remove_folder(_work_folder)
            _work_folder = None
        if _file_server is not None:
            _file_server.close()
            _file_server = None


atexit.register(stop_session)


def session_folder() -> Path:
    """Return a new folder for files that the session needs; it is removed with the session."""
    with _lock:
        if _work_folder is None:  # the session is not ours
            return temporary_folder("spark")
        return Path(tempfile.mkdtemp(dir=_work_folder))


def spark_path(path: Path) -> str:
    """Return the URI by which the running session, executors included, reads and writes a path of this machine.

    Executors of a cluster do so through this process, at the path and below it, until the session is stopped. So does
    a local session if the path has other characters than Spark NLP and Hadoop take alike, such as a space: one of them
    decodes `%20`, the other one does not.
    """
    global _file_server
    master = spark_session().sparkContext.master
    if is_local(master) and SAFE_PATH.fullmatch(path.absolute().as_posix()):
        return path.absolute().as_uri()
    with _lock:
        if _file_server is None:
            _file_server = FileServer(master)
        return _file_server.uri(path)


def java_cause(error: BaseException) -> str:
    """Return the innermost cause of an error that Java raised, or a Python process of Spark, on one line."""
    java = getattr(error, "java_exception", None)
    if java is None:
        return " ".join(str(error).split()) or type(error).__name__
    while (cause := java.getCause()) is not None:
        java = cause
    lines = str(java.getMessage() or java.toString()).strip().split("\n")
    return " ".join(lines[-1 if lines[0].startswith("Traceback") else 0].split())


@contextlib.contextmanager
def java_failures(advice: str) -> Iterator[None]:
    """Raise Failure with the cause of a Java error in the block: it can't be read once the session is stopped.

    advice: what to do after it, or after Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(advice)
        raise
    except (Py4JError, PySparkException) as error:
        raise Failure(f"Spark has failed: {java_cause(error)}; {advice}") from None


def _new_session(master: str, driver_memory: str, spark_conf: str, spark_nlp: bool, s3: bool) -> SparkSession:
    global _work_folder
    _work_folder = temporary_folder("spark")
    try:
        settings = session_settings(master, driver_memory, spark_conf, _work_folder, spark_nlp, s3)
        return _start(java_home(), settings)
    except BaseException:
        stop_session()
        raise


def _start(home: Path, settings: Mapping[str, str]) -> SparkSession:
    """Start Java and the session in it; their output goes to a log, to be quoted if they fail."""
    assert _work_folder is not None
    log = _work_folder / "jvm.log"
    environment = {
        "JAVA_HOME": str(home),
        "SPARK_HOME": _spark_home(),
        "PYSPARK_PYTHON": settings.get("spark.pyspark.python", sys.executable),  # pyspark itself ignores this setting
        "TF_CPP_MIN_LOG_LEVEL": "3",  # without it TensorFlow logs the placement of every operation
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
        reason = java.toString() if java is not None else _error_in_log(log) or str(error)
        raise BadInput(
            f"Spark did not start on {settings['spark.master']!r}: {reason}",
            "check spark_master, driver_memory and spark_conf",
        ) from error


def _spark_home() -> str:
    """Return the Spark to start: SPARK_HOME if it is the version that pyspark talks to, else pyspark's own."""
    home = os.environ.get("SPARK_HOME", "")
    if home and list(Path(home).glob(f"jars/spark-core_*-{pyspark.__version__}.jar")):
        return home
    return str(Path(pyspark.__file__).parent)


def _error_in_log(log: Path) -> str:
    """Return the line of Java's output that best explains its end: the first with an error in it, else the last."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"error|exception|unrecognized|invalid", line, re.IGNORECASE)]
    return (errors or lines[-1:] or [""])[0]


def _stop_java() -> None:
    """Stop the session and kill its Java; clear what pyspark keeps of both, so that another can be started."""
    gateway, session = SparkContext._gateway, SparkSession._instantiatedSession
    if session is not None:
        # In another thread: this thread's connection to Java may be waiting for a call that was interrupted.
        stopping = threading.Thread(target=_ignore_errors, args=(session.stop,), daemon=True)
        stopping.start()
        stopping.join(timeout=5)
    if gateway is not None:
        gateway._gateway_client.is_connected = False  # do not free, in Java, the objects that Python still holds
        with _silence():  # py4j and pyspark would report the calls that this cuts off
            gateway.proc.kill()
            gateway.proc.wait()
            if session is not None:
                stopping.join(timeout=5)
    SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None
    SparkSession._instantiatedSession = SparkSession._activeSession = None


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drop log messages and warnings of all threads during the block."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def _ignore_errors(call: Callable[[], object]) -> None:
    with contextlib.suppress(Exception):
        call()


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables during the block."""
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
    """Keep the handler of Ctrl-C: Spark replaces it by one that calls Java from inside the call that it interrupts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
