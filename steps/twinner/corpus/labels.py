"""What the labels of a corpus must keep to, so that each can be learnt, scored and recorded."""

import posixpath
import re
import warnings

from twinner.corpus.sentence import Corpus, Sentence
from twinner.errors import BadInput


def metric_label(label: str) -> str:
    """A label as it stands in the name of a metric: what MLflow does not allow there becomes `_`.

    MLflow allows letters, digits, `_`, `-`, `.`, `:`, space and `/`, the last only where it makes a plain path.
    """
    name = re.sub(r"[^/\w.\- :]", "_", label)
    return name if posixpath.normpath(f"_{name}") == f"_{name}" else name.replace("/", "_")


def check_labels(corpus: Corpus) -> None:
    """Check the labels of a whole corpus.

    Errors: BadInput if train has no entity, or if two labels have the same name in metrics.
    Warns of labels that test has and train lacks.
    """
    train, test = set(corpus.labels), _labels(corpus.test)
    if not train:
        problem = "the training data holds no entity at all"
        raise BadInput(problem, "annotate some entities", corpus.sources["train"])
    names: dict[str, str] = {}
    for label in sorted(train | test | _labels(corpus.dev)):
        name = metric_label(label)
        if name in names:
            problem = f"the labels {names[name]!r} and {label!r} would share the metric name {name!r}"
            raise BadInput(problem, "rename one of them", corpus.sources["train"])
        names[name] = label
    if missing := sorted(test - train):
        told = f"{corpus.sources['test']}: test has labels that train lacks, which no model can learn: {missing}"
        warnings.warn(told, UserWarning, stacklevel=2)


def _labels(sentences: tuple[Sentence, ...]) -> set[str]:
    return {tag[2:] for tag in {tag for sentence in sentences for tag in sentence.tags} if tag != "O"}
