"""Predictions on a standalone Spark cluster whose workers can't see the driver's files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from predict import predict
from pyspark.sql import SparkSession
from spark_cluster import SHORT_LIVED, SparkCluster, spark_cluster  # type: ignore[import-not-found]  # noqa: F401
from sparknlp_train import sparknlp_train
from users import wait_until  # type: ignore[import-not-found]

STEP = Path(__file__).resolve().parents[2] / "steps" / "predict.py"
SENTENCES = ["Anna wohnt in Köln , sagte Béla .", "In New York traf 😀 Georg niemanden .", "Heute regnet es ."]


def start(cluster: SparkCluster, model: Path, cache: Path, rows: int) -> "subprocess.Popen[str]":
    """Predict sentences with a model, both of which only the driver can see; the last line of each file is broken."""
    driver = cluster.driver
    shutil.copytree(model, driver / "model")
    (driver / "texts").mkdir()
    for name in ("one", "two"):
        texts = ({"text": f"{n} {SENTENCES[n % 3]}", "id": f"{name}-{n}"} for n in range(rows))
        lines = [*(json.dumps(row) for row in texts), "broken"]
        (driver / "texts" / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    given = ["--model", "model", "--input", "texts", "--output", "found", "--spark-master", cluster.master]
    given += ["--spark-conf", SHORT_LIVED]
    return subprocess.Popen(
        [sys.executable, "-s", str(STEP), *given],
        cwd=driver,
        env=os.environ | {"TWINNER_CACHE": str(cache), "TMPDIR": str(driver)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows_of(output: Path) -> list[tuple[object, ...]]:
    table = pd.concat(pd.read_parquet(file) for file in sorted((output / "entities").iterdir()))
    entities = [[tuple(entity.values()) for entity in found] for found in table["entities"]]
    return list(zip(table["id"], table["text"], table["source_row"], entities, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["spacy", "sparknlp"])
def test_a_killed_worker_costs_no_row_and_the_output_is_that_of_this_machine(
    framework: str,
    spark_cluster: SparkCluster,  # noqa: F811
    exported: Path,
    small_corpus: Path,
    spark: SparkSession,
    spark_cache: Path,
    tmp_path: Path,
) -> None:
    if framework == "sparknlp":
        exported = tmp_path / "exported"
        sparknlp_train(corpus=str(small_corpus), epochs=3, lr=0.01, batch_size=8, export=str(exported))
    model, rows = exported / "model", 3000
    predicting = start(spark_cluster, model, spark_cache, rows)
    output = spark_cluster.driver / "found"
    parts = output / "entities"

    def some_parts() -> bool:
        return predicting.poll() is not None or (parts.is_dir() and len(list(parts.glob("part-*"))) >= 2)

    wait_until(some_parts, "no part is written", seconds=300)
    spark_cluster.kill_worker(0)
    printed, errors = predicting.communicate(timeout=600)
    assert predicting.returncode == 0, printed + errors
    assert f"{2 * rows:,} texts" in printed
    assert "2 rows were rejected" in printed

    here = tmp_path / "here"
    predict(model=str(model), input=str(spark_cluster.driver / "texts"), output=str(here))
    assert rows_of(output) == rows_of(here)
    assert len(rows_of(output)) == 2 * rows
    assert any(entities for *_, entities in rows_of(output))
    rejected = [json.loads(line) for line in (output / "rejected" / "part-00000.jsonl").read_text().splitlines()]
    # The place is the file's own, not the address by which executors read it.
    texts = spark_cluster.driver / "texts"
    assert [(row["source_file"], row["source_row"]) for row in rejected] == [
        (str(texts / f"{name}.jsonl"), rows + 1) for name in ("one", "two")
    ]
