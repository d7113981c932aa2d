"""Reading artifacts that are complete, missing, broken or of another test set."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import mlflow
import pandas as pd
import pytest
from training_runs import log_training  # type: ignore[import-not-found]
from twinner.evaluation.calibration import calibration
from twinner.report.predictions import Evidence, read_evidence
from twinner.tracking.artifacts import fetch_artifacts
from twinner.tracking.read import find_training_runs

SENTENCES = [("Anna in Ulm", "B-PER O B-LOC", "B-PER O O"), ("New York", "B-LOC I-LOC", "B-LOC I-LOC")]


def evidence() -> Evidence:
    return read_evidence(find_training_runs())


def place(run: str) -> Path:
    """The folder of a run's artifacts."""
    return Path(unquote(urlsplit(mlflow.get_run(run).info.artifact_uri).path))


def test_reads_predictions_by_sentence(experiment: str) -> None:
    run = log_training(sentences=SENTENCES, seen=["Anna"])
    found = evidence()
    one = found.predictions[run]
    assert one.tokens == [("Anna", "in", "Ulm"), ("New", "York")]
    assert one.gold == [("B-PER", "O", "B-LOC"), ("B-LOC", "I-LOC")]
    assert one.predicted == [("B-PER", "O", "O"), ("B-LOC", "I-LOC")]
    assert one.seen == {(0, (0, 1, "PER")): True, (0, (2, 3, "LOC")): False, (1, (0, 2, "LOC")): False}
    assert one.f1 == pytest.approx(2 * 2 / (2 + 3))
    assert found.support == {"PER": 1, "LOC": 2}  # counted, as the report's schemes are empty
    assert found.lacking == {}


def test_accepts_rows_in_any_order(experiment: str) -> None:
    run = log_training(sentences=SENTENCES)
    before = evidence().predictions[run]
    file = place(run) / "inference.parquet"
    pd.read_parquet(file).sample(frac=1, random_state=1).to_parquet(file)
    after = evidence().predictions[run]
    assert (after.tokens, after.gold, after.predicted) == (before.tokens, before.gold, before.predicted)


def test_reads_support_with_metric_labels(experiment: str) -> None:
    log_training(support={"DRUG": 7, "a&b": 2})
    log_training()
    assert evidence().support == {"DRUG": 7, "a_b": 2}


def test_reads_predictions_without_text(experiment: str) -> None:
    run = log_training(sentences=[("", gold, predicted) for _, gold, predicted in SENTENCES])
    assert evidence().predictions[run].tokens is None


def test_notes_missing_predictions(experiment: str) -> None:
    run = log_training()
    assert evidence().lacking == {run: "has no inference.parquet"}


def test_deleted_artifacts_count_as_missing(experiment: str) -> None:
    run = log_training(sentences=SENTENCES)
    for file in place(run).iterdir():
        file.unlink()
    place(run).rmdir()
    assert evidence().lacking == {run: "has no inference.parquet"}


@pytest.mark.parametrize("broken", ["parquet", "json", "columns", "tags", "shape"])
def test_leaves_out_unreadable_artifacts(experiment: str, broken: str) -> None:
    run = log_training(sentences=SENTENCES)
    table = place(run) / "inference.parquet"
    if broken == "parquet":
        table.write_bytes(b"PAR1 or not")
    elif broken == "json":
        (place(run) / "entity_report.json").write_text("{", encoding="utf-8")
    elif broken == "columns":
        pd.DataFrame({"sentence": [0]}).to_parquet(table)
    elif broken == "tags":
        pd.read_parquet(table).assign(prediction=None).to_parquet(table)
    else:
        (place(run) / "entity_report.json").write_text(json.dumps(["entities"]), encoding="utf-8")
    found = evidence()
    assert found.predictions == {}
    assert found.lacking[run].startswith("has artifacts that cannot be read (")


def test_leaves_out_runs_with_other_gold_tags(experiment: str) -> None:
    other = log_training(sentences=[("Anna in Ulm", "O O B-LOC", "O O O"), SENTENCES[1]])
    first = log_training(sentences=SENTENCES)  # the newest comes first
    found = evidence()
    assert list(found.predictions) == [first]
    assert found.lacking == {other: "was scored on other gold tags"}


def test_caches_remote_artifacts_until_they_change(experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = log_training(sentences=SENTENCES)
    (run,) = find_training_runs()
    remote = replace(run, artifact_uri="s3://bucket/artifacts")
    fetched = []

    def download(artifact_path: str, **arguments: str) -> str:
        fetched.append(artifact_path)
        return original(artifact_path=artifact_path, **arguments)

    original = mlflow.artifacts.download_artifacts
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", download)
    for _ in range(2):
        files = fetch_artifacts([remote], ["inference.parquet", "no-such-file"])
        assert files[identity]["inference.parquet"].read_bytes()[:4] == b"PAR1"
        assert "no-such-file" not in files[identity]
    assert fetched == ["inference.parquet"]
    original_file = place(identity) / "inference.parquet"
    original_file.write_bytes(original_file.read_bytes() + b"more")
    kept = fetch_artifacts([remote], ["inference.parquet"])[identity]["inference.parquet"]
    assert fetched == ["inference.parquet"] * 2
    assert kept.read_bytes().endswith(b"more")


NESTED = "[" * 100_000 + "]" * 100_000
ENTITY = '{"sentence": 0, "start": 0, "end": 1, "label": "PER", "seen_in_train": true}'


@pytest.mark.parametrize(
    "report",
    [
        NESTED,
        f'{{"schemes": {NESTED}}}',
        '{"schemes": {"strict": {"PER": {"support": 1e999}}}}',
        '{"schemes": {"strict": {"PER": {"support": Infinity}}}}',
        '{"schemes": {"strict": {"PER": {"support": NaN}}}}',
        '{"schemes": {"strict": {"PER": {"support": -1}}}}',
        '{"schemes": {"strict": {"PER": {"support": "many"}}}}',
        '{"schemes": {"strict": [1]}}',
        "null",
        "17",
        '{"entities": 5}',
        '{"entities": [5]}',
        f'{{"entities": [{ENTITY.replace("0", "1e999", 1)}]}}',
        f'{{"entities": [{ENTITY.replace("0", "null", 1)}]}}',
        f'{{"entities": [{ENTITY.replace(chr(34) + "PER" + chr(34), "[]")}]}}',
        f'{{"entities": [{ENTITY.replace("PER", "LOC")}]}}',  # no such gold entity
        b"\xff\xfe".decode("latin-1"),
    ],
)
def test_leaves_out_runs_with_malformed_entity_report(experiment: str, report: str) -> None:
    odd = log_training(name="odd", sentences=SENTENCES)
    good = log_training(name="good", sentences=SENTENCES)
    (place(odd) / "entity_report.json").write_text(report, encoding="latin-1")
    found = evidence()
    assert list(found.predictions) == [good]
    assert found.lacking[odd].startswith("has artifacts that cannot be read (")


@pytest.mark.parametrize(
    "table",
    [
        b"",
        pd.DataFrame({name: [] for name in ("sentence", "position", "token", "ground_truth", "prediction")}),
        {"ground_truth": [1, 2, 3, 4, 5]},
        {"prediction": [0.5] * 5},
        {"prediction": [["O"]] * 5},
        {"token": [1, 2, 3, 4, 5]},
        {"sentence": ["a", "b", "c", "d", "e"]},
        {"sentence": [0, 0, 0, float("nan"), 1]},
        {"position": [float("inf")] * 5},
        {"position": [None] * 5},
    ],
    ids=["0 bytes", "0 rows", "gold", "prediction", "lists", "token", "sentence", "nan", "infinity", "null"],
)
def test_leaves_out_runs_with_malformed_table(experiment: str, table: Any) -> None:
    odd = log_training(name="odd", sentences=SENTENCES)
    good = log_training(name="good", sentences=SENTENCES)
    file = place(odd) / "inference.parquet"
    if isinstance(table, bytes):
        file.write_bytes(table)
    else:
        (table if isinstance(table, pd.DataFrame) else pd.read_parquet(file).assign(**table)).to_parquet(file)
    found = evidence()
    assert list(found.predictions) == [good]
    assert found.lacking[odd].startswith("has artifacts that cannot be read (")


def test_accepts_dictionary_encoded_and_small_integer_columns(experiment: str) -> None:
    run = log_training(sentences=SENTENCES)
    before = evidence().predictions[run]
    file = place(run) / "inference.parquet"
    types = {"sentence": "int32", "position": "int8", "ground_truth": "category", "prediction": "category"}
    pd.read_parquet(file).astype(types).to_parquet(file)
    after = evidence().predictions[run]
    assert (after.tokens, after.gold, after.predicted) == (before.tokens, before.gold, before.predicted)


def test_folder_in_place_of_an_artifact_counts_as_missing(experiment: str) -> None:
    run = log_training(sentences=SENTENCES)
    file = place(run) / "inference.parquet"
    file.unlink()
    file.mkdir()
    assert evidence().lacking == {run: "has no inference.parquet"}


def test_reads_calibrations_and_leaves_out_broken_ones(experiment: str) -> None:
    whole, broken, none = (log_training(sentences=SENTENCES) for _ in range(3))
    known = calibration([["B-PER"]], [["B-PER"]], [[0.9]])
    (place(whole) / "calibration.json").write_text(known.to_json())
    (place(broken) / "calibration.json").write_text('{"bins": [{"low": "<b>"}], "thresholds": []}')
    found = evidence()
    assert found.calibrations == {whole: known}
    assert {broken, none} <= found.predictions.keys()
