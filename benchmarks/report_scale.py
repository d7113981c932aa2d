"""Measure the report's time, memory and page size by number of runs: `python benchmarks/report_scale.py`.

For each number of runs, a SQLite store is filled with finished runs of both frameworks, with 20 epochs and predictions
for 500 test sentences each. The step `report` then runs in its own process. Times include imports; memory is the peak.
With `--foreign` the runs have no tags of this project, as if other tools had logged them; a tenth have a NaN score.
"""

import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd

STEPS = Path(__file__).resolve().parents[1] / "steps"
LABELS = ("DIAGNOSIS", "DRUG", "DURATION", "FORM", "FREQUENCY", "ROUTE", "STRENGTH")
EPOCHS, SENTENCES, TOKENS = 20, 500, 14
STARTED = 1_700_000_000_000  # milliseconds

REPORT = """
import json, resource, sys
from report import report
report(output=sys.argv[1], metric=sys.argv[2])
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def fill(folder: Path, runs: int, foreign: bool) -> None:
    """Fill a store with runs by writing to its tables, as logging each run would take hours."""
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    artifacts = folder / "artifacts"
    experiment = mlflow.create_experiment("scale", artifact_location=artifacts.as_uri())
    write_predictions(folder)
    rule = random.Random(0)
    with sqlite3.connect(folder / "mlflow.db") as store:
        store.execute("PRAGMA synchronous = OFF")
        for number in range(runs):
            insert(store, artifacts, experiment, number, rule, foreign)
    for number in range(runs):
        place = artifacts / run_id(number) / "artifacts"
        place.mkdir(parents=True)
        for name in ("inference.parquet", "entity_report.json"):
            os.link(folder / name, place / name)


def run_id(number: int) -> str:
    return f"{number:032x}"


def insert(
    store: sqlite3.Connection, artifacts: Path, experiment: str, number: int, rule: random.Random, foreign: bool
) -> None:
    """Insert one run: its params, tags, final metrics and metrics by epoch."""
    run, framework = run_id(number), ("spacy", "sparknlp")[number % 2]
    uri = (artifacts / run / "artifacts").as_uri()
    started = STARTED + 60_000 * number
    columns = "run_uuid, name, source_type, user_id, status, start_time, end_time, lifecycle_stage, experiment_id"
    values = (run, f"run-{number}", "PROJECT", "user", "FINISHED", started, started + 50_000, "active", experiment)
    store.execute(f"INSERT INTO runs ({columns}, artifact_uri) VALUES (?,?,?,?,?,?,?,?,?,?)", (*values, uri))
    params = {
        "corpus": "demo",
        "test": "''",
        "lang": "auto",
        "epochs": str(EPOCHS),
        "limit": "0",
        "log_text": "yes",
        "dev_fraction": "0.1",
        "test_fraction": "0.1",
        "batch_size": "32",
        "training_size": "2000",
        "dev_size": "300",
        "test_size": str(SENTENCES),
        "python_version": "3.11.7",
        "mlflow_version": "3.17.2",
        "drop_rate": rule.choice(["0.1", ".2", "0.3", "0.4", "0.5"]),
        "lr": rule.choice(["1e-3", "0.003", "0.01"]),
        "seed": str(number % 7),
    }
    tags = {
        "twinner.step": f"{framework}_train",
        "twinner.framework": framework,
        "twinner.corpus": "demo",
        "twinner.test_digest": "0123456789abcdef",
        "twinner.corpus_digest": "fedcba9876543210",
        "mlflow.project.entryPoint": f"{framework}_train",
        "mlflow.source.git.commit": "0" * 40,
        "mlflow.project.env": "uv",
        "mlflow.runName": f"run-{number}",
        "mlflow.user": "user",
    }
    if foreign:
        tags = {"twinner.framework": framework} if number % 3 else {}
    store.executemany("INSERT INTO params VALUES (?,?,?)", [(name, text, run) for name, text in params.items()])
    store.executemany("INSERT INTO tags VALUES (?,?,?)", [(name, text, run) for name, text in tags.items()])
    points = [*by_epoch(started, rule), *((name, value, started, 0) for name, value in finals(rule).items())]
    is_nan = foreign and number % 10 == 0
    rows = [(name, value, stamp, step, is_nan and name == "test_f1", run) for name, value, stamp, step in points]
    latest = {row[0]: row for row in rows}.values()
    columns = "key, value, timestamp, step, is_nan, run_uuid"
    store.executemany(f"INSERT INTO metrics ({columns}) VALUES (?,?,?,?,?,?)", rows)
    store.executemany(f"INSERT INTO latest_metrics ({columns}) VALUES (?,?,?,?,?,?)", latest)


def by_epoch(started: int, rule: random.Random) -> Iterator[tuple[str, float, int, int]]:
    """Yield the metrics of each epoch as (name, value, milliseconds, epoch)."""
    names = ["dev_token_precision", "dev_token_recall", "dev_token_f1", "dev_precision", "dev_recall", "dev_f1"]
    names += [f"dev_token_f1_{label}" for label in LABELS]
    best = rule.uniform(0.7, 0.95)
    for epoch in range(1, EPOCHS + 1):
        stamp = started + 1000 * epoch
        yield "ner.losses", 9000 / epoch, stamp, epoch
        yield "epoch_seconds", rule.uniform(2, 3), stamp, epoch
        for name in names:
            yield name, best * (1 - 0.5 / epoch) + rule.uniform(-0.01, 0.01), stamp, epoch


def finals(rule: random.Random) -> dict[str, float]:
    """Return the final metrics of a run."""
    f1 = rule.uniform(0.6, 0.95)
    names = ["test_f1", "test_precision", "test_recall", "test_partial_f1", "test_type_f1", "accuracy"]
    names += [f"test_f1_{label}" for label in LABELS]
    names += [f"{tag}-{label}_{score}" for tag in "BI" for label in LABELS for score in ("precision", "f1-score")]
    costs = ("training_time", "test_time", "train_words_per_second", "test_words_per_second", "peak_memory_mb")
    scores = {name: f1 + rule.uniform(-0.04, 0.04) for name in ["best_dev_f1", *names]}
    return scores | {name: rule.uniform(20, 200) for name in costs} | {"best_epoch": rule.randint(1, EPOCHS)}


def write_predictions(folder: Path) -> None:
    """Write the artifacts that all runs share: 500 sentences of 14 tokens and 3 entities, one of them missed."""
    rows, entities = [], []
    for sentence in range(SENTENCES):
        for position in range(TOKENS):
            label = LABELS[(sentence + position) % len(LABELS)]
            gold = f"B-{label}" if position in (1, 5, 9) else "O"
            predicted = "O" if position == 5 + 4 * (sentence % 2) else gold
            rows.append((sentence, position, f"word{position}", gold, predicted))
            if gold != "O":
                place = {"sentence": sentence, "start": position, "end": position + 1, "label": label}
                entities.append(place | {"found": predicted == gold, "seen_in_train": position == 1})
    columns = ["sentence", "position", "token", "ground_truth", "prediction"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "inference.parquet")
    (folder / "entity_report.json").write_text(json.dumps({"schemes": {}, "entities": entities}), encoding="utf-8")


def measure(folder: Path, metric: str) -> tuple[float, float, float, float]:
    """Report on the store in a new process; return its seconds, CPU seconds, page size in MB, and memory in MiB."""
    page = folder / "report.html"
    environment = {**os.environ, "PYTHONPATH": str(STEPS), "MLFLOW_EXPERIMENT_NAME": "scale"}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    start = time.perf_counter()
    command = [sys.executable, "-c", REPORT, str(page), metric]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=folder)
    seconds = time.perf_counter() - start
    processor, memory = json.loads(answer.stdout.splitlines()[-1])
    return seconds, processor, page.stat().st_size / 1e6, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=int, nargs="*", default=[10, 100, 1_000, 10_000], help="numbers of runs")
    parser.add_argument("--foreign", action="store_true", help="runs of other tools")
    parser.add_argument("--metric", default="best_dev_f1", help="its mean over seeds ranks the settings")
    arguments = parser.parse_args()
    print("| runs | store (MB) | report (s) | CPU (s) | page (MB) | peak memory (MiB) |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for runs in arguments.runs:
        folder = Path(tempfile.mkdtemp())
        try:
            fill(folder, runs, arguments.foreign)
            seconds, processor, size, memory = measure(folder, arguments.metric)
            store = (folder / "mlflow.db").stat().st_size / 1e6
            row = f"{store:,.0f} | {seconds:.1f} | {processor:.1f} | {size:.1f} | {memory:,.0f}"
            print(f"| {runs:,} | {row} |", flush=True)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
