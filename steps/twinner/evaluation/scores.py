"""The only place that a score is computed: gold and predicted tags in, scores out, for both frameworks alike.

Entity level: MUC-style schemes from nervaluate (strict, partial, ent_type); an entity counts as correct under strict
where borders and label both match, which is CoNLL-2003's measure. Token level: scikit-learn's report over tags.
Every score is a share from 0 to 1; a share of nothing is 0.
"""

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

Tags = Sequence[str]  # the tags of one sentence
Counts = tuple[int, int, int]  # true positives, false positives, false negatives
STRETCH = 100  # tokens; nervaluate compares each entity of a sentence with each other one, so long sentences are cut
SCHEMES = {"strict": "", "partial": "partial_", "ent_type": "type_"}  # nervaluate's name -> our metrics' infix


@dataclass(frozen=True)
class Evaluation:
    """All that is said of a model on the test split.

    metrics: the scores by the name of their metric. token_report: scikit-learn's classification report as text.
    entity_report: counts and scores by scheme and label, and for each gold entity (sentence, first token, behind the
    last token, label) whether the model found it and whether its text was an entity in the training data. It
    holds no text of the corpus.
    """

    metrics: dict[str, float]
    token_report: str
    entity_report: dict[str, Any]


def evaluate(
    train: Sequence[Sentence], test: Sequence[Sentence], predicted: Sequence[Tags], labels: Collection[str]
) -> Evaluation:
    """Score the tags that were predicted for `test`, one sequence a sentence, each as long as its sentence.

    labels: the entity types to report even where test has none of them.
    """
    gold = [sentence.tags for sentence in test]
    results = _entity_results(gold, predicted, SCHEMES, labels)
    metrics: dict[str, float] = {}
    for scheme, infix in SCHEMES.items():
        metrics |= _metrics_of(results[scheme], f"test_{infix}")
    flat_gold = [tag for tags in gold for tag in tags]
    flat_predicted = [tag for tags in predicted for tag in tags]
    report = classification_report(flat_gold, flat_predicted, output_dict=True, zero_division=0)
    # One line shares one number, accuracy; scikit-learn calls it micro avg where it is told of some tags only.
    metrics["accuracy"] = float(report.pop("accuracy"))
    for row, scores in report.items():
        name = row[:2] + metric_label(row[2:]) if row[1:2] == "-" else row  # else `O` or an average
        metrics |= {f"{name}_{score}": float(value) for score, value in scores.items()}
    return Evaluation(
        metrics=metrics,
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
    """The scores of one epoch on dev, at both levels: `dev_f1`, …, `dev_token_f1`, …, each also by label."""
    return entity_scores(gold, predicted, labels) | token_scores(token_counts(gold, predicted))


def entity_scores(
    gold: Sequence[Tags], predicted: Sequence[Tags], labels: Collection[str], prefix: str = "dev"
) -> dict[str, float]:
    """Strict precision, recall and F1 of entities, and F1 by label: `dev_f1`, `dev_f1_LOC`, …."""
    return _metrics_of(_entity_results(gold, predicted, ["strict"], labels)["strict"], f"{prefix}_")


def token_counts(gold: Sequence[Tags], predicted: Sequence[Tags]) -> dict[str, Counts]:
    """Count by tag the tokens that were tagged so rightly, wrongly, and not although they should; `O` left out."""
    both: Counter[str] = Counter()
    of_gold: Counter[str] = Counter()
    of_predicted: Counter[str] = Counter()
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        of_gold.update(gold_tags)
        of_predicted.update(predicted_tags)
        both.update(tag for tag, other in zip(gold_tags, predicted_tags, strict=True) if tag == other)
    return {
        tag: (both[tag], of_predicted[tag] - both[tag], of_gold[tag] - both[tag])
        for tag in sorted((of_gold | of_predicted).keys() - {"O"})
    }


def token_scores(counts: Mapping[str, Counts], prefix: str = "dev_token") -> dict[str, float]:
    """Scores over tokens from counts by tag (true positives, false positives, false negatives).

    Micro averages over the tags but `O` (`dev_token_precision`, `dev_token_recall`, `dev_token_f1`), the mean F1 over
    tags (`dev_token_macro_f1`), and the micro F1 of a label's `B-` and `I-` (`dev_token_f1_LOC`).
    """
    tags = {tag: count for tag, count in counts.items() if tag != "O"}
    precision, recall, f1 = precision_recall_f1(tags.values())
    scores = {f"{prefix}_precision": precision, f"{prefix}_recall": recall, f"{prefix}_f1": f1}
    scores[f"{prefix}_macro_f1"] = sum(precision_recall_f1([count])[2] for count in tags.values()) / max(len(tags), 1)
    for label in sorted({tag[2:] for tag in tags}):
        of_label = [count for tag, count in tags.items() if tag[2:] == label]
        scores[f"{prefix}_f1_{metric_label(label)}"] = precision_recall_f1(of_label)[2]
    return scores


def sentence_counts(gold: Sequence[Tags], predicted: Sequence[Tags]) -> NDArray[np.int64]:
    """Count the entities of each of n sentences, strictly: n rows of (found, spurious, missed)."""
    rows = []
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        ours, theirs = set(entities_of(gold_tags)), set(entities_of(predicted_tags))
        rows.append((len(ours & theirs), len(theirs - ours), len(ours - theirs)))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def precision_recall_f1(counts: Iterable[Counts]) -> tuple[float, float, float]:
    """The micro averages over counts (true positives, false positives, false negatives)."""
    hits, spurious, missed = map(sum, zip((0, 0, 0), *counts, strict=True))
    precision = hits / (hits + spurious) if hits else 0.0
    recall = hits / (hits + missed) if hits else 0.0
    return float(precision), float(recall), float(f1_of(np.array([hits, spurious, missed])))


def f1_of(counts: NDArray[Any]) -> NDArray[np.float64]:
    """F1 from counts in an array whose first axis is (true positives, false positives, false negatives).

    The other axes stay: an array of 3 by m gives m scores.
    """
    hits, spurious, missed = counts
    share = 2 * hits + spurious + missed
    return np.divide(2 * hits, share, out=np.zeros(np.shape(share)), where=share > 0)


def _entity_results(
    gold: Sequence[Tags], predicted: Sequence[Tags], schemes: Collection[str], labels: Collection[str]
) -> dict[str, dict[str, EvaluationResult]]:
    """nervaluate's counts by scheme and label, those over all labels under the empty label."""
    stretches = [stretch for pair in zip(gold, predicted, strict=True) for stretch in _stretches(*pair)]
    spans = [[_nervaluate_spans(tags) for tags in split] for split in zip(*stretches, strict=True)] or [[], []]
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


def _stretches(gold: Tags, predicted: Tags) -> Iterator[tuple[Tags, Tags]]:
    """Cut a long sentence where no entity goes on, in gold or predicted: none of one side overlaps the other's then."""
    start = 0
    if len(gold) > STRETCH:
        for end, tags in enumerate(zip(gold, predicted, strict=True)):
            if end >= start + STRETCH and not any(tag.startswith("I-") for tag in tags):
                yield gold[start:end], predicted[start:end]
                start = end
    yield gold[start:], predicted[start:]


def _nervaluate_spans(tags: Tags) -> list[dict[str, Any]]:
    return [{"label": label, "start": start, "end": end - 1} for start, end, label in entities_of(tags)]


def _metrics_of(results: Mapping[str, EvaluationResult], prefix: str) -> dict[str, float]:
    overall = results[""]
    metrics = {f"{prefix}{name}": float(getattr(overall, name)) for name in ("precision", "recall", "f1")}
    for label, result in results.items():
        if label:
            metrics[f"{prefix}f1_{metric_label(label)}"] = float(result.f1)
    return metrics


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
