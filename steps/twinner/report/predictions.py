"""What runs predicted for the test sentences, read back from `inference.parquet` and `entity_report.json`."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from twinner.corpus.labels import metric_label
from twinner.corpus.sentence import Sentence, entities_of
from twinner.evaluation.mistakes import Entity, Mistake, errors_by_kind
from twinner.evaluation.scores import precision_recall_f1, sentence_counts
from twinner.tracking.artifacts import fetch_artifacts
from twinner.tracking.read import Run

INFERENCE, ENTITY_REPORT = "inference.parquet", "entity_report.json"
COLUMNS = ["sentence", "position", "token", "ground_truth", "prediction"]
Tags = tuple[str, ...]


@dataclass(frozen=True)
class Predictions:
    """What one run said of the n sentences of test.

    gold, predicted: n sequences of tags. tokens: n sequences of as many tokens, or None where the run logged no text.
    seen: whether the text of a gold entity was an entity in training, by (sentence, entity); empty where unknown.
    """

    gold: Sequence[Tags]
    predicted: Sequence[Tags]
    tokens: Sequence[Tags] | None
    seen: Mapping[tuple[int, Entity], bool]

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The entities found, spurious and missed, a row a sentence: n by 3."""
        return sentence_counts(self.gold, self.predicted)

    @cached_property
    def f1(self) -> float:
        """Strict F1 over all sentences, from these predictions."""
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
        """A sentence with its gold tags, its tokens joined by spaces; only where text was logged."""
        assert self.tokens is not None
        return Sentence.from_tokens(self.tokens[number], self.gold[number])


@dataclass(frozen=True)
class Evidence:
    """What the artifacts of some runs of one test set hold.

    predictions: by run id, in the order of the runs. lacking: why a run has none, in words, by run id.
    support: the gold entities of test by label as metrics spell it; empty if unknown.
    """

    predictions: Mapping[str, Predictions]
    lacking: Mapping[str, str]
    support: Mapping[str, int]


def read_evidence(runs: Sequence[Run]) -> Evidence:
    """Read the predictions of runs of one test set; what is missing or can't be read is left out.

    A run whose gold tags are not those of the first run that has some is left out, whatever its tag says of its test.
    """
    files = fetch_artifacts(runs, [INFERENCE, ENTITY_REPORT])
    read: dict[str, Predictions] = {}
    lacking: dict[str, str] = {}
    support: dict[str, int] = {}
    for run in runs:
        try:
            report = json.loads(files[run.id][ENTITY_REPORT].read_bytes()) if ENTITY_REPORT in files[run.id] else {}
            support = support or _support(report)
            if INFERENCE not in files[run.id]:
                lacking[run.id] = f"holds no {INFERENCE}"
                continue
            found = _predictions(pq.read_table(files[run.id][INFERENCE], columns=COLUMNS), _seen(report))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
            lacking[run.id] = f"holds artifacts that can't be read ({type(error).__name__})"
            continue
        if read and next(iter(read.values())).gold != found.gold:
            lacking[run.id] = "was scored on other gold tags"
            continue
        read[run.id] = found
    if read and not support:
        first = next(iter(read.values()))
        support = Counter(metric_label(label) for entities in first.gold_entities for _, _, label in entities)
    return Evidence(read, lacking, support)


def _support(report: Mapping[str, Any]) -> dict[str, int]:
    by_label = report.get("schemes", {}).get("strict", {})
    return {metric_label(label): int(scores["support"]) for label, scores in by_label.items() if label}


def _seen(report: Mapping[str, Any]) -> dict[tuple[int, Entity], bool]:
    return {
        (row["sentence"], (row["start"], row["end"], row["label"])): bool(row["seen_in_train"])
        for row in report.get("entities", [])
        if "seen_in_train" in row
    }


def _predictions(table: pa.Table, seen: Mapping[tuple[int, Entity], bool]) -> Predictions:
    """The predictions from a table of a row a token, which may stand in any order."""
    table = table.sort_by([("sentence", "ascending"), ("position", "ascending")])
    numbers = table["sentence"].to_numpy()
    borders = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)] if len(numbers) else [0]

    def by_sentence(column: str) -> list[Tags]:
        values = table[column].to_pylist()
        return [tuple(values[start:end]) for start, end in pairwise(borders)]

    if table["ground_truth"].null_count or table["prediction"].null_count:
        raise ValueError("a tag is missing")
    tokens = None if table["token"].null_count else by_sentence("token")
    return Predictions(by_sentence("ground_truth"), by_sentence("prediction"), tokens, seen)
