"""The parameters of the steps: what each means and which values it takes, under one spelling everywhere."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twinner.errors import BadInput


@dataclass(frozen=True)
class Parameter:
    """One parameter of a step.

    help: for the command line. kind: `str`, `int` or `float`, of its value in a training (the report and `main` take
    text). must, is_valid: which values it takes, in words and as a check. affects_scores: whether another value can
    give other scores on the same splits.
    """

    help: str
    kind: type[str] | type[int] | type[float] = str
    must: str = ""
    is_valid: Callable[[Any], bool] = lambda value: True
    affects_scores: bool = True


def _at_least(minimum: int) -> dict[str, Any]:
    return {"kind": int, "must": f"a whole number of at least {minimum}", "is_valid": lambda value: value >= minimum}


# Every comparison with a NaN is false, so each check asks for what is right rather than for what is wrong.
_POSITIVE: dict[str, Any] = {"kind": float, "must": "above 0", "is_valid": lambda value: 0 < value < math.inf}
_SHARE_BELOW_1: dict[str, Any] = {
    "kind": float,
    "must": "at least 0 and below 1",
    "is_valid": lambda value: 0 <= value < 1,
}
_SHARE: dict[str, Any] = {
    "kind": float,
    "must": "above 0 and below 1",
    "is_valid": lambda value: 0 < value < 1,
    "affects_scores": False,  # the digests of the splits say what they were
}

PARAMETERS = {
    "corpus": Parameter(
        "demo, med-de, conll2003, a file, a folder with train/dev/test files, or a URL", affects_scores=False
    ),
    "test": Parameter("a separate test file; empty: the corpus's own test split", affects_scores=False),
    "lang": Parameter("tokenizer language such as de; auto: the corpus's own, else xx"),
    "tag_column": Parameter(
        "the column of tags, from 1 or from the end (-1), or a name such as ner_tags; empty: guess",
        affects_scores=False,
    ),
    "drop_rate": Parameter("share of units dropped in training", **_SHARE_BELOW_1),
    "epochs": Parameter("passes over the training data", **_at_least(1)),
    "lr": Parameter("learning rate", **_POSITIVE),
    "batch_size": Parameter("spaCy: words that batches grow to; Spark NLP: sentences a batch", **_at_least(1)),
    "dev_fraction": Parameter("share of train held out for dev if the corpus has no dev split", **_SHARE),
    "test_fraction": Parameter("share held out for test if the corpus has no test data", **_SHARE),
    "patience": Parameter("stop after this many epochs without a better dev F1; 0: never", **_at_least(0)),
    "embeddings": Parameter("minilm, e5, hf:ORG/MODEL or a folder; minilm:3+6 for its layers; Spark NLP: or word2vec"),
    "limit": Parameter("train on the first N training sentences only; 0: all", **_at_least(0)),
    "seed": Parameter(
        "seed of every source of randomness in training, never of the splits",
        kind=int,
        must="a whole number from 0 to 2147483647",
        is_valid=lambda value: 0 <= value < 2**31,
    ),
    "model_name": Parameter(
        "the registered model that a training adds a version to; empty: the model is only logged", affects_scores=False
    ),
    "spark_master": Parameter("any Spark master URL", affects_scores=False),
    "driver_memory": Parameter("memory of the Spark driver such as 4g; auto: from the machine's", affects_scores=False),
    "spark_conf": Parameter("more Spark settings: key=value key=value"),
    "config": Parameter("a spaCy config to train instead of ours; the parameters still win"),
    "vectors": Parameter("en_md, a spaCy vectors package, or a folder"),
    "init": Parameter("a spaCy model to continue training, with its labels: runs:/…, models:/…, or a folder"),
    "resume": Parameter("id of a stopped run to continue; all else is taken from it", affects_scores=False),
    "embedding_cache": Parameter("keep a corpus's embeddings for the next run", affects_scores=False),
    "log_text": Parameter("no: log and show nothing that holds text of the corpus", affects_scores=False),
    "sweep": Parameter("a name for runs that belong together; a report covers only those", affects_scores=False),
    "reuse": Parameter("yes: end at once if an equal run has finished already", affects_scores=False),
    "portable": Parameter("yes: compute with one instruction set, so that all x86-64 machines give the same digits"),
    "export": Parameter(
        "a folder that also gets the model and the run's outputs, replaced as a whole", affects_scores=False
    ),
    "step": Parameter("the training step to sweep: spacy_train or sparknlp_train"),
    "space": Parameter("what to try: drop_rate=0.1:0.5 lr=1e-4:1e-2:log epochs=5,10 embeddings=word2vec,minilm"),
    "trials": Parameter("settings to try; all of them in a grid", **_at_least(1)),
    "sampler": Parameter("how settings are chosen: by what the trials so far say, at random, or all in order"),
    "prune": Parameter("yes: stop trials that are behind the others"),
    "seeds": Parameter("trainings of each setting, with as many seeds; their mean counts", **_at_least(1)),
    "objective": Parameter("the score on dev to maximize: best_dev_f1, best_dev_precision or best_dev_recall"),
    "jobs": Parameter("trainings at once; auto: one a core, as far as memory allows"),
    "timeout": Parameter("seconds after which no more trial is begun; 0: none", **_at_least(0)),
    "name": Parameter("names the sweep; a stopped one of that name is continued"),
    "experiments": Parameter("experiments to cover, by name or id, separated by commas; empty: the current one"),
    "filter": Parameter("more conditions on the runs, in MLflow's search syntax"),
    "metric": Parameter("the metric whose mean over seeds ranks the settings"),
    "discard": Parameter("id of a run in the outbox to drop instead of delivering the runs there"),
    "output": Parameter("report: a file that also gets the page; predict: a folder, JSON lines if it ends in .jsonl"),
    "model": Parameter("the model to use: runs:/ID/model, models:/NAME@champion, or a folder"),
    "compare": Parameter("another model for the same texts"),
    "input": Parameter("texts: a file, folder, glob or URI of txt, csv, jsonl or parquet"),
    "text_column": Parameter("the column of the texts in csv, jsonl and parquet"),
    "overwrite": Parameter("yes: replace an earlier output"),
    "run_id": Parameter("id of the training to repeat; empty: the winner of the current experiment"),
    "tolerance": Parameter(
        "the largest difference that counts as none; of values above 1 a share",
        kind=float,
        must="at least 0",
        is_valid=lambda value: 0 <= value < math.inf,
    ),
    "max_drop": Parameter("how far the F1 of a label with enough mentions may fall", **_SHARE_BELOW_1),
    "dry_run": Parameter("yes: show the decision and change nothing"),
    "force": Parameter("yes: promote the best version whatever the gate says; needs a reason"),
    "reason": Parameter("why force is used; kept as a tag on the version"),
    "rollback": Parameter("yes: give the alias champion back to the version with the alias previous"),
}


def check_parameters(values: Mapping[str, Any]) -> None:
    """Check the values of numeric parameters, by name. Raises BadInput for the first that is out of range."""
    for name, value in values.items():
        parameter = PARAMETERS[name]
        if parameter.must and not isinstance(value, str) and not parameter.is_valid(value):
            raise BadInput(f"{name} is {value!r}", f"it must be {parameter.must}")
