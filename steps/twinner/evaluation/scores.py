"""Compute every score of both frameworks from gold and predicted tags.

Entity level: nervaluate's MUC-style schemes strict, partial and ent_type. Strict is the measure of CoNLL-2003: an
entity is correct if its boundaries and its label both match. Token level: scikit-learn's classification report over
tags. Scores range from 0 to 1; a score with an empty denominator is 0.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nervaluate import Evaluator
from nervaluate.entities import EvaluationResult
from numpy.typing import NDArray
from sklearn.metrics import classification_report

from twinner.corpus import Sentence, entities_of
from twinner.corpus.labels import metric_label
from twinner.evaluation.calibration import Calibration, Tags, calibration

Counts = tuple[int, int, int]  # true positives, false positives, false negatives
CHUNK_SIZE = 100  # tokens; nervaluate compares all pairs of entities in a sentence, so long sentences are split
SCHEMES = {"strict": "", "partial": "partial_", "ent_type": "type_"}  # nervaluate's name -> infix of our metric names
CONTRACT = r"(dev|test)_(precision|recall|f1)|test_(partial|type)_f1|test_f1_.+"  # names that stay as they are


@dataclass(frozen=True)
class Evaluation:
    """The results of a model on the test split.

    metrics: scores by metric name. token_report: scikit-learn's classification report as text. entity_report: counts
    and scores by scheme and label, and for each gold entity (sentence index, first token, token after the last, label)
    whether the model found it and whether its text is an entity in the training data; it contains no corpus text.
    calibration: of the confidence in the predicted entities; None if the model gives none.
    """

    metrics: dict[str, float]
    token_report: str
    entity_report: dict[str, Any]
    calibration: Calibration | None = None


def evaluate(
    train: Sequence[Sentence],
    test: Sequence[Sentence],
    predicted: Sequence[Tags],
    labels: Collection[str],
    confidence: Sequence[Sequence[float]] | None = None,
) -> Evaluation:
    """Score the predicted tags of `test`, one sequence per sentence and one tag per token.

    labels: entity types to report even if they do not occur in test. confidence: in each predicted entity, one sequence
    per sentence, if the model gives it.
    """
    gold = [sentence.tags for sentence in test]
    results = _entity_results(gold, predicted, SCHEMES, labels)
    metrics: dict[str, float] = {}
    for scheme, infix in SCHEMES.items():
        metrics |= _metrics_of(results[scheme], "test", infix)
    flat_gold = [tag for tags in gold for tag in tags]
    flat_predicted = [tag for tags in predicted for tag in tags]
    report = classification_report(flat_gold, flat_predicted, output_dict=True, zero_division=0)
    # The only row that is a number; it is always there, as scikit-learn reports `micro avg` only for a subset of tags.
    metrics["accuracy"] = float(report.pop("accuracy"))
    for row, scores in report.items():
        name = row[:2] + metric_label(row[2:]) if row[1:2] == "-" else row  # else `O` or an average
        metrics |= {f"{name}_{score}": float(value) for score, value in scores.items()}
    calibrated = None if confidence is None else calibration(gold, predicted, confidence)
    if calibrated:
        metrics["test_ece"] = calibrated.error
    return Evaluation(
        metrics=metrics,
        calibration=calibrated,
        token_report=classification_report(flat_gold, flat_predicted, digits=4, zero_division=0),
        entity_report={
            "schemes": {
                scheme: {label: _as_dict(result) for label, result in by_label.items()}
                for scheme, by_label in results.items()
            },
            "entities": _gold_entities(train, test, predicted),
        },
    )


def dev_scores(gold: Sequence[Tags], predicted: Sequence[Tags], labels: Collection[str]) -> dict[str, float]:
    """Return the dev scores of entities and of tokens, overall and by label; see `entity_scores`, `token_scores`."""
    return entity_scores(gold, predicted, labels) | token_scores(token_counts(gold, predicted))


def entity_scores(
    gold: Sequence[Tags], predicted: Sequence[Tags], labels: Collection[str], split: str = "dev"
) -> dict[str, float]:
    """Return strict precision, recall and F1 of entities, and F1 by label: `dev_f1`, `dev/f1_LOC`, …."""
    return _metrics_of(_entity_results(gold, predicted, ["strict"], labels)["strict"], split)


def token_counts(gold: Sequence[Tags], predicted: Sequence[Tags]) -> dict[str, Counts]:
    """Count true positives, false positives and false negatives over tokens for each tag but `O`."""
    correct: Counter[str] = Counter()
    in_gold: Counter[str] = Counter()
    in_predicted: Counter[str] = Counter()
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        in_gold.update(gold_tags)
        in_predicted.update(predicted_tags)
        correct.update(tag for tag, other in zip(gold_tags, predicted_tags, strict=True) if tag == other)
    return {
        tag: (correct[tag], in_predicted[tag] - correct[tag], in_gold[tag] - correct[tag])
        for tag in sorted((in_gold | in_predicted).keys() - {"O"})
    }


def token_scores(counts: Mapping[str, Counts]) -> dict[str, float]:
    """Compute token-level scores from counts by tag (true positives, false positives, false negatives).

    Micro averages over all tags but `O` (`dev_token_precision`, `dev_token_recall`, `dev_token_f1`), the mean F1 over
    those tags (`dev/token_macro_f1`), and for each label the micro F1 of its `B-` and `I-` tags (`dev_token_f1_LOC`).
    """
    tags = {tag: count for tag, count in counts.items() if tag != "O"}
    precision, recall, f1 = precision_recall_f1(tags.values())
    scores = {"dev_token_precision": precision, "dev_token_recall": recall, "dev_token_f1": f1}
    scores["dev/token_macro_f1"] = sum(precision_recall_f1([count])[2] for count in tags.values()) / max(len(tags), 1)
    for label in sorted({tag[2:] for tag in tags}):
        of_label = [count for tag, count in tags.items() if tag[2:] == label]
        scores[f"dev_token_f1_{metric_label(label)}"] = precision_recall_f1(of_label)[2]
    return scores


def sentence_counts(gold: Sequence[Tags], predicted: Sequence[Tags], label: str = "") -> NDArray[np.int64]:
    """Count entities under the strict scheme: an n by 3 array, per sentence (found, spurious, missed).

    label: of the entities to count; empty: all.
    """
    rows = []
    for pair in zip(gold, predicted, strict=True):
        expected, found = ({entity for entity in entities_of(tags) if label in ("", entity[2])} for tags in pair)
        rows.append((len(expected & found), len(found - expected), len(expected - found)))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def precision_recall_f1(counts: Iterable[Counts]) -> tuple[float, float, float]:
    """Micro-average counts of (true positives, false positives, false negatives)."""
    hits, spurious, missed = map(sum, zip((0, 0, 0), *counts, strict=True))
    precision = hits / (hits + spurious) if hits else 0.0
    recall = hits / (hits + missed) if hits else 0.0
    return float(precision), float(recall), float(f1_of(np.array([hits, spurious, missed])))


def f1_of(counts: NDArray[Any]) -> NDArray[np.float64]:
    """Compute F1 along the first axis, which holds (true positives, false positives, false negatives).

    The other axes are kept: a 3 by m array gives m scores.
    """
    hits, spurious, missed = counts
    total = 2 * hits + spurious + missed
    return np.divide(2 * hits, total, out=np.zeros(np.shape(total)), where=total > 0)


def _entity_results(
    gold: Sequence[Tags], predicted: Sequence[Tags], schemes: Collection[str], labels: Collection[str]
) -> dict[str, dict[str, EvaluationResult]]:
    """Return nervaluate's results by scheme and label; the empty label stands for all labels."""
    chunks = [chunk for pair in zip(gold, predicted, strict=True) for chunk in _split_long_sentence(*pair)]
    spans = [[_nervaluate_spans(tags) for tags in split] for split in zip(*chunks, strict=True)] or [[], []]
    labels = sorted({*labels, *(span["label"] for split in spans for sentence in split for span in sentence)})
    evaluator = Evaluator(*spans, tags=labels, loader="dict")
    evaluator.strategies = {scheme: evaluator.strategies[scheme] for scheme in schemes}
    results = evaluator.evaluate()
    nothing = dict.fromkeys(schemes, EvaluationResult())
    return {
        scheme: {"": results["overall"].get(scheme, EvaluationResult())}
        | {label: results["entities"].get(label, nothing)[scheme] for label in labels}
        for scheme in schemes
    }


def _split_long_sentence(gold: Tags, predicted: Tags) -> Iterator[tuple[Tags, Tags]]:
    """Split a long sentence only where neither side continues an entity: entities that overlap stay together."""
    start = 0
    if len(gold) > CHUNK_SIZE:
        for end, tags in enumerate(zip(gold, predicted, strict=True)):
            if end >= start + CHUNK_SIZE and not any(tag.startswith("I-") for tag in tags):
                yield gold[start:end], predicted[start:end]
                start = end
    yield gold[start:], predicted[start:]


def _nervaluate_spans(tags: Tags) -> list[dict[str, Any]]:
    return [{"label": label, "start": start, "end": end - 1} for start, end, label in entities_of(tags)]


def _metrics_of(results: Mapping[str, EvaluationResult], split: str, infix: str = "") -> dict[str, float]:
    overall = results[""]
    scores = {f"{infix}{name}": float(getattr(overall, name)) for name in ("precision", "recall", "f1")}
    scores |= {f"{infix}f1_{metric_label(label)}": float(result.f1) for label, result in results.items() if label}
    return {_metric_name(split, score): value for score, value in scores.items()}


def _metric_name(split: str, score: str) -> str:
    """Return `test_f1`, or `test/partial_recall`: MLflow's pages make a section of charts of what precedes a slash."""
    name = f"{split}_{score}"
    return name if re.fullmatch(CONTRACT, name) else f"{split}/{score}"


def _as_dict(result: EvaluationResult) -> dict[str, float]:
    names = ("correct", "incorrect", "partial", "missed", "spurious", "precision", "recall", "f1")
    return {name: getattr(result, name) for name in names} | {"support": result.possible}


def _gold_entities(
    train: Sequence[Sentence], test: Sequence[Sentence], predicted: Sequence[Tags]
) -> list[dict[str, Any]]:
    def texts(sentence: Sentence) -> list[tuple[str, ...]]:
        return [sentence.tokens[start:end] for start, end, _ in sentence.entities]

    known = {text for sentence in train for text in texts(sentence)}
    rows = []
    for number, (sentence, tags) in enumerate(zip(test, predicted, strict=True)):
        found = set(entities_of(tags))
        for entity, text in zip(sentence.entities, texts(sentence), strict=True):
            start, end, label = entity
            place = {"sentence": number, "start": start, "end": end, "label": label}
            rows.append(place | {"found": entity in found, "seen_in_train": text in known})
    return rows
