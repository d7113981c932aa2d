import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from pyspark import SparkContext
from spark_cache import read_only, spark_cache  # type: ignore[import-not-found]  # noqa: F401
from twinner.errors import BadInput
from twinner.spark.session import check_machine
from twinner.spark.settings import check_settings, is_local

STEPS = Path(__file__).parents[2] / "steps"


@pytest.mark.parametrize(
    ("memory", "problem"),
    [
        ("12x", "driver_memory '12x' is not a size; give a size such as 4g or 3500m, or auto"),
        ("", "driver_memory '' is not a size"),
        ("-4g", "driver_memory '-4g' is not a size"),
        ("100m", "driver_memory 100m is less than Spark starts with"),
        ("900t", "driver_memory 900t is more than this machine has; give between 512m and"),
    ],
)
def test_rejects_impossible_memory(memory: str, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_settings("local[*]", memory, "")
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("spark.ui.enabled=true noequalssign", "'noequalssign' in spark_conf is not a Spark setting"),
        ("executor.memory=2g", "'executor.memory=2g' in spark_conf is not a Spark setting"),
        ("spark.a='b", 'spark_conf "spark.a=\'b" has an open quote; close it'),
    ],
)
def test_rejects_malformed_settings(settings: str, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_settings("local[*]", "auto", settings)
    assert str(caught.value).startswith(problem)


def test_rejects_a_master_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # free again when this block ends
    with pytest.raises(BadInput, match=rf"spark_master spark://127\.0\.0\.1:{port} does not answer"):
        check_settings(f"spark://127.0.0.1:{port}", "auto", "")


@pytest.mark.parametrize(
    ("master", "local"),
    [
        ("local", True),
        ("local[*]", True),
        ("local[4]", True),
        ("local[*, 4]", True),
        ("local-cluster[2,1,1024]", False),  # its executors are other processes, with a class path of their own
        ("spark://127.0.0.1:7077", False),
        ("yarn", False),
    ],
)
def test_a_master_is_local_if_all_runs_in_the_drivers_java(master: str, local: bool) -> None:
    assert is_local(master) == local


def test_rejects_an_unsupported_machine_unless_the_user_brings_jars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    monkeypatch.setattr(SparkContext, "_active_spark_context", None)  # other tests have a session
    with pytest.raises(BadInput, match="its TensorFlow has no build for Darwin arm64"):
        check_machine("spark.ui.enabled=true")
    check_machine("spark.jars.packages=com.johnsnowlabs.nlp:spark-nlp-silicon_2.12:5.5.3")


def run(
    script: str, folder: Path, cache: Path, *arguments: str, prefix: Sequence[str | Path] = ()
) -> subprocess.Popen[str]:
    """Start Python on a script in a new folder."""
    folder.mkdir()
    environment = os.environ | {"TWINNER_CACHE": str(cache), "PYTHONPATH": str(STEPS), "TMPDIR": str(folder.parent)}
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", script, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


START_TWICE = """
import os
os.environ["SPARK_HOME"] = "/nowhere"
from twinner.errors import BadInput
from twinner.spark.session import is_running, spark_session, stop_session

spark = spark_session("local[2]", "700m", "spark.sql.session.timeZone=UTC spark.ui.enabled=false")
assert spark_session() is spark
print(spark.range(5).count(), spark.conf.get("spark.driver.memory"), spark.conf.get("spark.sql.session.timeZone"))
print(spark._jvm.java.lang.Class.forName("com.johnsnowlabs.nlp.annotators.ner.dl.NerDLApproach").getSimpleName())
print(spark._jvm.java.nio.charset.Charset.defaultCharset().toString())
spark.createDataFrame([(1,)], "a int").write.saveAsTable("kept")
stop_session()
assert not is_running()

spark = spark_session("local[1]", "600m")
print(spark.sparkContext.master, spark.conf.get("spark.driver.memory"), spark.catalog.listTables())
stop_session()
stop_session()

try:
    spark_session("local[two]")
except BadInput as error:
    print(error)
print(os.environ["SPARK_HOME"], is_running())
"""


def test_session_is_quiet_and_tidy_and_starts_again(tmp_path: Path, spark_cache: Path) -> None:  # noqa: F811
    process = run(START_TWICE, tmp_path / "empty", spark_cache)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert err == ""
    *lines, bad_master, environment = out.splitlines()
    assert lines == ["5 700m UTC", "NerDLApproach", "UTF-8", "local[1] 600m []"]
    assert bad_master.startswith("Spark did not start on 'local[two]': ")
    assert "Could not parse Master URL" in bad_master
    assert environment == "/nowhere False"
    assert list((tmp_path / "empty").iterdir()) == []
    assert list(tmp_path.glob("twinner-spark-*")) == []


START_EARLY = """
import time

import psutil
from twinner.errors import BadInput
from twinner.spark.session import is_running, start_session_early, spark_session, stop_session, claim_session


def javas():
    return [child for child in psutil.Process().children(recursive=True) if child.name().startswith("java")]


with start_session_early("local[1]", "600m", ""):
    assert claim_session()
    while not is_running():
        time.sleep(0.05)
    assert not claim_session()
    spark = spark_session("local[2]", "700m")
    print(spark.sparkContext.master, len(javas()))
print(is_running(), len(javas()))

with start_session_early("local[1]", "600m", ""):
    pass  # nobody claims it
print(is_running(), len(javas()))

with start_session_early("local[two]", "600m", ""):
    assert claim_session()
    try:
        spark_session("local[two]", "600m")
    except BadInput as error:
        print(error)

spark = spark_session("local[1]", "600m")
with start_session_early("local[2]", "600m", ""):
    assert not claim_session()
    print(spark_session() is spark)
print(is_running())
"""


def test_early_session_is_the_one_returned_and_ends_with_the_block(
    tmp_path: Path,
    spark_cache: Path,  # noqa: F811
) -> None:
    process = run(START_EARLY, tmp_path / "empty", spark_cache)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert err == ""
    given, ended, unused, bad_master, found, left = out.splitlines()
    assert given == "local[1] 1"
    assert ended == unused == "False 0"
    assert bad_master.startswith("Spark did not start on 'local[two]': ")
    assert (found, left) == ("True", "True")
    assert list(tmp_path.glob("twinner-spark-*")) == []


@pytest.mark.parametrize(
    ("master", "spark_conf", "has_jars"),
    [("local[1]", "", False), ("spark://127.0.0.1:1", "", True), ("local[1]", "spark.jars.packages=a:b:1", True)],
)
def test_starts_no_early_session_that_needs_a_download_or_a_cluster(
    master: str,
    spark_conf: str,
    has_jars: bool,
    tmp_path: Path,
    spark_cache: Path,  # noqa: F811
) -> None:
    script = f"""
import threading
from twinner.spark.session import start_session_early
before = threading.active_count()
with start_session_early({master!r}, "600m", {spark_conf!r}):
    print(threading.active_count() - before)
"""
    process = run(script, tmp_path / "empty", spark_cache if has_jars else tmp_path / "cache")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err, out) == (0, "", "0\n")


USE_PATHS = """
import sys
from pathlib import Path
from twinner.spark.session import spark_path, spark_session, stop_session

spark = spark_session(sys.argv[1], "700m")
path = Path(sys.argv[2])
uri = spark_path(path)
spark.range(5).write.parquet(uri)
print(uri.partition(":")[0], spark.read.parquet(uri).count(), len(list(path.glob("*.parquet"))))
stop_session()
"""


@pytest.mark.parametrize(
    ("master", "path", "scheme"),
    [
        ("local[2]", "folder/rows", "file"),
        ("local[2]", "new folder/größe 100%", "webhdfs"),
        ("local-cluster[1,2,1024]", "new folder/größe 100%", "webhdfs"),
    ],
)
def test_executors_read_and_write_what_spark_path_names(
    master: str,
    path: str,
    scheme: str,
    tmp_path: Path,
    spark_cache: Path,  # noqa: F811
) -> None:
    process = run(USE_PATHS, tmp_path / "empty", spark_cache, master, path)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out == f"{scheme} 5 2\n"


STEP_ON_ARM = """
import platform, sys
platform.machine = lambda: "aarch64"
from sparknlp_train import sparknlp_train
from twinner.cli import exit_status
sys.exit(exit_status(sparknlp_train, ["--corpus", "http://127.0.0.1:9/corpus.conll"]))
"""


def test_step_on_an_unsupported_machine_ends_before_downloads(tmp_path: Path) -> None:
    process = run(STEP_ON_ARM, tmp_path / "empty", tmp_path / "cache")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2, err
    assert err.startswith("error: Spark NLP can't run here: its TensorFlow has no build for Linux aarch64; use ")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "cache").exists()


START_WITHOUT_CACHE = """
from twinner.spark.session import spark_session
spark = spark_session("local[1]", "600m")
print(spark._jvm.org.tensorflow.TensorFlow.version())
"""


def test_a_complete_read_only_cache_is_enough(tmp_path: Path, spark_cache: Path) -> None:  # noqa: F811
    process = run(START_WITHOUT_CACHE, tmp_path / "empty", spark_cache, prefix=read_only(spark_cache))
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err, out) == (0, "", "2.7.4\n")
    assert list(tmp_path.glob("twinner-spark-*")) == []


WAIT_IN_JAVA = """
from twinner.spark.session import spark_session
spark = spark_session("local[1]", "600m")
print("started", flush=True)
spark._jvm.java.lang.Thread.sleep(600_000)
"""


@pytest.mark.parametrize("java_answers", [True, False])
def test_interrupt_ends_the_session_whatever_java_is_doing(
    java_answers: bool,
    tmp_path: Path,
    spark_cache: Path,  # noqa: F811
) -> None:
    process = run(WAIT_IN_JAVA, tmp_path / "empty", spark_cache)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    children = psutil.Process(process.pid).children(recursive=True)
    java = [child for child in children if "java" in child.name()]
    assert java
    if not java_answers:
        java[0].suspend()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert list(tmp_path.glob("twinner-spark-*")) == []
