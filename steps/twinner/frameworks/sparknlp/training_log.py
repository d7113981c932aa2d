"""The log that NerDLApproach writes while it trains: one block an epoch, with counts by tag on the dev data.

    Epoch 2/10 started, lr: 0.0029850747, dataset size: 400
    Epoch 2/10 - 8.03s - loss: 568.82404 - batches: 51
    Quality on test dataset:
    time to finish evaluation: 0.61s
    label<tab> tp<tab> fp<tab> fn<tab> prec<tab> rec<tab> f1
    B-DRUG<tab> 18<tab> 1<tab> 55<tab> 0.94736844<tab> 0.24657534<tab> 0.39130437
    tp: 108 fp: 19 fn: 328 labels: 14
    Macro-average<tab> prec: 0.3110954, rec: 0.114584066, f1: 0.16748083
    Micro-average<tab> prec: 0.8503937, rec: 0.24770643, f1: 0.38365895

It is no interface that Spark NLP promises, so each line is either known and checked, or an error.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

NUMBER = r"(\S+)"
PASSED_OVER = re.compile(
    r"\s*|Name of the selected graph: .*|Training started - .*|Epoch \d+/\d+ started, lr: .*|"
    r"Quality on test dataset: ?|label\t tp\t fp\t fn\t prec\t rec\t f1|Macro-average\t prec: .*"
)
EPOCH = re.compile(rf"Epoch (\d+)/(\d+) - ([\d.,]+)s - loss: {NUMBER} - batches: \d+")
EVALUATED = re.compile(r"time to finish evaluation: ([\d.,]+)s")
TAG = re.compile(rf"(.+)\t (\d+)\t (\d+)\t (\d+)\t {NUMBER}\t {NUMBER}\t {NUMBER}")
TOTAL = re.compile(r"tp: (\d+) fp: (\d+) fn: (\d+) labels: (\d+)")
MICRO = re.compile(rf"Micro-average\t prec: {NUMBER}, rec: {NUMBER}, f1: {NUMBER}")


@dataclass(frozen=True)
class LoggedEpoch:
    """What the log says of one epoch.

    number: from 1. loss: summed over the batches. update_seconds, evaluation_seconds: as the log has them.
    counts: tag -> (true positives, false positives, false negatives) in tokens of dev, `O` left out.
    micro_f1: over those tags, as NerDLApproach reckons it to choose the best epoch.
    """

    number: int
    loss: float
    update_seconds: float
    evaluation_seconds: float
    counts: Mapping[str, tuple[int, int, int]]
    micro_f1: float


def parse(lines: Iterable[str]) -> Iterator[LoggedEpoch]:
    """Yield the epochs of a log, each as soon as its last line is in.

    Raises RuntimeError for a line that is not known, or that contradicts those before it.
    """
    number, finished, loss, update, evaluation = 0, 0, 0.0, 0.0, None
    counts: dict[str, tuple[int, int, int]] = {}
    for line in lines:
        line = line.rstrip("\r\n")
        if PASSED_OVER.fullmatch(line):
            continue
        if match := EPOCH.fullmatch(line):
            number, update, loss = int(match[1]), _seconds(match[3]), float(match[4])
            evaluation, counts = None, {}
            if number != finished + 1:
                raise _unknown(line, f"epoch {finished + 1} was to come")
        elif match := EVALUATED.fullmatch(line):
            evaluation = _seconds(match[1])
        elif match := TAG.fullmatch(line):
            counts[match[1]] = (int(match[2]), int(match[3]), int(match[4]))
        elif match := TOTAL.fullmatch(line):
            totals = tuple(sum(column) for column in zip((0, 0, 0), *counts.values(), strict=True))
            if (*totals, len(counts)) != tuple(map(int, match.groups())):
                raise _unknown(line, f"the counts of its tags add up to {totals}, {len(counts)} labels")
        elif match := MICRO.fullmatch(line):
            if number != finished + 1 or evaluation is None:
                raise _unknown(line, "it ends an evaluation that no epoch began")
            finished = number
            yield LoggedEpoch(number, loss, update, evaluation, counts, float(match[3]))
        else:
            raise _unknown(line, "no such line is known")


def follow(log: Path, is_running: Callable[[], bool], pause: float = 0.1) -> Iterator[LoggedEpoch]:
    """Yield the epochs of a log that is being written, as soon as they are in it, until what writes it has ended.

    log: need not exist yet. is_running: whether it is still being written. pause: seconds between two looks.
    """
    return parse(_lines(log, is_running, pause))


def best_epoch(epochs: Iterable[LoggedEpoch]) -> int:
    """The number of the epoch that NerDLApproach keeps: of those with the best micro-averaged F1 the last; 0: none."""
    best, best_f1 = 0, 0.0
    for epoch in epochs:
        if epoch.micro_f1 >= best_f1:  # not where it is no number, as in Java
            best, best_f1 = epoch.number, epoch.micro_f1
    return best


def _lines(log: Path, is_running: Callable[[], bool], pause: float) -> Iterator[str]:
    """Yield the whole lines of a file that grows."""
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
    return float(text.replace(",", "."))  # the locale of a Java that we did not start decides which


def _unknown(line: str, why: str) -> RuntimeError:
    return RuntimeError(f"the log of NerDLApproach is not understood at the line {line!r}: {why}")
