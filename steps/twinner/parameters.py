"""The parameters of the steps: what each means and which values it takes, under one spelling everywhere."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twinner.errors import BadInput


@dataclass(frozen=True)
class Parameter:
    """One parameter: `help` for the command line; `holds` says whether a value can be used, `must` how it must be."""

    help: str
    must: str = ""
    holds: Callable[[Any], bool] = lambda value: True


def _at_least(minimum: int) -> dict[str, Any]:
    return {"must": f"a whole number of at least {minimum}", "holds": lambda value: value >= minimum}


# A nan compares false with everything, so each check asks for what is right rather than for what is wrong.
_POSITIVE: dict[str, Any] = {"must": "above 0", "holds": lambda value: 0 < value < math.inf}
_SHARE_BELOW_1: dict[str, Any] = {"must": "at least 0 and below 1", "holds": lambda value: 0 <= value < 1}
_SHARE: dict[str, Any] = {"must": "above 0 and below 1", "holds": lambda value: 0 < value < 1}

PARAMETERS = {
    "corpus": Parameter("demo, med-de, conll2003, a file, a folder with train/dev/test files, or a URL"),
    "test": Parameter("a separate test file; empty: the corpus's own test split"),
    "lang": Parameter("tokenizer language such as de; auto: the corpus's own, else xx"),
    "drop_rate": Parameter("share of units dropped in training", **_SHARE_BELOW_1),
    "epochs": Parameter("passes over the training data", **_at_least(1)),
    "lr": Parameter("learning rate", **_POSITIVE),
    "batch_size": Parameter("spaCy: words that batches grow to; Spark NLP: sentences a batch", **_at_least(1)),
    "dev_fraction": Parameter("share of train held out for dev where the corpus has no dev split", **_SHARE),
    "test_fraction": Parameter("share held out for test where the corpus has no test data", **_SHARE),
    "patience": Parameter("epochs without a better dev F1 before stopping; 0: never", **_at_least(0)),
    "embeddings": Parameter("word2vec, minilm, a pretrained Spark NLP name, or a folder"),
    "limit": Parameter("train on the first N training sentences only; 0: all", **_at_least(0)),
    "seed": Parameter(
        "every source of randomness in training, never the splits",
        must="a whole number from 0 to 2147483647",
        holds=lambda value: 0 <= value < 2**31,
    ),
    "model_name": Parameter("name to register the model under; empty: logged, not registered"),
    "spark_master": Parameter("any Spark master URL"),
    "driver_memory": Parameter("memory of the Spark driver such as 4g; auto: by the machine's"),
    "spark_conf": Parameter("more Spark settings: key=value key=value"),
    "config": Parameter("a spaCy config to train instead of ours; the parameters still win"),
    "vectors": Parameter("a spaCy vectors package or folder"),
    "init": Parameter("spaCy: a model to train on from, with its labels: runs:/…, models:/…, or a folder"),
    "resume": Parameter("id of a run that was stopped, to go on with; all else is taken from it"),
    "embedding_cache": Parameter("keep the embeddings of a corpus for the next run"),
    "log_text": Parameter("no: nothing that holds text of the corpus is logged, or shown on the page"),
    "export": Parameter("a folder that also gets the model and the run's outputs, replaced as a whole"),
    "experiments": Parameter("experiments to cover, by name or id, separated by commas; empty: the current one"),
    "filter": Parameter("more conditions on the runs, in MLflow's search syntax"),
    "metric": Parameter("the metric that decides which run won"),
    "output": Parameter("a file that also gets the page, with summary.json and runs.csv beside it"),
}


def check_parameters(values: Mapping[str, Any]) -> None:
    """Check numbers that a step was given, by name; BadInput names the first that can't be used."""
    for name, value in values.items():
        parameter = PARAMETERS[name]
        # The report and main take these as text, which chooses among runs or may be empty.
        if parameter.must and not isinstance(value, str) and not parameter.holds(value):
            raise BadInput(f"{name} is {value!r}", f"it must be {parameter.must}")
