import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from spark_cache import spark_cache  # type: ignore[import-not-found]  # noqa: F401
from twinner.errors import BadInput
from twinner.spark.session import check_settings

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
def test_a_memory_that_cannot_be_is_bad_input(memory: str, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_settings("local[*]", memory, "")
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("spark.ui.enabled=true noequalssign", "'noequalssign' in spark_conf is no setting of Spark"),
        ("executor.memory=2g", "'executor.memory=2g' in spark_conf is no setting of Spark"),
        ("spark.a='b", 'spark_conf "spark.a=\'b" has an open quote; close it'),
    ],
)
def test_settings_that_are_none_are_bad_input(settings: str, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_settings("local[*]", "auto", settings)
    assert str(caught.value).startswith(problem)


def test_a_master_that_does_not_answer_is_bad_input_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # free again when this block ends
    before = time.monotonic()
    with pytest.raises(BadInput, match=rf"spark_master spark://127\.0\.0\.1:{port} does not answer"):
        check_settings(f"spark://127.0.0.1:{port}", "auto", "")
    assert time.monotonic() - before < 15


def run(script: str, folder: Path, cache: Path) -> subprocess.Popen[str]:
    """Start a Python of its own on a script, in an empty folder."""
    folder.mkdir()
    environment = os.environ | {"TWINNER_CACHE": str(cache), "PYTHONPATH": str(STEPS), "TMPDIR": str(folder.parent)}
    return subprocess.Popen(
        [sys.executable, "-c", script],
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


def test_a_session_is_quiet_tidy_and_can_be_started_again(tmp_path: Path, spark_cache: Path) -> None:  # noqa: F811
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


START_AHEAD = """
import time

import psutil
from twinner.errors import BadInput
from twinner.spark.session import is_running, session_ahead, spark_session, stop_session, take_over


def javas():
    return [child for child in psutil.Process().children(recursive=True) if child.name().startswith("java")]


with session_ahead("local[1]", "600m", ""):
    assert take_over()
    while not is_running():
        time.sleep(0.05)
    assert not take_over()
    spark = spark_session("local[2]", "700m")
    print(spark.sparkContext.master, len(javas()))
print(is_running(), len(javas()))

with session_ahead("local[1]", "600m", ""):
    pass  # nobody waits for it
print(is_running(), len(javas()))

with session_ahead("local[two]", "600m", ""):
    assert take_over()
    try:
        spark_session("local[two]", "600m")
    except BadInput as error:
        print(error)

spark = spark_session("local[1]", "600m")
with session_ahead("local[2]", "600m", ""):
    assert not take_over()
    print(spark_session() is spark)
print(is_running())
"""


def test_a_session_that_is_started_ahead_is_the_one_that_is_given_and_ends_with_the_block(
    tmp_path: Path,
    spark_cache: Path,  # noqa: F811
) -> None:
    process = run(START_AHEAD, tmp_path / "empty", spark_cache)
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
def test_no_session_is_started_ahead_that_needs_a_download_or_a_cluster(
    master: str,
    spark_conf: str,
    has_jars: bool,
    tmp_path: Path,
    spark_cache: Path,  # noqa: F811
) -> None:
    script = f"""
import threading
from twinner.spark.session import session_ahead
before = threading.active_count()
with session_ahead({master!r}, "600m", {spark_conf!r}):
    print(threading.active_count() - before)
"""
    process = run(script, tmp_path / "empty", spark_cache if has_jars else tmp_path / "cache")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err, out) == (0, "", "0\n")


WAIT_IN_JAVA = """
from twinner.spark.session import spark_session
spark = spark_session("local[1]", "600m")
print("started", flush=True)
spark._jvm.java.lang.Thread.sleep(600_000)
"""


@pytest.mark.parametrize("java_answers", [True, False])
def test_ctrl_c_ends_the_session_whatever_java_is_doing(
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
