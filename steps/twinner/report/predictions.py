"""Read the predictions that runs logged for the test sentences: `inference.parquet` and `entity_report.json`."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from twinner.corpus.labels import metric_label
from twinner.corpus.sentence import Sentence, entities_of
from twinner.evaluation.calibration import Calibration
from twinner.evaluation.mistakes import Entity, Mistake, errors_by_kind
from twinner.evaluation.scores import precision_recall_f1, sentence_counts
from twinner.tracking.artifacts import fetch_artifacts
from twinner.tracking.run import Run
from twinner.tracking.tags import CALIBRATION

INFERENCE, ENTITY_REPORT = "inference.parquet", "entity_report.json"
COLUMNS = {
    "sentence": pa.int64(),
    "position": pa.int64(),
    "token": pa.string(),
    "ground_truth": pa.string(),
    "prediction": pa.string(),
}
Tags = tuple[str, ...]


@dataclass(frozen=True)
class Predictions:
    """One run's predictions for the n test sentences.

    gold, predicted: n sequences of tags. tokens: n sequences of tokens, or None if the run logged no text.
    seen: whether a gold entity's text is an entity in the training data, by (sentence, entity); empty if unknown.
    """

    gold: Sequence[Tags]
    predicted: Sequence[Tags]
    tokens: Sequence[Tags] | None
    seen: Mapping[tuple[int, Entity], bool]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The entities found, spurious and missed in each sentence: n by 3."""
        return sentence_counts(self.gold, self.predicted)

    @cached_property
    def f1(self) -> float:
        """Strict F1 over all sentences."""
        return precision_recall_f1([tuple(self.counts.sum(axis=0))])[2]

    @cached_property
    def gold_entities(self) -> list[list[Entity]]:
        """The gold entities of each sentence."""
        return [list(entities_of(tags)) for tags in self.gold]

    @cached_property
    def predicted_entities(self) -> list[list[Entity]]:
        """The predicted entities of each sentence."""
        return [list(entities_of(tags)) for tags in self.predicted]

    @cached_property
    def mistakes(self) -> list[list[Mistake]]:
        """The errors of each sentence."""
        return [errors_by_kind(*pair) for pair in zip(self.gold, self.predicted, strict=True)]

    def sentence(self, number: int) -> Sentence:
        """Return a sentence with its gold tags, its tokens joined by spaces; only if the run logged text."""
        assert self.tokens is not None
        return Sentence.from_tokens(self.tokens[number], self.gold[number])


@dataclass(frozen=True)
class Evidence:
    """What the artifacts of runs on one test set hold.

    predictions: by run id, in the order of the runs. counts: of these runs and those that were only counted, the
    entities found, spurious and missed in each sentence (n by 3), by run id. lacking: why a run has none, by run id.
    support: the number of gold entities in test by label, spelled as in metrics; empty if unknown. calibrations: of
    those with predictions that have one, by run id.
    """

    predictions: Mapping[str, Predictions]
    lacking: Mapping[str, str]
    support: Mapping[str, int]
    counts: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)


def read_evidence(runs: Sequence[Run], counted: Sequence[Run] = ()) -> Evidence:
    """Read the predictions of runs on one test set; missing and unreadable ones are left out.

    counted: runs of whose predictions only the counts are kept, as all would take much memory. The gold tags of the
    first readable run are the reference: runs with other gold tags are left out, whatever their tag
    `twinner.test_digest` says.
    """
    files = fetch_artifacts(runs, [INFERENCE, ENTITY_REPORT, CALIBRATION]) | fetch_artifacts(counted, [INFERENCE])
    read: dict[str, Predictions] = {}
    counts: dict[str, NDArray[np.int64]] = {}
    lacking: dict[str, str] = {}
    support: dict[str, int] = {}
    calibrations: dict[str, Calibration] = {}
    gold: Sequence[Tags] | None = None
    for place, run in enumerate((*runs, *counted)):
        try:
            found, of_run = _read_artifacts(files[run.id])
        except Exception as error:  # any program may have written them, so anything may be wrong
            lacking[run.id] = f"has artifacts that cannot be read ({type(error).__name__})"
            continue
        support = support or of_run
        if found is None:
            lacking[run.id] = f"has no {INFERENCE}"
        elif gold is not None and gold != found.gold:
            lacking[run.id] = "was scored on other gold tags"
        else:
            gold = found.gold
            counts[run.id] = found.counts
            if place < len(runs):
                read[run.id] = found
                if CALIBRATION in files[run.id]:
                    with suppress(ValueError, KeyError, TypeError, OSError):  # as above
                        text = files[run.id][CALIBRATION].read_text(encoding="utf-8")
                        calibrations[run.id] = Calibration.from_json(text)
    if read and not support:
        first = next(iter(read.values()))
        support = Counter(metric_label(label) for entities in first.gold_entities for _, _, label in entities)
    return Evidence(read, lacking, support, counts, calibrations)


def _read_artifacts(files: Mapping[str, Path]) -> tuple[Predictions | None, dict[str, int]]:
    """Read one run's predictions (None without a file) and support; raises many types of error."""
    report = json.loads(files[ENTITY_REPORT].read_bytes()) if ENTITY_REPORT in files else {}
    support = _support(report)
    if INFERENCE not in files:
        return None, support
    return _predictions(pq.read_table(files[INFERENCE], columns=list(COLUMNS)), _seen(report)), support


def _support(report: Mapping[str, Any]) -> dict[str, int]:
    by_label = report.get("schemes", {}).get("strict", {})
    return {metric_label(label): _whole(scores["support"]) for label, scores in by_label.items() if label}


def _seen(report: Mapping[str, Any]) -> dict[tuple[int, Entity], bool]:
    seen = {}
    for row in report.get("entities", []):
        if "seen_in_train" in row:
            entity = _whole(row["start"]), _whole(row["end"]), row["label"]
            seen[_whole(row["sentence"]), entity] = bool(row["seen_in_train"])
    return seen


def _whole(value: object) -> int:
    """Return a count or an index as int; raise ValueError for anything else."""
    if not isinstance(value, int | float) or value != int(value) or not 0 <= value < 1e15:
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def _predictions(table: pa.Table, seen: Mapping[tuple[int, Entity], bool]) -> Predictions:
    """Build predictions from a table with one row per token, in any order."""
    for name in ("ground_truth", "prediction", "token"):
        kind = table.schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        # A cast would turn numbers into texts. A column of nulls only has no type of its own.
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
            raise TypeError(f"{name} holds {kind}")
    table = table.cast(pa.schema(COLUMNS)).sort_by([("sentence", "ascending"), ("position", "ascending")])
    if not len(table):
        raise ValueError("there are no rows")
    if any(table[name].null_count for name in COLUMNS if name != "token"):
        raise ValueError("a value is missing")
    numbers = table["sentence"].to_numpy()
    borders = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]

    def by_sentence(column: str) -> list[Tags]:
        values = table[column].to_pylist()
        return [tuple(values[start:end]) for start, end in pairwise(borders)]

    tokens = None if table["token"].null_count else by_sentence("token")
    found = Predictions(by_sentence("ground_truth"), by_sentence("prediction"), tokens, seen)
    known = {(number, entity) for number, entities in enumerate(found.gold_entities) for entity in entities}
    if not seen.keys() <= known:
        raise ValueError(f"{ENTITY_REPORT} lists entities that {INFERENCE} lacks")
    return found
