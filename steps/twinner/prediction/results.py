"""Tell what a prediction has found: in numbers, in words, and as a page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pyspark.sql import functions as F

from twinner.corpus.labels import metric_label
from twinner.prediction.job import MODEL_COLUMNS, Predicted, differs
from twinner.prediction.page import ROWS, Row, predictions_page
from twinner.prediction.texts import ADDED
from twinner.secrets import mask_secrets


@dataclass(frozen=True)
class Summary:
    """What a prediction has found. metrics: for MLflow. json: all of it. markdown: for people."""

    metrics: Mapping[str, float]
    json: str
    markdown: str


def summary_of(found: Predicted, settings: Mapping[str, Any]) -> Summary:
    """Sum up a prediction. settings: the parameters of the step."""
    texts = found.rows - found.rejected
    entities = {f"entities_{metric_label(label)}": number for label, number in found.entities[0].items()}
    metrics: dict[str, float] = {
        "texts": texts,
        "rejected": found.rejected,
        "entities": sum(found.entities[0].values()),
        **entities,
        "prediction_time": found.seconds,
        "texts_per_second": found.rate,
    }
    if len(found.entities) > 1:
        metrics["texts_that_differ"] = found.differing
    content = {
        **{name: mask_secrets(str(settings[name])) for name in ("model", "compare", "input", "text_column")},
        "input_digest": found.digest,
        "texts": texts,
        "rejected": found.rejected,
        **dict(zip(MODEL_COLUMNS, found.entities, strict=False)),
        **({"texts_that_differ": found.differing} if len(found.entities) > 1 else {}),
        "seconds": round(found.seconds, 1),
        "texts_per_second": round(found.rate, 1),
    }
    return Summary(metrics, json.dumps(content, ensure_ascii=False, indent=1), _markdown(found, texts))


def page_of(found: Predicted, models: Sequence[str]) -> str:
    """Return the page: the first texts, or the first that two models differ in. models: their names."""
    columns = MODEL_COLUMNS[: len(models)]
    order = [*([differs().desc()] if len(models) > 1 else []), *ADDED[:2]]
    chosen = (
        found.frame.orderBy(*order)
        .limit(ROWS)
        .select(F.col(f"`{found.text_column}`").alias("text"), *ADDED[:2], *columns)
    )
    rows = [
        Row(f"{PurePosixPath(row[ADDED[0]]).name}, row {row[ADDED[1]]:,}", row["text"], [row[name] for name in columns])
        for row in chosen.collect()
    ]
    names = [mask_secrets(model) for model in models]
    return predictions_page(rows, names, found.entities, found.rows - found.rejected, found.differing)


def _markdown(found: Predicted, texts: int) -> str:
    labels = sorted({label for counts in found.entities for label in counts})
    heads = ["label", *(["entities"] if len(found.entities) == 1 else ["model", "compare"])]
    lines = [
        f"{texts:,} texts, {sum(found.entities[0].values()):,} entities, {found.rate:,.0f} texts/s",
        *([f"{found.rejected:,} rows were rejected; `rejected/` says why"] if found.rejected else []),
        *([f"The models differ on {found.differing:,} texts"] if len(found.entities) > 1 else []),
        "",
        f"| {' | '.join(heads)} |",
        f"| --- |{' ---: |' * len(found.entities)}",
        *(f"| {label} | {' | '.join(f'{counts.get(label, 0):,}' for counts in found.entities)} |" for label in labels),
    ]
    return "\n".join(lines)
