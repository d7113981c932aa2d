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
    """Sentences written as `token/tag token/tag`; a token without a tag is outside."""
    made = []
    for line in lines:
        pairs = [word.partition("/") for word in line.split()]
        made.append(Sentence.from_tokens([token for token, _, _ in pairs], [tag or "O" for _, _, tag in pairs]))
    return made


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
    "B-PER O B-LOC I-LOC",  # both right
    "B-LOC O B-PER O O B-LOC",  # Ulm with the wrong type, Otto without Lang, and the other Ulm right
    "O B-LOC",  # one too many
)
# Predicted: 3 right (Mira, Bad Tölz, the second Ulm), 1 of the wrong type, 1 too short, 1 spurious: 6 entities.


@pytest.fixture(scope="module")
def judged() -> Evaluation:
    return evaluate(TRAIN, TEST, PREDICTED, LABELS)


def test_strict_scores_ask_for_both_borders_and_the_label(judged: Evaluation) -> None:
    assert judged.metrics["test_precision"] == pytest.approx(3 / 6)  # 3 right of 6 predicted
    assert judged.metrics["test_recall"] == pytest.approx(3 / 5)  # 3 right of 5 in gold
    assert judged.metrics["test_f1"] == pytest.approx(6 / 11)  # 2 * 3 / (6 + 5)
    assert judged.metrics["test_f1_PER"] == pytest.approx(2 / 5)  # 1 right (Mira) of 2 predicted, of 3 in gold
    assert judged.metrics["test_f1_LOC"] == pytest.approx(4 / 6)  # 2 right of 4 predicted, of 2 in gold


def test_partial_scores_ignore_the_label_and_halve_an_overlap(judged: Evaluation) -> None:
    # Exact borders: Mira, Bad Tölz, both Ulm (of whatever type) = 4; Otto for Otto Lang is a half: 4.5 points.
    assert judged.metrics["test_partial_precision"] == pytest.approx(4.5 / 6)
    assert judged.metrics["test_partial_recall"] == pytest.approx(4.5 / 5)
    assert judged.metrics["test_partial_f1"] == pytest.approx(9 / 11)  # 2 * 4.5 / (6 + 5)


def test_type_scores_ask_for_the_label_and_any_overlap(judged: Evaluation) -> None:
    # Mira, Bad Tölz, Otto for Otto Lang, the second Ulm = 4; the first Ulm has another type.
    assert judged.metrics["test_type_precision"] == pytest.approx(4 / 6)
    assert judged.metrics["test_type_recall"] == pytest.approx(4 / 5)
    assert judged.metrics["test_type_f1"] == pytest.approx(8 / 11)  # 2 * 4 / (6 + 5)


def test_token_metrics_are_those_of_the_classification_report(judged: Evaluation) -> None:
    # 12 tokens: all right but Ulm (B-PER as B-LOC), Lang (I-PER as O) and regnet (O as B-LOC).
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
    assert {name: judged.metrics[name] for name in expected} == pytest.approx(expected)
    assert not [name for name in judged.metrics if name.startswith("micro")]
    assert re.search(r"^ +B-LOC +0\.5000 +1\.0000 +0\.6667 +2$", judged.token_report, re.M)


def test_the_entity_report_says_of_each_gold_entity_whether_it_was_found_and_seen(judged: Evaluation) -> None:
    rows = [tuple(entity.values()) for entity in judged.entity_report["entities"]]
    assert rows == [
        # sentence, start, end, label, found, seen in train
        (0, 0, 1, "PER", True, True),
        (0, 2, 4, "LOC", True, True),
        (1, 0, 1, "PER", False, True),  # Ulm was seen, as a place
        (1, 2, 4, "PER", False, False),
        (1, 5, 6, "LOC", True, True),
    ]


def test_the_entity_report_holds_counts_by_scheme_and_label(judged: Evaluation) -> None:
    schemes = judged.entity_report["schemes"]
    assert schemes.keys() == {"strict", "partial", "ent_type"}
    assert schemes["strict"].keys() == {"", "LOC", "PER"}
    overall = schemes["strict"][""]
    assert (overall["correct"], overall["incorrect"], overall["missed"], overall["spurious"]) == (3, 2, 0, 1)
    assert overall["support"] == 5
    assert schemes["partial"][""]["partial"] == 1


def test_the_entity_report_holds_no_text(judged: Evaluation) -> None:
    written = json.dumps(judged.entity_report, ensure_ascii=False)
    assert not [token for sentence in TRAIN + TEST for token in sentence.tokens if f'"{token}"' in written]
    assert "Tölz" not in written
    assert "Otto" not in written


def test_a_label_that_only_training_has_is_reported_as_zero() -> None:
    judged = evaluate(TRAIN, sentences("Es regnet"), tags("O O"), LABELS)
    assert [judged.metrics[f"test_{name}"] for name in ("precision", "recall", "f1", "f1_LOC", "f1_PER")] == [0] * 5
    assert judged.metrics["accuracy"] == 1


def test_all_right_is_one_everywhere() -> None:
    judged = evaluate(TRAIN, TEST, [sentence.tags for sentence in TEST], LABELS)
    shares = [value for name, value in judged.metrics.items() if not name.endswith("support")]
    assert set(shares) == {1.0}


def random_tags(rule: random.Random, count: int, valid: bool) -> tuple[str, ...]:
    """Random tags; where not valid, `I-` also stands after `O`, the start, and another label."""
    made: list[str] = []
    for _ in range(count):
        tag = rule.choice(["O", "O", "B-LOC", "B-PER", "B-ORG", "I-LOC", "I-PER", "I-ORG"])
        previous = made[-1] if made else "O"
        if valid and tag[0] == "I" and previous[2:] != tag[2:]:
            tag = f"B{tag[1:]}"
        made.append(tag)
    return tuple(made)


@pytest.mark.parametrize("seed", range(10))
def test_strict_scores_equal_seqevals_even_where_i_opens_an_entity(seed: int) -> None:
    rule = random.Random(seed)
    lengths = [rule.randint(1, 12) for _ in range(30)]
    gold = [random_tags(rule, length, valid=True) for length in lengths]
    # Half of the tokens as in gold, so that something is right.
    predicted = [
        tuple(rule.choice(pair) for pair in zip(tags, random_tags(rule, len(tags), valid=False), strict=True))
        for tags in gold
    ]
    scores = entity_scores(gold, predicted, ["LOC", "ORG", "PER"], prefix="dev")
    lists = [list(map(list, gold)), list(map(list, predicted))]
    assert scores["dev_precision"] == pytest.approx(precision_score(*lists))
    assert scores["dev_recall"] == pytest.approx(recall_score(*lists))
    assert scores["dev_f1"] == pytest.approx(f1_score(*lists))
    by_label = [scores[f"dev_f1_{label}"] for label in ("LOC", "ORG", "PER")]
    assert by_label == pytest.approx(list(f1_score(*lists, average=None)))
    test = [Sentence.from_tokens(["x"] * len(tags), tags) for tags in gold]
    judged = evaluate(test, test, predicted, ["LOC", "ORG", "PER"])
    assert judged.metrics["test_f1"] == scores["dev_f1"]


@pytest.mark.parametrize("seed", range(5))
def test_a_long_sentence_is_scored_as_if_it_were_not_cut(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = random.Random(200 + seed)
    gold = [random_tags(rule, length, valid=False) for length in (3, 40, 300)]
    predicted = [random_tags(rule, len(tags), valid=False) for tags in gold]
    test = [Sentence.from_tokens(["x"] * len(tags), tags) for tags in gold]
    judged = []
    for stretch in (1, 7, 1000):
        monkeypatch.setattr("twinner.evaluation.scores.STRETCH", stretch)
        judged.append(evaluate(test, test, predicted, ["LOC", "ORG", "PER"]))
    assert judged[0] == judged[1] == judged[2]


@pytest.mark.parametrize("seed", range(5))
def test_token_scores_equal_sklearns_over_tags_without_o(seed: int) -> None:
    rule = random.Random(100 + seed)
    gold = [random_tags(rule, 8, valid=True) for _ in range(25)]
    predicted = [random_tags(rule, 8, valid=False) for _ in range(25)]
    flat = [[tag for tags in split for tag in tags] for split in (gold, predicted)]
    inside = sorted(set(flat[0] + flat[1]) - {"O"})
    scores = token_scores(token_counts(gold, predicted))

    def expected(tags: list[str], average: str) -> list[float]:
        return list(precision_recall_fscore_support(*flat, labels=tags, average=average, zero_division=0)[:3])

    names = ("precision", "recall", "f1")
    assert [scores[f"dev_token_{name}"] for name in names] == pytest.approx(expected(inside, "micro"))
    assert scores["dev_token_macro_f1"] == pytest.approx(expected(inside, "macro")[2])
    for label in ("LOC", "ORG", "PER"):
        of_label = [tag for tag in inside if tag[2:] == label]
        assert scores[f"dev_token_f1_{label}"] == pytest.approx(expected(of_label, "micro")[2])


def test_dev_scores_are_those_of_both_levels() -> None:
    gold, predicted = tags("B-LOC I-LOC O B-PER"), tags("B-LOC O O B-PER")
    assert dev_scores(gold, predicted, LABELS) == pytest.approx(
        {
            "dev_precision": 1 / 2,
            "dev_recall": 1 / 2,
            "dev_f1": 1 / 2,
            "dev_f1_LOC": 0,
            "dev_f1_PER": 1,
            "dev_token_precision": 2 / 2,
            "dev_token_recall": 2 / 3,
            "dev_token_f1": 4 / 5,
            "dev_token_macro_f1": (1 + 0 + 1) / 3,
            "dev_token_f1_LOC": 2 / 3,
            "dev_token_f1_PER": 1,
        }
    )


def test_a_share_of_nothing_is_zero() -> None:
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
        ("x@ avg", "x_ avg"),
    ],
)
def test_a_label_of_odd_characters_is_scored_under_a_name_that_can_be_stored(label: str, name: str) -> None:
    gold = [Sentence.from_tokens(["a", "b", "c"], [f"B-{label}", f"I-{label}", "O"])]
    judged = evaluate(gold, gold, [gold[0].tags], [label])
    assert judged.metrics[f"test_f1_{name}"] == 1
    assert judged.metrics[f"B-{name}_f1-score"] == 1
    assert dev_scores([gold[0].tags], [gold[0].tags], [label])[f"dev_token_f1_{name}"] == 1
    assert all(re.fullmatch(r"[/\w.\- :]+", metric) for metric in judged.metrics)
    assert judged.entity_report["schemes"]["strict"][label]["correct"] == 1


def test_a_label_called_like_an_average_does_not_overwrite_one() -> None:
    gold = [Sentence.from_tokens(["a", "b"], ["B-macro avg", "O"])]
    judged = evaluate(gold, gold, tags("O O"), ["macro avg"])
    assert judged.metrics["accuracy"] == 1 / 2


def test_predictions_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        token_counts(tags("O O"), tags("O"))


def test_counts_by_sentence_add_up_to_the_scores_of_all() -> None:
    gold = [sentence.tags for sentence in TEST]
    counts = sentence_counts(gold, PREDICTED)
    assert counts.tolist() == [[2, 0, 0], [1, 2, 2], [0, 1, 0]]  # found, spurious, missed
    overall = precision_recall_f1([(3, 3, 2)])
    lists = [list(tags) for tags in gold], [list(tags) for tags in PREDICTED]
    assert overall == pytest.approx((precision_score(*lists), recall_score(*lists), f1_score(*lists)))
    assert precision_recall_f1([(2, 0, 0), (1, 2, 2), (0, 1, 0)]) == overall
    assert f1_of(counts.T).tolist() == pytest.approx([1, 2 / 6, 0])
    assert f1_of(np.zeros((3, 2), dtype=int)).tolist() == [0, 0]  # of nothing
    assert precision_recall_f1([]) == (0, 0, 0)
