import re
import threading
import time
from pathlib import Path

import pytest
from twinner.frameworks.sparknlp.training_log import best_epoch, follow, parse

from .conftest import SmallTask, Trained

EPOCH = (
    "\n\nEpoch {n}/3 started, lr: 0.003, dataset size: 8\n\n\n"
    "Epoch {n}/3 - 0.50s - loss: 12.5 - batches: 2\n"
    "Quality on test dataset: \n"
    "time to finish evaluation: 0.25s\n"
    "label\t tp\t fp\t fn\t prec\t rec\t f1\n"
    "B-big city\t 3\t 1\t 2\t 0.75\t 0.6\t 0.6666667\n"
    "I-big city\t 0\t 0\t 1\t 0.0\t 0.0\t 0.0\n"
    "tp: 3 fp: 1 fn: 3 labels: 2\n"
    "Macro-average\t prec: 0.375, rec: 0.3, f1: 0.33333334\n"
    "Micro-average\t prec: 0.75, rec: 0.5, f1: {f1}\n"
)
HEAD = (
    "Name of the selected graph: /tmp/blstm_10_100_128_120.pb\n"
    "Training started - total epochs: 3 - lr: 0.003 - batch size: 4 - labels: 3 - chars: 20 - training examples: 8\n"
)


def log(*f1s: str) -> str:
    return HEAD + "".join(EPOCH.format(n=n, f1=f1) for n, f1 in enumerate(f1s, start=1))


def test_reads_an_epoch() -> None:
    (epoch,) = parse(log("0.6").splitlines())
    assert (epoch.number, epoch.loss, epoch.update_seconds, epoch.evaluation_seconds) == (1, 12.5, 0.5, 0.25)
    assert epoch.counts == {"B-big city": (3, 1, 2), "I-big city": (0, 0, 1)}
    assert epoch.micro_f1 == 0.6


def test_reads_the_log_of_a_real_training(trained: Trained, task: SmallTask) -> None:
    epochs = list(parse((trained.folder / "ner.log").read_text().splitlines()))
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    gold = {tag: sum(tag in s.tags and s.tags.count(tag) for s in task.dev) for tag in ("B-PER", "B-LOC", "I-LOC")}
    for epoch in epochs:
        assert epoch.loss > 0
        assert epoch.update_seconds > 0
        for tag, (hits, _, missed) in epoch.counts.items():
            assert hits + missed == gold[tag]
        hits, spurious, missed = (sum(count[i] for count in epoch.counts.values()) for i in range(3))
        assert epoch.micro_f1 == pytest.approx(2 * hits / (2 * hits + spurious + missed), abs=1e-6)


def test_warns_of_an_unknown_line_and_reads_on() -> None:
    text = log("0.6", "0.7").replace("Quality on", "Elapsed: 12 of 34\nQuality on")
    text = text.replace("tp: 3 fp: 1 fn: 3 labels: 2\n", "tp: 3 fp: 1 fn: 3 labels: 2\nhint\tx\n", 1)
    with pytest.warns(UserWarning, match="the training log of Spark NLP is not as expected") as warned:
        epochs = list(parse(text.splitlines()))
    assert epochs == list(parse(log("0.6", "0.7").splitlines()))
    assert [str(warning.message).partition(": ")[2] for warning in warned] == [
        "it has the unknown line 'Elapsed: 12 of 34'",  # once, though each epoch has one
        r"it has the unknown line 'hint\tx'",
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("tp: 3 fp", "tp: 4 fp", "the counts of 2 tags add up to [3, 1, 3], but it says 'tp: 4 fp: 1 fn: 3 labels: 2'"),
        (
            "labels: 2",
            "labels: 7",
            "the counts of 2 tags add up to [3, 1, 3], but it says 'tp: 3 fp: 1 fn: 3 labels: 7'",
        ),
        ("I-big city\t 0\t 0\t 1\t 0.0\t 0.0\t 0.0\n", "", "the counts of 1 tags add up to [3, 1, 2], but it says "),
    ],
)
def test_warns_of_contradictory_totals(old: str, new: str, problem: str) -> None:
    text = log("0.6")
    assert old in text
    with pytest.warns(UserWarning, match=re.escape(f"in epoch 1 {problem}")):
        (epoch,) = parse(text.replace(old, new).splitlines())
    assert epoch.counts["B-big city"] == (3, 1, 2)


B_TAG = "B-big city\t 3\t 1\t 2\t 0.75\t 0.6\t 0.6666667\n"
I_TAG = "I-big city\t 0\t 0\t 1\t 0.0\t 0.0\t 0.0\n"


@pytest.mark.filterwarnings("ignore:the training log of Spark NLP")
@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        ("Epoch 2/3 - 0.50s - loss: 12.5 - batches: 2\n", "", "epoch 2: loss, update seconds"),
        ("Epoch 2/3 - 0.50s - loss: 12.5 - batches: 2\n", "Epoch 2/3 - loss: 12.5\n", "epoch 2: loss, update seconds"),
        (
            "Epoch 2/3 - 0.50s",
            "Epoch 3/3 - 0.50s",
            "epoch 2: loss, update seconds, evaluation seconds, counts, micro f1",
        ),
        ("time to finish evaluation: 0.25s", "evaluated in 0.25s", "epoch 1: evaluation seconds"),
        (B_TAG + I_TAG, "", "epoch 1: counts"),
        ("Micro-average\t prec: 0.75, rec: 0.5, f1: 0.6\n", "", "epoch 1: micro f1"),
        ("Micro-average\t prec: 0.75, rec: 0.5, f1: 0.7\n", "", "epoch 2: micro f1"),
    ],
)
def test_missing_numbers_are_an_error_that_names_them(old: str, new: str, missing: str) -> None:
    text = log("0.6", "0.7")
    assert old in text
    with pytest.raises(RuntimeError, match=f"does not have these numbers of {missing}$"):
        list(parse(text.replace(old, new).splitlines()))


def test_an_evaluation_without_tags_is_complete() -> None:
    text = log("NaN").replace(B_TAG + I_TAG, "").replace("tp: 3 fp: 1 fn: 3 labels: 2", "tp: 0 fp: 0 fn: 0 labels: 0")
    (epoch,) = parse(text.splitlines())
    assert epoch.counts == {}


def test_reads_a_nan_loss_and_a_decimal_comma() -> None:
    (epoch,) = parse(log("NaN").replace("12.5", "NaN").replace("0.50s", "0,50s").splitlines())
    assert epoch.loss != epoch.loss
    assert epoch.update_seconds == 0.5


@pytest.mark.parametrize(
    ("f1s", "best"),
    [
        (("0.2", "0.9", "0.4"), 2),
        (("0.5", "0.7", "0.7"), 3),  # of ties Spark NLP keeps the last
        (("0.5", "NaN", "0.4"), 1),
        (("NaN", "NaN", "NaN"), 0),
        (("0.0", "0.0", "0.0"), 3),
    ],
)
def test_the_best_epoch_is_the_one_that_spark_nlp_keeps(f1s: tuple[str, ...], best: int) -> None:
    assert best_epoch(parse(log(*f1s).splitlines())) == best


def test_yields_epochs_while_the_log_grows(tmp_path: Path) -> None:
    file = tmp_path / "grows.log"
    text = log("0.1", "0.2", "0.3")

    def write() -> None:
        time.sleep(0.05)
        with file.open("w") as out:
            for at in range(0, len(text), 40):
                out.write(text[at : at + 40])
                out.flush()
                time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    writing = [(epoch.number, writer.is_alive()) for epoch in follow(file, writer.is_alive, pause=0.005)]
    assert [number for number, _ in writing] == [1, 2, 3]
    assert writing[0][1]
    assert writing[1][1]


def test_a_missing_log_has_no_epochs(tmp_path: Path) -> None:
    assert list(follow(tmp_path / "none.log", lambda: False)) == []
