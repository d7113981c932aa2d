"""Training runs with hand-picked numbers, logged with MLflow itself."""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from twinner.tracking.params import step_settings
from twinner.tracking.run import Run

Sentence = tuple[str, str, str]

EVIL = '"><img src=x onerror=alert(1)></script><script>alert(1)</script>'  # as a name

LOSSES = {"spacy": (900.0, 400.0, 250.0), "sparknlp": (30.0, 12.0, 8.0)}


def log_training(
    framework: str = "spacy",
    *,
    name: str = "a-run",
    test_f1: float | None = 0.8,
    dev_f1: float | None = -1,
    params: Mapping[str, str] | None = None,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    token_f1: Sequence[float] = (0.5, 0.7, 0.75),
    support: Mapping[str, int] | None = None,
    sentences: Sequence[Sentence] | None = None,
    seen: Collection[str] = (),
    status: str = "FINISHED",
) -> str:
    """Log one training run to the current store and return its id; test_f1 None: it stopped before the test.

    dev_f1: its `best_dev_f1`; -1: half its test F1, which ranks alike; None: it logged none, as code of old did not.
    sentences: its predictions as (tokens, gold tags, predicted tags), each separated by blanks; empty tokens: no text
    is logged. seen: the texts of entities in its training data.
    """
    step = f"{framework}_train"
    with mlflow.start_run(run_name=name) as run:
        mlflow.log_params(
            {"corpus": "demo", "drop_rate": "0.2", "epochs": "3", "lr": "0.001", "seed": "0", **(params or {})}
        )
        all_tags: dict[str, Any] = {"twinner.step": step, "twinner.framework": framework, "twinner.corpus": "demo"}
        if test_f1 is not None:
            all_tags["twinner.test_digest"] = "aaaa000011112222"
            for epoch, (loss, f1) in enumerate(zip(LOSSES[framework], token_f1, strict=False), 1):
                mlflow.log_metrics({"ner.losses": loss, "dev_token_f1": f1}, step=epoch)
                if framework == "spacy":
                    mlflow.log_metric("dev_f1", f1 - 0.05, step=epoch)
            if dev_f1 is not None:
                mlflow.log_metric("best_dev_f1", test_f1 / 2 if dev_f1 == -1 else dev_f1)
            mlflow.log_metrics({"test_f1": test_f1, "test_precision": test_f1 + 0.02, "test_recall": test_f1 - 0.02})
        mlflow.log_metrics({**(metrics or {})})
        if support:
            by_label = {label: {"support": count} for label, count in {"": sum(support.values()), **support}.items()}
            mlflow.log_dict({"schemes": {"strict": by_label}}, "entity_report.json")
        if sentences:
            _log_sentences(sentences, seen)
        mlflow.set_tags({**all_tags, **(tags or {})})
    if status != "FINISHED":
        mlflow.MlflowClient().set_terminated(run.info.run_id, status)
    return str(run.info.run_id)


def _log_sentences(sentences: Sequence[Sentence], seen: Collection[str]) -> None:
    """Log the two artifacts with predictions, written here from the contract rather than by our own code."""
    rows = []
    entities = []
    for number, (text, gold, predicted) in enumerate(sentences):
        tags = gold.split()
        words: Sequence[str | None] = text.split() or [None] * len(tags)
        for position, cells in enumerate(zip(words, tags, predicted.split(), strict=True)):
            rows.append((number, position, *cells, None, None))
        for start, tag in enumerate(tags):
            if tag.startswith("B-"):
                end = start + 1
                while end < len(tags) and tags[end] == f"I-{tag[2:]}":
                    end += 1
                entity = {"sentence": number, "start": start, "end": end, "label": tag[2:]}
                known = text and " ".join(text.split()[start:end]) in seen
                entities.append(entity | {"found": False, "seen_in_train": bool(known)})
    columns = ["sentence", "position", "token", "ground_truth", "prediction", "confidence", "scores"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "inference.parquet")
        pd.DataFrame(rows, columns=columns).to_parquet(file)
        mlflow.log_artifact(str(file))
    mlflow.log_dict({"schemes": {}, "entities": entities}, "entity_report.json")


# Four sentences and the predictions of a better and a worse model.
TOKENS = ["Anna kommt aus New York", "Ulm liegt", "Köln und Bad Aibling", "es regnet"]
GOLD = ["B-PER O O B-LOC I-LOC", "B-LOC O", "B-LOC O B-LOC I-LOC", "O O"]
BEST = ["B-PER O O B-LOC I-LOC", "B-LOC O", "B-LOC O B-PER I-PER", "O O"]
BEST_COUNTS = [(2, 0, 0), (1, 0, 0), (1, 1, 1), (0, 0, 0)]  # correct, spurious, missed: F1 8 / (5 + 5)
NEXT = ["B-PER O O B-LOC O", "B-LOC O", "B-LOC O B-PER I-PER", "O B-LOC"]
NEXT_COUNTS = [(1, 1, 1), (1, 0, 0), (1, 1, 1), (0, 1, 0)]  # F1 6 / (6 + 5)


def log_two_with_predictions(tokens: list[str] = TOKENS) -> tuple[str, str]:
    """Log a winner and a runner-up on 40 test sentences; return their ids."""
    best = list(zip(tokens, GOLD, BEST, strict=True)) * 10
    second = list(zip(tokens, GOLD, NEXT, strict=True)) * 10
    return (
        log_training("spacy", name="best", test_f1=0.8, sentences=best, seen=["Anna", "Ulm", "Köln"]),
        log_training("sparknlp", name="second", test_f1=6 / 11, sentences=second, seen=["Anna", "Ulm", "Köln"]),
    )


def run(
    name: str,
    f1: float | None = None,
    *,
    digest: str = "d1",
    framework: str = "spacy",
    status: str = "FINISHED",
    params: Mapping[str, str] | None = None,
    metrics: Mapping[str, float] | None = None,
    minute: int = 0,
) -> Run:
    tags = {"twinner.step": f"{framework}_train", "twinner.framework": framework, "twinner.test_digest": digest}
    started = datetime(2024, 5, 6, tzinfo=UTC) + timedelta(minutes=minute)
    scores = {**({} if f1 is None else {"test_f1": f1, "best_dev_f1": f1 / 2}), **(metrics or {})}
    given = dict(params or {})
    return Run(name, "0", name, status, started, given, scores, tags, settings=step_settings(given))
