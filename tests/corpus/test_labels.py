"""Labels that can be learnt, scored and recorded."""

import re

import pytest
from twinner.corpus.labels import check_labels, metric_label
from twinner.corpus.sentence import Corpus, Sentence
from twinner.errors import BadInput


def corpus(train: str, dev: str = "O", test: str = "O") -> Corpus:
    """A corpus of one sentence a split, given by its tags."""
    a, b, c = [(Sentence.from_tokens(["x"] * len(tags.split()), tags.split()),) for tags in (train, dev, test)]
    return Corpus("c", "de", a, b, c, {"train": "a.conll", "dev": "b.conll", "test": "c.conll"})


@pytest.mark.parametrize(
    ("label", "name"),
    [("PER", "PER"), ("a.b-c d/e:f_1", "a.b-c d/e:f_1"), ("Ä+", "Ä_"), ("<b>", "_b_"), ("a//b", "a__b"), ("a/", "a_")],
)
def test_names_in_metrics(label: str, name: str) -> None:
    assert metric_label(label) == name


@pytest.mark.parametrize("label", ["a/../../b", "/", "../x", "#%&", "x/.", "ä ö"])
def test_mlflow_takes_the_names(label: str) -> None:
    from mlflow.utils import validation  # here, for it takes seconds

    name = f"test_f1_{metric_label(label)}"
    assert validation._validate_metric_name(name) is None  # type: ignore[no-untyped-call]  # it raises else


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_labels_with_one_metric_name_are_told_of(split: str) -> None:
    splits = {"train": "B-A+ O", split: "B-A+ B-A_" if split == "train" else "B-A_"}
    with pytest.raises(BadInput, match=re.escape("a.conll: the labels 'A+' and 'A_' would share the metric name 'A_'")):
        check_labels(corpus(**splits))


def test_no_entity_in_train_is_told_of() -> None:
    with pytest.raises(BadInput, match=r"a.conll: the training data holds no entity at all; annotate"):
        check_labels(corpus("O O", test="B-A"))


def test_labels_of_test_that_train_lacks_are_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"c.conll: test has labels that train lacks.*: \['A', 'B'\]"):
        check_labels(corpus("B-X", test="B-B B-A I-A"))
