"""A standalone Spark cluster on 127.0.0.1 whose workers can't see the driver's files."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyspark
import pytest
import requests
from twinner.spark.java import java_home
from users import free_port  # type: ignore[import-not-found]

SPARK = Path(pyspark.__file__).parent
# In its own mount namespace a process sees an empty folder where others see files.
HIDE = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"']

FAST_START = "-XX:TieredStopAtLevel=1"  # for a Java that ends before optimized code pays off
SHORT_LIVED = f"spark.executor.extraJavaOptions={FAST_START}"


@dataclass(frozen=True)
class SparkCluster:
    """master: its URL. driver: a folder that the workers can't see. workers: their processes, executors included."""

    master: str
    driver: Path
    workers: list[subprocess.Popen[bytes]]

    def kill_worker(self, number: int) -> None:
        """Kill a worker with its executor and all that this has started."""
        os.killpg(self.workers[number].pid, signal.SIGKILL)


@pytest.fixture
def spark_cluster(tmp_path: Path) -> Iterator[SparkCluster]:
    """A master with two workers of one core each."""
    port, page = free_port(), free_port()
    environment = os.environ | {"SPARK_HOME": str(SPARK), "JAVA_HOME": str(java_home()), "SPARK_LOCAL_IP": "127.0.0.1"}
    driver = tmp_path / "driver"
    driver.mkdir()
    start, deploy = SPARK / "bin" / "spark-class", "org.apache.spark.deploy"
    ports = ["--port", port, "--webui-port", page]
    commands: list[list[object]] = [[start, f"{deploy}.master.Master", "--host", "127.0.0.1", *ports]]
    url = f"spark://127.0.0.1:{port}"
    for worker in ("one", "two"):
        folder = ["--work-dir", tmp_path / worker, "--host", "127.0.0.1", "--webui-port", 0]
        size = ["--cores", 1, "--memory", "2g"]
        commands.append([*HIDE, driver, start, f"{deploy}.worker.Worker", *folder, *size, url])
    processes = []
    with ExitStack() as stack:
        for number, command in enumerate(commands):
            log = stack.enter_context((tmp_path / f"{number}.log").open("wb"))
            own_environment = environment | {
                "SPARK_LOCAL_DIRS": str(tmp_path / f"local-{number}"),
                "TWINNER_CACHE": str(tmp_path / f"{number}"),
                "SPARK_DAEMON_JAVA_OPTS": FAST_START,
            }
            process = subprocess.Popen(
                list(map(str, command)), env=own_environment, stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(process.wait)
            stack.callback(_kill_group, process.pid)
            processes.append(process)
        deadline = time.monotonic() + 120
        while _workers(page) < 2:
            assert time.monotonic() < deadline, [log.read_text() for log in tmp_path.glob("*.log")]
            time.sleep(0.5)
        yield SparkCluster(url, driver, processes[1:])


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # the test has killed it
        return


def _workers(page: int) -> int:
    try:
        return int(requests.get(f"http://127.0.0.1:{page}/json/", timeout=5).json()["aliveworkers"])
    except requests.RequestException:
        return 0
