"""Checks on the labels of a corpus, so that each can be learnt, scored and logged."""

import posixpath
import re
import warnings

from twinner.corpus.sentence import Corpus, Sentence
from twinner.errors import BadInput
from twinner.terminal import printable

MAX_LABEL = 200  # characters; MLflow takes 250 for a metric's name, such as `test_partial_f1_LABEL`


def metric_label(label: str) -> str:
    """A label as part of a metric's name: characters that MLflow does not allow there become `_`.

    MLflow allows letters, digits, `_`, `-`, `.`, `:`, space and `/`, the last only if it makes a normalized path.
    """
    name = re.sub(r"[^/\w.\- :]", "_", label)
    return name if posixpath.normpath(f"_{name}") == f"_{name}" else name.replace("/", "_")


def check_labels(corpus: Corpus) -> None:
    """Check the labels of a corpus.

    Errors: BadInput if train has no entity, a label is too long, or two labels have the same name in metrics.
    Warns about labels that occur in test only.
    """
    train, test = set(corpus.labels), _labels(corpus.test)
    if not train:
        raise BadInput("the training data has no entities", "annotate some", corpus.sources["train"])
    names: dict[str, str] = {}
    for label in sorted(train | test | _labels(corpus.dev)):
        if len(label) > MAX_LABEL:
            problem = f"the label {label[:40]!r}… has {len(label)} characters"
            raise BadInput(problem, f"shorten it to {MAX_LABEL}", corpus.sources["train"])
        name = metric_label(label)
        if name in names:
            problem = f"the labels {names[name]!r} and {label!r} have the same name in metrics, {name!r}"
            raise BadInput(problem, "rename one of them", corpus.sources["train"])
        names[name] = label
    if missing := sorted(test - train):
        message = f"test has labels that do not occur in train, so no model can learn them: {missing}"
        warnings.warn(f"{printable(corpus.sources['test'])}: {message}", UserWarning, stacklevel=2)


def _labels(sentences: tuple[Sentence, ...]) -> set[str]:
    return {tag[2:] for tag in {tag for sentence in sentences for tag in sentence.tags} if tag != "O"}
