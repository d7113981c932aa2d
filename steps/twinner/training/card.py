"""The model card of a training, in Markdown: what the model is, what it is for, how good it is, how to use it."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prettytable import PrettyTable, TableStyle

from twinner.corpus import Corpus, Sentence, word_count
from twinner.evaluation import Evaluation
from twinner.evaluation.scores import sentence_counts
from twinner.evaluation.significance import f1_interval
from twinner.frameworks import FRAMEWORKS
from twinner.frameworks.contract import Prediction
from twinner.parameters import PARAMETERS
from twinner.terminal import one_line

FEW = 30  # mentions below which a score says little


def model_card(
    run_id: str,
    framework: str,
    settings: Mapping[str, Any],
    corpus: Corpus,
    train: Sequence[Sentence],
    predictions: Sequence[Prediction],
    evaluation: Evaluation,
    metrics: Mapping[str, float],
) -> str:
    """Return the card of a training as Markdown. It holds no text of the corpus, but its name and its labels.

    framework: its key in `FRAMEWORKS`. settings: the step's parameters by name. train: the sentences trained on.
    predictions: one for each sentence of test. metrics: the final metrics. What matters least comes last, as a
    registry may have no room for it.
    """
    title = FRAMEWORKS[framework].title
    counts = "; ".join(f"`{name}` {_size(sentences)}" for name, sentences in _splits(corpus, train).items())
    values = {name: value for name, value in settings.items() if PARAMETERS[name].affects_scores and value != ""}
    recall = "; ".join(_recall(evaluation.entity_report["entities"]))
    registered = shlex.quote(one_line(f"models:/{settings['model_name'] or 'NAME'}/VERSION"))
    labels = ", ".join(map(_cell, corpus.labels))
    return f"""# {title} on {_cell(corpus.name.rstrip("/").rpartition("/")[2])}: F1 {metrics["test_f1"]:.3f}

{title} finds entities of {len(corpus.labels)} types ({labels}) in text (language `{corpus.lang}`).

- F1 on test: {_with_interval(metrics["test_f1"], corpus, predictions)} (precision {metrics["test_precision"]:.4f}, \
recall {metrics["test_recall"]:.4f}; entities, borders and type must match)
- F1 on dev: {metrics["best_dev_f1"]:.4f} (of epoch {metrics["best_epoch"]:.0f}, the best one, whose model this is)
- Recall on test: {recall or "no entities"}
- Made by run `{run_id}`

## How to use it

By its name and `VERSION` in the registry, if it is registered, or by its run:

    uri={registered}
    uri=runs:/{run_id}/model
    mlflow models serve -m "$uri" --port 5001 --env-manager uv

In Python:

    uri = "runs:/{run_id}/model"
    model = mlflow.pyfunc.load_model(uri)
    model.predict(pandas.DataFrame({{"text": ["…"]}}))

A row of `text` gives a list of entities: `start`, `end` (in characters, the end exclusive), `label` and `text`.

## Intended use

Texts like those that it was trained on: the same language, kind of text and types of entities. Check it on a sample \
of your own texts before you rely on it.

## Limits

{_bullets(_limits(corpus, predictions, metrics))}

## Data

- Corpus: {_cell(corpus.name)}; digest of train and dev `{corpus.digest}`, of test `{corpus.test_digest}`
- Trained on, chosen by and tested on: {counts}

## Settings

{_bullets(f"{name}: `{_cell(value).replace('`', '')}`" for name, value in values.items())}

## Scores on test by type

The interval is the 95 % bootstrap interval over sentences.

{_label_table(corpus, predictions, evaluation)}
"""


def _splits(corpus: Corpus, train: Sequence[Sentence]) -> dict[str, Sequence[Sentence]]:
    return {"train": train, "dev": corpus.dev, "test": corpus.test}


def _size(sentences: Sequence[Sentence]) -> str:
    words = word_count(sentences)
    entities = sum(len(sentence.entities) for sentence in sentences)
    return f"{len(sentences)} sentences, {words} words, {entities} entities"


def _recall(entities: Sequence[Mapping[str, Any]]) -> list[str]:
    """The recall on gold entities whose text was, and was not, seen in training."""
    parts = []
    for seen, name in ((True, "seen in training"), (False, "not seen in training")):
        found = [row["found"] for row in entities if row["seen_in_train"] == seen]
        if found:
            parts.append(f"{sum(found) / len(found):.4f} of the {len(found)} entities whose text was {name}")
    return parts


def _limits(corpus: Corpus, predictions: Sequence[Prediction], metrics: Mapping[str, float]) -> list[str]:
    limits = [
        f"The scores are those of one training with one seed on {len(corpus.test)} sentences; on other texts they are "
        "likely to be lower.",
        "The model carries the vocabulary of its training data.",
    ]
    if share := metrics["test/tokenized_otherwise"]:
        limits.append(f"The scores are on given tokens; it splits {share:.1%} of the test sentences otherwise.")
    if share := metrics["test/seen_in_train"]:
        limits.append(f"{share:.1%} of the test sentences are also in train.")
    if any(prediction.confidence is None for prediction in predictions):
        limits.append("It gives no confidence.")
    return limits


def _label_table(corpus: Corpus, predictions: Sequence[Prediction], evaluation: Evaluation) -> str:
    table = PrettyTable(["Type", "Mentions", "Precision", "Recall", "F1", "95 % interval"])
    table.set_style(TableStyle.MARKDOWN)
    table.align = "r"
    table.align["Type"] = "l"
    few = False
    for label, scores in evaluation.entity_report["schemes"]["strict"].items():
        if label:
            values = [f"{scores[name]:.4f}" for name in ("precision", "recall", "f1")]
            few |= (is_few := scores["support"] < FEW)
            mentions = f"{scores['support']}{' *' if is_few else ''}"
            table.add_row([_cell(label), mentions, *values, _interval(corpus, predictions, label) or "–"])
    return f"{table}\n\n\\* fewer than {FEW} mentions: the score says little" if few else str(table)


def _with_interval(f1: float, corpus: Corpus, predictions: Sequence[Prediction]) -> str:
    interval = _interval(corpus, predictions)
    return f"{f1:.4f}, 95 % interval {interval}" if interval else f"{f1:.4f}"


def _interval(corpus: Corpus, predictions: Sequence[Prediction], label: str = "") -> str:
    """The interval of F1, of a label or of all; empty for a single sentence."""
    gold = [sentence.tags for sentence in corpus.test]
    interval = f1_interval([sentence_counts(gold, [prediction.tags for prediction in predictions], label)])
    return f"{interval.low:.4f} to {interval.high:.4f}" if interval else ""


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _cell(value: object) -> str:
    """A value on one line that breaks no table of Markdown and shows no tags."""
    return one_line(str(value)).replace("|", "\\|").replace("<", "&lt;")
