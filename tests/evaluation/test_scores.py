import json
import random
import re

import numpy as np
import pytest
from seqeval.metrics import f1_score, precision_score, recall_score
from sklearn.metrics import precision_recall_fscore_support
from twinner.corpus import Sentence
from twinner.evaluation.scores import (
    Evaluation,
    dev_scores,
    entity_scores,
    evaluate,
    f1_of,
    precision_recall_f1,
    sentence_counts,
    token_counts,
    token_scores,
)

LABELS = ["LOC", "PER"]


def sentences(*lines: str) -> list[Sentence]:
    """Parse sentences written as `token/tag token/tag`; a token without a tag is outside."""
    parsed = []
    for line in lines:
        pairs = [word.partition("/") for word in line.split()]
        parsed.append(Sentence.from_tokens([token for token, _, _ in pairs], [tag or "O" for _, _, tag in pairs]))
    return parsed


def tags(*lines: str) -> list[tuple[str, ...]]:
    return [tuple(line.split()) for line in lines]


TRAIN = sentences("Mira/B-PER wohnt in Bad/B-LOC Tölz/I-LOC", "Ulm/B-LOC schläft")
TEST = sentences(
    "Mira/B-PER besucht Bad/B-LOC Tölz/I-LOC",
    "Ulm/B-PER trifft Otto/B-PER Lang/I-PER in Ulm/B-LOC",
    "Es regnet",
)
# Gold: PER Mira, LOC Bad Tölz, PER Ulm, PER Otto Lang, LOC Ulm: 5 entities.
PREDICTED = tags(
    "B-PER O B-LOC I-LOC",  # both correct
    "B-LOC O B-PER O O B-LOC",  # Ulm with the wrong type, Otto without Lang, the other Ulm correct
    "O B-LOC",  # spurious
)
# Predicted: 3 correct (Mira, Bad Tölz, the second Ulm), 1 of the wrong type, 1 too short, 1 spurious: 6 entities.


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(TRAIN, TEST, PREDICTED, LABELS)


def test_strict_needs_boundaries_and_label(evaluation: Evaluation) -> None:
    assert evaluation.metrics["test_precision"] == pytest.approx(3 / 6)  # 3 correct of 6 predicted
    assert evaluation.metrics["test_recall"] == pytest.approx(3 / 5)  # 3 correct of 5 in gold
    assert evaluation.metrics["test_f1"] == pytest.approx(6 / 11)  # 2 * 3 / (6 + 5)
    assert evaluation.metrics["test_f1_PER"] == pytest.approx(2 / 5)  # 1 correct (Mira); 2 predicted, 3 in gold
    assert evaluation.metrics["test_f1_LOC"] == pytest.approx(4 / 6)  # 2 correct; 4 predicted, 2 in gold


def test_partial_ignores_label_and_halves_overlap(evaluation: Evaluation) -> None:
    # Exact boundaries: Mira, Bad Tölz, both Ulm (of any type) = 4; Otto for Otto Lang counts half: 4.5.
    assert evaluation.metrics["test/partial_precision"] == pytest.approx(4.5 / 6)
    assert evaluation.metrics["test/partial_recall"] == pytest.approx(4.5 / 5)
    assert evaluation.metrics["test_partial_f1"] == pytest.approx(9 / 11)  # 2 * 4.5 / (6 + 5)


def test_type_needs_label_and_overlap(evaluation: Evaluation) -> None:
    # Mira, Bad Tölz, Otto for Otto Lang, the second Ulm = 4; the first Ulm has another type.
    assert evaluation.metrics["test/type_precision"] == pytest.approx(4 / 6)
    assert evaluation.metrics["test/type_recall"] == pytest.approx(4 / 5)
    assert evaluation.metrics["test_type_f1"] == pytest.approx(8 / 11)  # 2 * 4 / (6 + 5)


def test_token_metrics_match_classification_report(evaluation: Evaluation) -> None:
    # 12 tokens, wrong: Ulm (B-PER as B-LOC), Lang (I-PER as O) and regnet (O as B-LOC).
    expected = {
        "accuracy": 9 / 12,
        "B-LOC_precision": 2 / 4,
        "B-LOC_recall": 2 / 2,
        "B-LOC_f1-score": 4 / 6,
        "B-LOC_support": 2,
        "B-PER_precision": 2 / 2,
        "B-PER_recall": 2 / 3,
        "B-PER_f1-score": 4 / 5,
        "I-LOC_f1-score": 1,
        "I-PER_f1-score": 0,
        "I-PER_support": 1,
        "O_precision": 4 / 5,
        "O_recall": 4 / 5,
        "O_support": 5,
        "macro avg_f1-score": (4 / 6 + 4 / 5 + 1 + 0 + 4 / 5) / 5,
        "weighted avg_f1-score": (2 * 4 / 6 + 3 * 4 / 5 + 1 * 1 + 1 * 0 + 5 * 4 / 5) / 12,
        "macro avg_support": 12,
    }
    assert {name: evaluation.metrics[name] for name in expected} == pytest.approx(expected)
    assert not [name for name in evaluation.metrics if name.startswith("micro")]
    assert re.search(r"^ +B-LOC +0\.5000 +1\.0000 +0\.6667 +2$", evaluation.token_report, re.M)


def test_entity_report_marks_found_and_seen_entities(evaluation: Evaluation) -> None:
    rows = [tuple(entity.values()) for entity in evaluation.entity_report["entities"]]
    assert rows == [
        # sentence, start, end, label, found, seen in train
        (0, 0, 1, "PER", True, True),
        (0, 2, 4, "LOC", True, True),
        (1, 0, 1, "PER", False, True),  # Ulm was seen as a place
        (1, 2, 4, "PER", False, False),
        (1, 5, 6, "LOC", True, True),
    ]


def test_entity_report_counts_by_scheme_and_label(evaluation: Evaluation) -> None:
    schemes = evaluation.entity_report["schemes"]
    assert schemes.keys() == {"strict", "partial", "ent_type"}
    assert schemes["strict"].keys() == {"", "LOC", "PER"}
    overall = schemes["strict"][""]
    assert (overall["correct"], overall["incorrect"], overall["missed"], overall["spurious"]) == (3, 2, 0, 1)
    assert overall["support"] == 5
    assert schemes["partial"][""]["partial"] == 1


def test_entity_report_contains_no_text(evaluation: Evaluation) -> None:
    report = json.dumps(evaluation.entity_report, ensure_ascii=False)
    assert not [token for sentence in TRAIN + TEST for token in sentence.tokens if f'"{token}"' in report]
    assert "Tölz" not in report
    assert "Otto" not in report


def test_label_missing_from_test_scores_zero() -> None:
    evaluation = evaluate(TRAIN, sentences("Es regnet"), tags("O O"), LABELS)
    assert [evaluation.metrics[f"test_{name}"] for name in ("precision", "recall", "f1", "f1_LOC", "f1_PER")] == [0] * 5
    assert evaluation.metrics["accuracy"] == 1


def test_perfect_predictions_score_one() -> None:
    evaluation = evaluate(TRAIN, TEST, [sentence.tags for sentence in TEST], LABELS)
    shares = [value for name, value in evaluation.metrics.items() if not name.endswith("support")]
    assert set(shares) == {1.0}


def random_tags(rng: random.Random, count: int, valid: bool) -> tuple[str, ...]:
    """Draw random tags; unless `valid`, `I-` may also follow `O`, another label or the start of the sentence."""
    drawn: list[str] = []
    for _ in range(count):
        tag = rng.choice(["O", "O", "B-LOC", "B-PER", "B-ORG", "I-LOC", "I-PER", "I-ORG"])
        previous = drawn[-1] if drawn else "O"
        if valid and tag[0] == "I" and previous[2:] != tag[2:]:
            tag = f"B{tag[1:]}"
        drawn.append(tag)
    return tuple(drawn)


@pytest.mark.parametrize("seed", range(10))
def test_strict_scores_match_seqeval(seed: int) -> None:
    rng = random.Random(seed)
    lengths = [rng.randint(1, 12) for _ in range(30)]
    gold = [random_tags(rng, length, valid=True) for length in lengths]
    # About half of the tags come from gold, so that some entities are correct; the others may open an entity with `I-`.
    predicted = [
        tuple(rng.choice(pair) for pair in zip(tags, random_tags(rng, len(tags), valid=False), strict=True))
        for tags in gold
    ]
    scores = entity_scores(gold, predicted, ["LOC", "ORG", "PER"])
    lists = [list(map(list, gold)), list(map(list, predicted))]
    assert scores["dev_precision"] == pytest.approx(precision_score(*lists))
    assert scores["dev_recall"] == pytest.approx(recall_score(*lists))
    assert scores["dev_f1"] == pytest.approx(f1_score(*lists))
    by_label = [scores[f"dev/f1_{label}"] for label in ("LOC", "ORG", "PER")]
    assert by_label == pytest.approx(list(f1_score(*lists, average=None)))
    test = [Sentence.from_tokens(["x"] * len(tags), tags) for tags in gold]
    evaluation = evaluate(test, test, predicted, ["LOC", "ORG", "PER"])
    assert evaluation.metrics["test_f1"] == scores["dev_f1"]


@pytest.mark.parametrize("seed", range(5))
def test_splitting_long_sentences_keeps_scores(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(200 + seed)
    gold = [random_tags(rng, length, valid=False) for length in (3, 40, 300)]
    predicted = [random_tags(rng, len(tags), valid=False) for tags in gold]
    test = [Sentence.from_tokens(["x"] * len(tags), tags) for tags in gold]
    evaluations = []
    for size in (1, 7, 1000):  # 1000: no sentence is split
        monkeypatch.setattr("twinner.evaluation.scores.CHUNK_SIZE", size)
        evaluations.append(evaluate(test, test, predicted, ["LOC", "ORG", "PER"]))
    assert evaluations[0] == evaluations[1] == evaluations[2]


@pytest.mark.parametrize("seed", range(5))
def test_token_scores_match_sklearn(seed: int) -> None:
    rng = random.Random(100 + seed)
    gold = [random_tags(rng, 8, valid=True) for _ in range(25)]
    predicted = [random_tags(rng, 8, valid=False) for _ in range(25)]
    flat = [[tag for tags in split for tag in tags] for split in (gold, predicted)]
    inside = sorted(set(flat[0] + flat[1]) - {"O"})
    scores = token_scores(token_counts(gold, predicted))

    def expected(tags: list[str], average: str) -> list[float]:
        return list(precision_recall_fscore_support(*flat, labels=tags, average=average, zero_division=0)[:3])

    names = ("precision", "recall", "f1")
    assert [scores[f"dev_token_{name}"] for name in names] == pytest.approx(expected(inside, "micro"))
    assert scores["dev/token_macro_f1"] == pytest.approx(expected(inside, "macro")[2])
    for label in ("LOC", "ORG", "PER"):
        of_label = [tag for tag in inside if tag[2:] == label]
        assert scores[f"dev_token_f1_{label}"] == pytest.approx(expected(of_label, "micro")[2])


def test_dev_scores_cover_entities_and_tokens() -> None:
    gold, predicted = tags("B-LOC I-LOC O B-PER"), tags("B-LOC O O B-PER")
    assert dev_scores(gold, predicted, LABELS) == pytest.approx(
        {
            "dev_precision": 1 / 2,
            "dev_recall": 1 / 2,
            "dev_f1": 1 / 2,
            "dev/f1_LOC": 0,
            "dev/f1_PER": 1,
            "dev_token_precision": 2 / 2,
            "dev_token_recall": 2 / 3,
            "dev_token_f1": 4 / 5,
            "dev/token_macro_f1": (1 + 0 + 1) / 3,
            "dev_token_f1_LOC": 2 / 3,
            "dev_token_f1_PER": 1,
        }
    )


def test_scores_without_entities_are_zero() -> None:
    assert set(dev_scores(tags("O O"), tags("O O"), LABELS).values()) == {0}


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("GPE/Stadt", "GPE/Stadt"),
        ("C++", "C__"),
        ("Straße", "Straße"),
        ("a b", "a b"),
        ("x-y", "x-y"),
        ("50%", "50_"),
        ("C++ avg", "C__ avg"),
        ("x@ avg", "x_ avg"),
    ],
)
def test_metric_names_are_valid_for_mlflow(label: str, name: str) -> None:
    gold = [Sentence.from_tokens(["a", "b", "c"], [f"B-{label}", f"I-{label}", "O"])]
    evaluation = evaluate(gold, gold, [gold[0].tags], [label])
    assert evaluation.metrics[f"test_f1_{name}"] == 1
    assert evaluation.metrics[f"B-{name}_f1-score"] == 1
    assert dev_scores([gold[0].tags], [gold[0].tags], [label])[f"dev_token_f1_{name}"] == 1
    assert all(re.fullmatch(r"[/\w.\- :]+", metric) for metric in evaluation.metrics)
    assert evaluation.entity_report["schemes"]["strict"][label]["correct"] == 1


def test_label_named_like_an_average_keeps_both_metrics() -> None:
    gold = [Sentence.from_tokens(["a", "b"], ["B-macro avg", "O"])]
    evaluation = evaluate(gold, gold, tags("O O"), ["macro avg"])
    # O: precision 1/2, recall 1, so F1 2/3; B-macro avg: 0.
    assert evaluation.metrics["B-macro avg_f1-score"] == 0
    assert evaluation.metrics["macro avg_f1-score"] == pytest.approx(1 / 3)
    assert evaluation.metrics["weighted avg_f1-score"] == pytest.approx(1 / 3)
    assert evaluation.metrics["accuracy"] == 1 / 2


def test_rejects_predictions_of_different_length() -> None:
    with pytest.raises(ValueError, match="zip"):
        token_counts(tags("O O"), tags("O"))


def test_sentence_counts_add_up_to_overall_scores() -> None:
    gold = [sentence.tags for sentence in TEST]
    counts = sentence_counts(gold, PREDICTED)
    assert counts.tolist() == [[2, 0, 0], [1, 2, 2], [0, 1, 0]]  # found, spurious, missed
    overall = precision_recall_f1([(3, 3, 2)])
    lists = [list(tags) for tags in gold], [list(tags) for tags in PREDICTED]
    assert overall == pytest.approx((precision_score(*lists), recall_score(*lists), f1_score(*lists)))
    assert precision_recall_f1([(2, 0, 0), (1, 2, 2), (0, 1, 0)]) == overall
    assert f1_of(counts.T).tolist() == pytest.approx([1, 2 / 6, 0])
    assert f1_of(np.zeros((3, 2), dtype=int)).tolist() == [0, 0]
    assert precision_recall_f1([]) == (0, 0, 0)
