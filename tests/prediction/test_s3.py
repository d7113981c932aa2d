"""Predictions from S3 to S3, with a session of their own."""

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pandas as pd
import pytest
from servers import s3_server  # type: ignore[import-not-found]

STEP = Path(__file__).resolve().parents[2] / "steps" / "predict.py"
TEXTS = ["Anna wohnt in Köln .", "In New York traf Georg niemanden .", ""]


@pytest.mark.slow
def test_texts_come_from_s3_and_their_entities_go_there(exported: Path, spark_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    with s3_server(tmp_path / "s3") as s3:
        client = boto3.client(
            "s3",
            endpoint_url=s3.endpoint,
            aws_access_key_id=s3.access["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=s3.access["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )
        for name in ("one", "two ü"):
            lines = "\n".join(json.dumps({"id": f"{name} {n}", "text": text}) for n, text in enumerate(TEXTS))
            client.put_object(Bucket=s3.bucket, Key=f"in/{name}.jsonl.gz", Body=gzip.compress(lines.encode()))
        place = f"s3://{s3.bucket}"
        command = [sys.executable, "-s", str(STEP), "--model", str(exported / "model"), "--input", f"{place}/in"]
        environment = os.environ | s3.access | {"TWINNER_CACHE": str(spark_cache)}

        def run(output: str, **variables: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(
                [*command, "--output", f"{place}/{output}"],
                env=environment | variables,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )

        done = run("found")
        assert done.returncode == 0, done.stdout + done.stderr
        keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=s3.bucket, Prefix="found/")["Contents"]]
        parts = [key for key in keys if key.startswith("found/entities/part-")]
        assert sorted(key for key in keys if not key.endswith("/")) == [
            *parts,
            "found/predictions.html",
            "found/summary.json",
        ]
        contents = (client.get_object(Bucket=s3.bucket, Key=key)["Body"].read() for key in parts)
        rows = pd.concat(pd.read_parquet(io.BytesIO(content)) for content in contents)
        assert list(rows["text"]) == TEXTS * 2
        assert list(rows["id"]) == [f"{name} {n}" for name in ("one", "two ü") for n in range(3)]
        assert set(rows["source_file"]) == {f"s3a://{s3.bucket}/in/{name}.jsonl.gz" for name in ("one", "two ü")}
        assert any(len(entities) for entities in rows["entities"])

        refused = run("found")
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"error: output {place}/found exists; ")
        denied = run("other", AWS_SECRET_ACCESS_KEY="wrong")
        assert denied.returncode == 2
        assert denied.stderr.startswith(f"error: input {place}/in can't be read: ")
        assert "wrong" not in denied.stderr
