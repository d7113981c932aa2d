"""Predictions of a spaCy model in every format, what is refused, and what a killed one leaves."""

import csv
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from page_parser import Page  # type: ignore[import-not-found]
from predict import predict
from pyspark.sql import SparkSession
from twinner.errors import BadInput, Failure
from twinner.training.result import Result
from users import wait_until  # type: ignore[import-not-found]

STEP = Path(__file__).resolve().parents[2] / "steps" / "predict.py"
TEXTS = ["Anna wohnt in Köln .", "", "In New York traf 😀 Béla niemanden .", "Heute regnet es .", 'Dr. "Emil" , Ulm']
ADDED = ["source_file", "source_row", "entities"]


@pytest.fixture(scope="module")
def model(exported: Path) -> str:
    return str(exported / "model")


def answers(model: str, texts: list[str]) -> list[list[dict[str, Any]]]:
    """What the model answers as a pyfunc."""
    loaded = mlflow.pyfunc.load_model(model)
    return list(loaded.predict(pd.DataFrame({"text": texts}))["entities"])


def found(output: Path) -> pd.DataFrame:
    files = sorted((output / "entities").iterdir())
    if output.suffix == ".jsonl":
        lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
        return pd.DataFrame([json.loads(line) for line in lines])
    table = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    return table.assign(entities=[list(entities) for entities in table["entities"]])


def rejected(output: Path) -> list[dict[str, Any]]:
    files = sorted((output / "rejected").iterdir())
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def write_txt(folder: Path) -> str:
    (folder / "texts.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(TEXTS).encode())
    return str(folder)


def write_gzip(folder: Path) -> str:
    (folder / "ü b").mkdir()
    with gzip.open(folder / "ü b" / "texts.txt.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(TEXTS))
    return str(folder / "ü b" / "*.gz")


def write_csv(folder: Path) -> str:
    table = pd.DataFrame({"größe": [f"{n} ß" for n in range(len(TEXTS))], "text": TEXTS})
    table.to_csv(folder / "texts.csv", index=False, encoding="utf-8-sig", quoting=csv.QUOTE_ALL)
    return str(folder / "texts.csv")


def write_jsonl(folder: Path) -> str:
    rows = [{"text": text, "id": n, "nested": {"n": [n]}} for n, text in enumerate(TEXTS)]
    (folder / "texts.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return str(folder / "texts.jsonl")


def write_parquet(folder: Path) -> str:
    table = pd.DataFrame({"when": pd.date_range("2026-01-01", periods=len(TEXTS)), "text": TEXTS})
    table.to_parquet(folder / "texts.parquet")
    return (folder / "texts.parquet").as_uri()


FORMATS: dict[Any, dict[str, list[Any]]] = {
    write_txt: {},
    write_gzip: {},
    write_csv: {"größe": [f"{n} ß" for n in range(len(TEXTS))]},
    write_jsonl: {"id": list(range(len(TEXTS))), "nested": [{"n": [n]} for n in range(len(TEXTS))]},
    write_parquet: {"when": list(pd.date_range("2026-01-01", periods=len(TEXTS)))},
}


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_gives_what_the_model_answers(write: Any, spark: SparkSession, model: str, tmp_path: Path) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    output = tmp_path / ("found.jsonl" if write is write_csv else "found")
    result = predict(model=model, input=write(folder), output=str(output))
    table = found(output)
    assert list(table["text"]) == TEXTS
    assert list(table["entities"]) == [
        [entity | {"text": text[entity["start"] : entity["end"]]} for entity in entities]
        for text, entities in zip(TEXTS, answers(model, TEXTS), strict=True)
    ]
    assert any(table["entities"])
    for name, values in FORMATS[write].items():
        assert list(table[name]) == values
    assert set(table.columns) == {"text", *FORMATS[write], *ADDED}
    # The empty lines of a file of JSON lines are counted, but are no rows.
    step = 2 if write is write_jsonl else 1
    assert list(table["source_row"]) == [1 + step * n for n in range(len(TEXTS))]
    [file] = set(table["source_file"])
    assert Path(file).is_file()
    assert (result.rows, result.rejected) == (len(TEXTS), 0)
    assert sorted(path.name for path in output.iterdir()) == ["entities", "predictions.html", "summary.json"]


def test_rows_that_cannot_be_predicted_are_rejected_and_the_others_are_not(
    spark: SparkSession, model: str, tmp_path: Path
) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    lines = [b'{"text": "Anna"}', b"{", b'{"text": null}', b'{"other": 1}', b'{"text": "K\xf6ln"}', b"[1]", b""]
    lines += [json.dumps({"text": text}).encode() for text in ("x" * 10_000_000, "nul \0 Ulm", "Béla")]
    (folder / "one.jsonl").write_bytes(b"\n".join(lines))
    (folder / "two.jsonl").write_bytes(b"\n".join(lines[:2]))
    output = tmp_path / "found"
    result = predict(model=model, input=str(folder), output=str(output))
    assert list(found(output)["text"]) == ["Anna", "nul \0 Ulm", "Béla", "Anna"]
    assert list(found(output)["source_row"]) == [1, 9, 10, 1]
    reasons = [
        (2, "the line is no JSON object"),
        (3, "there is no text"),
        (4, "there is no text"),
        (5, "the line is not UTF-8"),
        (6, "the line is no JSON object"),
        (8, "the text has 10,000,000 characters; 1,000,000 are the most"),
        (2, "the line is no JSON object"),
    ]
    assert [(row["source_row"], row["reason"]) for row in rejected(output)] == reasons
    assert [Path(row["source_file"]).name for row in rejected(output)] == ["one.jsonl"] * 6 + ["two.jsonl"]
    assert rejected(output)[5]["beginning"] == "x" * 200
    assert (result.rows, result.rejected) == (11, 7)


def test_the_run_tells_what_was_predicted(
    spark: SparkSession, model: str, tmp_path: Path, tracked: mlflow.MlflowClient
) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    before = {run.info.run_id for run in tracked.search_runs(["1"])}
    result = predict(model=model, input=str(tmp_path / "texts.txt"), output=str(tmp_path / "found"), log_text="no")
    [run] = [run for run in tracked.search_runs(["1"]) if run.info.run_id not in before]
    labels = [entity["label"] for entities in answers(model, TEXTS) for entity in entities]
    expected = {"texts": len(TEXTS), "rejected": 0, "entities": len(labels)}
    expected |= {f"entities_{label}": labels.count(label) for label in set(labels)}
    assert run.info.status == "FINISHED"
    assert expected.items() <= run.data.metrics.items()
    assert run.data.metrics["texts_per_second"] > 0
    assert run.data.params["model"] == model
    assert run.inputs
    [dataset] = run.inputs.dataset_inputs
    assert dataset.dataset.digest == result.digest
    assert [file.path for file in tracked.list_artifacts(run.info.run_id)] == ["summary.json"]

    # Another copy of the same texts has the same digest, other texts have another.
    (tmp_path / "copy.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    (tmp_path / "other.txt").write_text("\n".join(TEXTS[1:]), encoding="utf-8")
    copy, other = (
        predict(model=model, input=str(tmp_path / f"{name}.txt"), output=str(tmp_path / name))
        for name in ("copy", "other")
    )
    assert copy.digest == result.digest != other.digest


def test_two_models_are_compared_where_they_differ_first(
    spark: SparkSession, model: str, train_small: Callable[..., Result], tmp_path: Path
) -> None:
    other = train_small(epochs=1, lr=0.0005, export=str(tmp_path / "other"))
    texts = ["Heute regnet es .", *TEXTS]
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    output = tmp_path / "found"
    uri = f"{tmp_path}/other/model"
    result = predict(model=model, compare=uri, input=str(tmp_path / "texts.txt"), output=str(output))
    assert other.run_id
    pairs = list(zip(answers(model, texts), answers(uri, texts), strict=True))
    spans = [[[(one["start"], one["end"], one["label"]) for one in side] for side in pair] for pair in pairs]
    differing = [n for n, (one, two) in enumerate(spans) if one != two]
    assert differing
    assert result.differing == len(differing)
    page = Page((output / "predictions.html").read_text(encoding="utf-8"))
    shown = [int(re.findall(r"row (\d+)", heading)[0]) - 1 for heading in page.headings if "row" in heading]
    assert shown == [*differing, *(n for n in range(len(texts)) if n not in differing)]


def test_bad_input_is_refused_in_a_line_and_writes_nothing(spark: SparkSession, model: str, tmp_path: Path) -> None:
    for name, content in {
        "a.txt": "x\n",
        "empty.txt": "",
        "mixed/a.txt": "x",
        "mixed/a.csv": "text\nx\n",
        "headers/a.csv": "text,id\nx,1\n",
        "headers/b.csv": "id,text\n1,x\n",
        "image.png": "x",
        "ids.csv": "id,title\n1,x\n",
        "numbers.jsonl": '{"text": 1}\n',
        "taken.csv": "text,entities\nx,y\n",
        "no.jsonl": "no\n",
        "not-parquet.parquet": "x",
        "full/mine.doc": "x",
        "done/summary.json": "{}",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n")
    good = {"model": model, "input": "a.txt", "output": "found"}
    for change, words in (
        ({"model": ""}, "model is empty; give it"),
        ({"model": "models:/nobody/1"}, "model='models:/nobody/1': there is no such model"),
        ({"model": f"{tmp_path}/other"}, "is no model of this project: its loader is mlflow.sklearn"),
        ({"input": "absent.txt"}, "does not exist"),
        ({"input": "*.absent"}, "there is no file"),
        ({"input": "empty.txt"}, "holds no text"),
        ({"input": "mixed"}, "has files of several formats, such as "),
        ({"input": "headers"}, "the files have different columns"),
        ({"input": "image.png"}, "image.png is none of .txt, .csv"),
        (
            {"input": "ids.csv"},
            "has no column 'text'; name the column of the texts with text_column; there are 'id', 't",
        ),
        ({"input": "numbers.jsonl"}, "the column 'text' holds bigint, no text"),
        ({"input": "taken.csv"}, "has a column 'entities', which the output adds"),
        ({"input": "no.jsonl"}, "holds no JSON objects, a line each"),
        ({"input": "not-parquet.parquet"}, "can't be read as parquet"),
        ({"input": "webhdfs://127.0.0.1:1/x.txt"}, "can't be read: "),
        ({"output": "ids.csv"}, "is a file"),
        ({"output": "done"}, "exists; give another folder, or overwrite=yes"),
        ({"output": "full"}, "is not empty, and no output of predict: it has mine.doc"),
        ({"output": "full", "overwrite": "yes"}, "is not empty, and no output of predict: it has mine.doc"),
        ({"input": "mixed/*.txt", "output": "mixed"}, "is not empty, and no output of predict"),
        ({"input": "headers", "output": "headers/found"}, "is in the input"),
    ):
        given = good | change
        for name in ("input", "output"):
            if "://" not in given[name]:
                given[name] = str(tmp_path / given[name])
        with pytest.raises(BadInput) as error:
            predict(**given)  # type: ignore[arg-type]
        assert words in str(error.value)
        assert not (tmp_path / "found").exists()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.doc"]
    assert not (tmp_path / "headers" / "found").exists()


def test_a_model_that_fails_is_told_in_a_line_and_once_it_works_the_job_goes_on(
    spark: SparkSession, exported: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(exported / "model", tmp_path / "model")
    config = model / "model.spacy" / "config.cfg"
    whole = config.read_text(encoding="utf-8")
    config.write_text("broken", encoding="utf-8")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    given = {"model": str(model), "input": str(tmp_path / "texts.txt"), "output": str(tmp_path / "found")}
    with pytest.raises(Failure) as error:
        predict(**given)  # type: ignore[arg-type]
    assert str(error.value).startswith("part 0 could not be predicted: ")
    assert "Traceback" not in str(error.value)
    assert str(error.value).endswith("; started again, the job goes on with what is missing")
    config.write_text(whole, encoding="utf-8")
    predict(**given)  # type: ignore[arg-type]
    assert list(found(tmp_path / "found")["text"]) == TEXTS


@pytest.mark.slow
def test_a_killed_prediction_goes_on_with_what_is_missing(model: str, tmp_path: Path) -> None:
    lines = [f"Anna wohnt in Köln , sagte Béla {n} ." for n in range(20_000)]
    (tmp_path / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    output = tmp_path / "found"
    given = ["--model", model, "--input", str(tmp_path / "texts.txt"), "--output", str(output)]
    command = [sys.executable, "-s", str(STEP), *given]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    parts = output / "entities"
    wait_until(lambda: parts.is_dir() and len(list(parts.glob("part-*"))) >= 2, "no part is written", seconds=180)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in parts.glob("part-*")}
    assert not (output / "summary.json").exists()

    other = subprocess.run([*command, "--text-column", "body"], capture_output=True, text=True, check=False)
    assert other.returncode == 2
    assert "holds an unfinished job with different text_column: text, not body;" in other.stderr

    other_spelling = [*command, "--input", "../texts.txt"]
    done = subprocess.run(other_spelling, cwd=output, capture_output=True, text=True, check=True)
    assert re.search(r"^Going on: [\d,]+ of 20,000 texts are predicted already\.$", done.stdout, re.MULTILINE)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert list(found(output)["text"]) == lines
    assert len(list(parts.iterdir())) > len(kept)
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert again.stderr == f"error: output {output} exists; give another folder, or overwrite=yes\n"
