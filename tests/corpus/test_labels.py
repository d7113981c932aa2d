"""Labels that can be learnt, scored and logged."""

import re

import pytest
from twinner.corpus.labels import MAX_LABEL, check_labels, metric_label
from twinner.corpus.sentence import Corpus, Sentence
from twinner.errors import BadInput


def corpus(train: str, dev: str = "O", test: str = "O") -> Corpus:
    """A corpus with one sentence per split, given by its tags."""
    a, b, c = [(Sentence.from_tokens(["x"] * len(tags.split()), tags.split()),) for tags in (train, dev, test)]
    return Corpus("c", "de", a, b, c, {"train": "a.conll", "dev": "b.conll", "test": "c.conll"})


@pytest.mark.parametrize(
    ("label", "name"),
    [("PER", "PER"), ("a.b-c d/e:f_1", "a.b-c d/e:f_1"), ("Ä+", "Ä_"), ("<b>", "_b_"), ("a//b", "a__b"), ("a/", "a_")],
)
def test_metric_label(label: str, name: str) -> None:
    assert metric_label(label) == name


@pytest.mark.parametrize("label", ["a/../../b", "/", "../x", "#%&", "x/.", "ä ö"])
def test_mlflow_accepts_metric_labels(label: str) -> None:
    from mlflow.utils import validation  # takes seconds to import

    name = f"test_f1_{metric_label(label)}"
    assert validation._validate_metric_name(name) is None  # type: ignore[no-untyped-call]  # raises otherwise


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_rejects_labels_with_equal_metric_names(split: str) -> None:
    splits = {"train": "B-A+ O", split: "B-A+ B-A_" if split == "train" else "B-A_"}
    with pytest.raises(
        BadInput, match=re.escape("a.conll: the labels 'A+' and 'A_' have the same name in metrics, 'A_'")
    ):
        check_labels(corpus(**splits))


def test_rejects_train_without_entities() -> None:
    with pytest.raises(BadInput, match=r"a.conll: the training data has no entities; annotate"):
        check_labels(corpus("O O", test="B-A"))


def test_warns_about_labels_only_in_test() -> None:
    with pytest.warns(UserWarning, match=r"c.conll: test has labels that do not occur in train.*: \['A', 'B'\]"):
        check_labels(corpus("B-X", test="B-B B-A I-A"))


def test_longest_label_fits_all_metric_names() -> None:
    from mlflow.utils import validation  # takes seconds to import
    from twinner.evaluation import evaluate

    label = "ä" * MAX_LABEL
    longest = corpus(f"B-{label} I-{label}")
    check_labels(longest)
    for name in evaluate(longest.train, longest.train, [s.tags for s in longest.train], [label]).metrics:
        assert validation._validate_metric_name(name) is None  # type: ignore[no-untyped-call]  # raises otherwise


def test_rejects_too_long_label() -> None:
    with pytest.raises(BadInput, match=r"a.conll: the label 'L{40}'… has 201 characters; shorten it to 200"):
        check_labels(corpus(f"B-{'L' * 201}"))
