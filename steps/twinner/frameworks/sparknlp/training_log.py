"""The log that NerDLApproach writes while it trains: one block per epoch, with counts by tag on dev.

    Epoch 2/10 started, lr: 0.0029850747, dataset size: 400
    Epoch 2/10 - 8.03s - loss: 568.82404 - batches: 51
    Quality on test dataset:
    time to finish evaluation: 0.61s
    label<tab> tp<tab> fp<tab> fn<tab> prec<tab> rec<tab> f1
    B-DRUG<tab> 18<tab> 1<tab> 55<tab> 0.94736844<tab> 0.24657534<tab> 0.39130437
    tp: 108 fp: 19 fn: 328 labels: 14
    Macro-average<tab> prec: 0.3110954, rec: 0.114584066, f1: 0.16748083
    Micro-average<tab> prec: 0.8503937, rec: 0.24770643, f1: 0.38365895

Spark NLP does not promise this format. An unknown line is a warning, since the training is not worse for it; missing
numbers are an error.
"""

import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

NUMBER = r"(NaN|-?Infinity|-?\d\S*)"
SECONDS = r"(\d+(?:[.,]\d+)?)s"
IGNORED = re.compile(
    r"\s*|Name of the selected graph: .*|Training started - .*|Epoch \d+/\d+ started, lr: .*|"
    r"Quality on test dataset: ?|label\t tp\t fp\t fn\t prec\t rec\t f1|Macro-average\t prec: .*"
)
UPDATES = re.compile(rf"Epoch (\d+)/\d+ - {SECONDS} - loss: {NUMBER} - batches: \d+")
EVALUATION = re.compile(rf"time to finish evaluation: {SECONDS}")
TAG = re.compile(rf"(.+)\t (\d+)\t (\d+)\t (\d+)\t {NUMBER}\t {NUMBER}\t {NUMBER}")
TOTAL = re.compile(r"tp: (\d+) fp: (\d+) fn: (\d+) labels: (\d+)")
MICRO = re.compile(rf"Micro-average\t prec: {NUMBER}, rec: {NUMBER}, f1: {NUMBER}")


@dataclass(frozen=True)
class LoggedEpoch:
    """One epoch in the log.

    number: from 1. loss: summed over the batches. update_seconds, evaluation_seconds: as logged.
    counts: tag -> (true positives, false positives, false negatives) in tokens of dev, without `O`.
    micro_f1: over those tags, as NerDLApproach computes it to choose the best epoch.
    """

    number: int
    loss: float
    update_seconds: float
    evaluation_seconds: float
    counts: Mapping[str, tuple[int, int, int]]
    micro_f1: float


NUMBERS = [field.name for field in fields(LoggedEpoch) if field.name != "number"]


def parse(lines: Iterable[str]) -> Iterator[LoggedEpoch]:
    """Yield the epochs of a log, each as soon as its last line is read.

    Warns of unknown lines, once per kind, and of totals that contradict the counts by tag.
    Raises RuntimeError if numbers of an epoch are missing.
    """
    number, found = 1, dict[str, Any]()
    kinds_warned_of = set()
    for line in lines:
        line = line.rstrip("\r\n")
        if match := UPDATES.fullmatch(line):
            if found or int(match[1]) != number:
                raise _incomplete(number, found)
            found |= {"update_seconds": _seconds(match[2]), "loss": float(match[3])}
        elif match := EVALUATION.fullmatch(line):
            found["evaluation_seconds"] = _seconds(match[1])
        elif match := TAG.fullmatch(line):
            found.setdefault("counts", {})[match[1]] = (int(match[2]), int(match[3]), int(match[4]))
        elif match := TOTAL.fullmatch(line):
            *totals, tags = map(int, match.groups())
            counts = found.setdefault("counts", {}) if tags == 0 else found.get("counts", {})
            sums = [sum(count[i] for count in counts.values()) for i in range(3)]
            if (sums, len(counts)) != (totals, tags):
                _warn(f"in epoch {number} the counts of {len(counts)} tags add up to {sums}, but it says {line!r}")
        elif match := MICRO.fullmatch(line):
            found["micro_f1"] = float(match[3])
            if len(found) < len(NUMBERS):
                raise _incomplete(number, found)
            yield LoggedEpoch(number, **found)
            number, found = number + 1, {}
        elif not IGNORED.fullmatch(line) and (kind := re.sub(r"\d+", "0", line)) not in kinds_warned_of:
            kinds_warned_of.add(kind)
            _warn(f"it has the unknown line {line!r}")
    if found:
        raise _incomplete(number, found)


def follow(log: Path, is_running: Callable[[], bool], pause: float = 0.1) -> Iterator[LoggedEpoch]:
    """Yield the epochs of a log while it is being written, each as soon as it is complete.

    log: need not exist yet. is_running: whether it is still being written. pause: seconds between two reads.
    """
    return parse(_lines(log, is_running, pause))


def best_epoch(epochs: Iterable[LoggedEpoch]) -> int:
    """Return the number of the epoch that NerDLApproach keeps: the last of those with the best micro F1; 0 if none."""
    best, best_f1 = 0, 0.0
    for epoch in epochs:
        if epoch.micro_f1 >= best_f1:  # false for NaN, as in Java
            best, best_f1 = epoch.number, epoch.micro_f1
    return best


def _lines(log: Path, is_running: Callable[[], bool], pause: float) -> Iterator[str]:
    """Yield the complete lines of a growing file."""
    position, part = 0, b""
    while True:
        ending = not is_running()  # asked before reading, so that nothing written before the end is missed
        if log.exists():
            with log.open("rb") as file:
                file.seek(position)
                part += file.read()
                position = file.tell()
        *lines, part = part.split(b"\n")
        yield from (line.decode() for line in lines)
        if ending:
            if part:
                yield part.decode()
            return
        time.sleep(pause)


def _seconds(text: str) -> float:
    return float(text.replace(",", "."))  # depends on the locale of Java, if we did not start it


def _incomplete(number: int, found: Mapping[str, Any]) -> RuntimeError:
    missing = ", ".join(name.replace("_", " ") for name in NUMBERS if name not in found)
    return RuntimeError(f"the training log of Spark NLP does not have these numbers of epoch {number}: {missing}")


def _warn(problem: str) -> None:
    warnings.warn(f"the training log of Spark NLP is not as expected: {problem}", stacklevel=2)
