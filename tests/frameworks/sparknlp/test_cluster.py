"""Training on a standalone Spark cluster whose workers can't see the driver's files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pyarrow.parquet as pq
import pytest
from spark_cache import spark_cache  # type: ignore[import-not-found]  # noqa: F401
from spark_cluster import SHORT_LIVED, SparkCluster, spark_cluster  # type: ignore[import-not-found]  # noqa: F401

PROJECT = Path(__file__).parents[3]


@pytest.mark.slow
def test_trains_on_a_cluster_that_shares_no_files_with_the_driver(
    spark_cluster: SparkCluster,  # noqa: F811
    small_corpus: Path,
    tmp_path: Path,
    spark_cache: Path,  # noqa: F811
) -> None:
    driver = spark_cluster.driver
    cache = driver / "cache"
    cache.mkdir()
    shutil.copytree(
        spark_cache / "jars", cache / "jars", copy_function=os.link if _same_disk(spark_cache, cache) else shutil.copy2
    )
    client = mlflow.MlflowClient(f"sqlite:///{driver / 'mlflow.db'}")
    shutil.copytree(small_corpus, driver / "corpus")
    tokens = (small_corpus / "test.conll").read_text(encoding="utf-8").count("\t")
    settings = ["--spark-master", spark_cluster.master, "--corpus", "corpus", "--epochs", "3", "--driver-memory", "2g"]
    settings += ["--spark-conf", SHORT_LIVED]
    train(settings, driver)
    (run,) = client.search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert {"test_f1", "dev_f1", "best_epoch"} <= run.data.metrics.keys()
    inference = pq.read_table(client.download_artifacts(run.info.run_id, "inference.parquet", str(tmp_path)))
    assert inference.num_rows == tokens
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
