"""Training on a standalone Spark cluster whose workers can't see the driver's files."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import mlflow
import pyarrow.parquet as pq
import pyspark
import pytest
import requests
from spark_cache import spark_cache  # type: ignore[import-not-found]  # noqa: F401
from twinner.spark.java import java_home

PROJECT = Path(__file__).parents[3]
SPARK = Path(pyspark.__file__).parent
# In its own mount namespace a process sees an empty folder where others see files.
HIDE = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"']


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    """The URL of a master with two workers on 127.0.0.1; `tmp_path`/driver is hidden from the workers."""
    port, page = free_port(), free_port()
    environment = os.environ | {"SPARK_HOME": str(SPARK), "JAVA_HOME": str(java_home()), "SPARK_LOCAL_IP": "127.0.0.1"}
    driver = tmp_path / "driver"
    driver.mkdir()
    start, deploy = SPARK / "bin" / "spark-class", "org.apache.spark.deploy"
    ports = ["--port", port, "--webui-port", page]
    commands: list[list[object]] = [[start, f"{deploy}.master.Master", "--host", "127.0.0.1", *ports]]
    url = f"spark://127.0.0.1:{port}"
    for worker in ("one", "two"):
        own = [
            "--work-dir",
            tmp_path / worker,
            "--host",
            "127.0.0.1",
            "--webui-port",
            0,
            "--cores",
            1,
            "--memory",
            "2g",
        ]
        commands.append([*HIDE, driver, start, f"{deploy}.worker.Worker", *own, url])
    with ExitStack() as stack:
        for number, command in enumerate(commands):
            log = stack.enter_context((tmp_path / f"{number}.log").open("wb"))
            own_environment = environment | {
                "SPARK_LOCAL_DIRS": str(tmp_path / f"local-{number}"),
                "TWINNER_CACHE": str(tmp_path / f"{number}"),
            }
            process = subprocess.Popen(
                list(map(str, command)), env=own_environment, stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(process.wait)
            stack.callback(os.killpg, process.pid, 9)
        deadline = time.monotonic() + 120
        while _workers(page) < 2:
            assert time.monotonic() < deadline, [log.read_text() for log in tmp_path.glob("*.log")]
            time.sleep(0.5)
        yield url


def _workers(page: int) -> int:
    try:
        return int(requests.get(f"http://127.0.0.1:{page}/json/", timeout=5).json()["aliveworkers"])
    except requests.RequestException:
        return 0


@pytest.mark.slow
def test_trains_on_a_cluster_that_shares_no_files_with_the_driver(
    master: str,
    tmp_path: Path,
    spark_cache: Path,  # noqa: F811
) -> None:
    driver = tmp_path / "driver"
    cache = driver / "cache"
    cache.mkdir()
    shutil.copytree(
        spark_cache / "jars", cache / "jars", copy_function=os.link if _same_disk(spark_cache, cache) else shutil.copy2
    )
    client = mlflow.MlflowClient(f"sqlite:///{driver / 'mlflow.db'}")
    settings = ["--spark-master", master, "--limit", "150", "--epochs", "3", "--driver-memory", "2g"]
    train(settings, driver)
    (run,) = client.search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert {"test_f1", "dev_f1", "best_epoch"} <= run.data.metrics.keys()
    inference = pq.read_table(client.download_artifacts(run.info.run_id, "inference.parquet", str(tmp_path)))
    assert inference.num_rows == 6094
    assert set(inference["confidence"].to_pylist()) != {0.0}
    assert run.outputs is not None
    assert client.get_logged_model(run.outputs.model_outputs[0].model_id).status == "READY"
    assert (
        sorted(path.suffix for path in (cache / "embeddings").glob("*/rows")) == [""] * 4
    )  # train, dev, test, and word2vec's sample

    train(settings, driver)
    losses = [
        [loss.value for loss in client.get_metric_history(one.info.run_id, "ner.losses")]
        for one in client.search_runs(["0"])
    ]
    assert len(losses[0]) == 3
    assert losses[0] == losses[1]


def train(settings: list[str], driver: Path) -> None:
    """Train with Spark NLP in a folder that has the store and the cache."""
    environment = os.environ | {
        "TWINNER_CACHE": str(driver / "cache"),
        "TMPDIR": str(driver),
        "MLFLOW_TRACKING_URI": f"sqlite:///{driver / 'mlflow.db'}",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    process = subprocess.run(
        [sys.executable, PROJECT / "steps" / "sparknlp_train.py", *settings],
        cwd=driver,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-6000:]


def _same_disk(one: Path, other: Path) -> bool:
    return one.resolve().stat().st_dev == other.stat().st_dev
