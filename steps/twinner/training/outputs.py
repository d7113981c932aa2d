"""What a training leaves: reports, predictions, charts and data in a folder that outlives the process."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from twinner import charts
from twinner.corpus import Corpus, Sentence
from twinner.evaluation import Evaluation
from twinner.frameworks.contract import Epoch, Prediction
from twinner.pages.errors_page import errors_page
from twinner.tracking.tags import CALIBRATION

LARGEST_DATA = 50_000_000  # bytes of corpus that are logged with a run


def write_outputs(
    folder: Path,
    title: str,
    corpus: Corpus,
    predictions: Sequence[Prediction],
    evaluation: Evaluation,
    epochs: Sequence[Epoch],
    best_epoch: int,
    keep_text: bool,
) -> None:
    """Write the artifacts of the contract, except those that the framework writes itself.

    predictions: one for each sentence of test. keep_text: whether text of the corpus may be written.
    """
    (folder / "classification_report.txt").write_text(evaluation.token_report, encoding="utf-8")
    (folder / "entity_report.json").write_text(
        json.dumps(evaluation.entity_report, ensure_ascii=False, indent=1), encoding="utf-8"
    )
    if evaluation.calibration:
        (folder / CALIBRATION).write_text(evaluation.calibration.to_json(), encoding="utf-8")
    _write_inference(folder / "inference.parquet", corpus.test, predictions, keep_text)
    gold = [tag for sentence in corpus.test for tag in sentence.tags]
    predicted = [tag for prediction in predictions for tag in prediction.tags]
    charts.draw_confusion(gold, predicted, folder / "confusion.png", title=title)
    losses, scores = [epoch.loss for epoch in epochs], [epoch.scores for epoch in epochs]
    charts.draw_training_charts(losses, scores, folder, title, best_epoch)
    if keep_text:
        page = errors_page(corpus.test, predictions, title=title)
        (folder / "errors.html").write_text(page, encoding="utf-8")
        _write_data(folder / "data", corpus)


def _write_inference(
    file: Path, sentences: Sequence[Sentence], predictions: Sequence[Prediction], keep_text: bool
) -> None:
    """Write one row per token: its position, gold and predicted tag, and the model's confidence."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("sentence", "position", "token", "ground_truth", "prediction", "confidence", "scores")
    }
    for number, (sentence, prediction) in enumerate(zip(sentences, predictions, strict=True)):
        count = len(sentence.tokens)
        columns["sentence"] += [number] * count
        columns["position"] += range(count)
        columns["token"] += sentence.tokens if keep_text else [None] * count
        columns["ground_truth"] += sentence.tags
        columns["prediction"] += prediction.tags
        columns["confidence"] += prediction.confidence or [None] * count
        columns["scores"] += [list(scores.items()) for scores in prediction.scores or []] or [None] * count
    schema = pa.schema(
        {
            "sentence": pa.int32(),
            "position": pa.int32(),
            "token": pa.string(),
            "ground_truth": pa.string(),
            "prediction": pa.string(),
            "confidence": pa.float32(),
            "scores": pa.map_(pa.string(), pa.float32()),
        }
    )
    pq.write_table(pa.table(columns, schema=schema), file)


def _write_data(folder: Path, corpus: Corpus) -> None:
    """Write the splits as read, one token and its tag per line; only a note if they are too large."""
    folder.mkdir(exist_ok=True)  # a framework may have written the corpus in its own format
    splits = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
    size = 0
    for name, sentences in splits.items():
        file = folder / f"{name}.conll"
        with file.open("w", encoding="utf-8", newline="\n") as out:
            for sentence in sentences:
                out.writelines(f"{token}\t{tag}\n" for token, tag in zip(sentence.tokens, sentence.tags, strict=True))
                out.write("\n")
        size += file.stat().st_size
    if size > LARGEST_DATA:
        shutil.rmtree(folder)
        folder.mkdir()
        note = {
            "why": f"the corpus has {size} bytes; above {LARGEST_DATA} it is not copied into a run",
            "sources": corpus.sources,
            "corpus_digest": corpus.digest,
            "test_digest": corpus.test_digest,
        }
        (folder / "note.json").write_text(json.dumps(note, ensure_ascii=False, indent=1), encoding="utf-8")
