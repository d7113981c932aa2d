import pytest
from twinner.evaluation.mistakes import Mistake, errors_by_kind


@pytest.mark.parametrize(
    ("gold", "predicted", "kinds"),
    [
        ("B-A I-A O", "B-A I-A O", []),
        ("B-A I-A O", "O O O", ["missed"]),
        ("O O O", "O B-A O", ["spurious"]),
        ("B-A I-A O", "B-B I-B O", ["wrong type"]),
        ("B-A I-A O", "B-A O O", ["wrong border"]),
        ("B-A I-A O", "O B-B I-B", ["wrong border and type"]),
        ("B-A O O", "O B-A O", ["missed", "spurious"]),
        # One gold entity, two predictions upon it: one is its partner, the other is spurious.
        ("B-A I-A I-A", "B-A O B-A", ["spurious", "wrong border"]),
        # Two gold entities run together: one is met, the other missed.
        ("B-A B-A I-A", "B-A I-A I-A", ["missed", "wrong border"]),
        # The same tokens go before a neighbour of the same type.
        ("B-A I-A", "B-A B-A", ["spurious", "wrong border"]),
        # conlleval's reading of a model's I- after O: it opens an entity.
        ("B-A O", "I-A O", []),
    ],
)
def test_kinds(gold: str, predicted: str, kinds: list[str]) -> None:
    assert sorted(mistake.kind for mistake in errors_by_kind(gold.split(), predicted.split())) == kinds


def test_pairs_by_type_before_overlap() -> None:
    # Gold A on tokens 0 to 3; B shares three tokens with it, A only one.
    mistakes = errors_by_kind(["B-A", "I-A", "I-A", "I-A"], ["B-B", "I-B", "I-B", "B-A"])
    assert mistakes == [
        Mistake("spurious", None, (0, 3, "B")),
        Mistake("wrong border", (0, 4, "A"), (3, 4, "A")),
    ]


def test_each_entity_counts_once() -> None:
    gold = ["B-A", "I-A", "O", "B-B", "O", "B-A", "B-B", "I-B"]  # 4 entities
    predicted = ["B-A", "O", "O", "B-B", "B-A", "B-B", "I-B", "O"]  # 4 entities
    mistakes = errors_by_kind(gold, predicted)
    # A 0-2/0-1 border; B 3-4 right; A 4-5 spurious; A 5-6 and B 6-8 both overlap B 5-7: B is the partner, A is missed.
    assert [(mistake.kind, mistake.gold, mistake.predicted) for mistake in mistakes] == [
        ("wrong border", (0, 2, "A"), (0, 1, "A")),
        ("spurious", None, (4, 5, "A")),
        ("missed", (5, 6, "A"), None),
        ("wrong border", (6, 8, "B"), (5, 7, "B")),
    ]
