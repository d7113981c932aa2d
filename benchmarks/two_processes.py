"""Speed of spacy_train with one process and with two: `python benchmarks/two_processes.py eng.train eng.testa`.

Both train the default config on the same sentences, in turns, each in a new process. Seconds of an epoch include
predicting dev.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

STEPS = Path(__file__).resolve().parents[1] / "steps"
sys.path.insert(0, str(STEPS))

from twinner.corpus import read_corpus  # noqa: E402
from twinner.frameworks.contract import Epoch  # noqa: E402
from twinner.frameworks.spacy import trainer  # noqa: E402

DROP_RATE, LR, BATCH_SIZE = 0.2, 0.001, 1000  # the step's defaults


def train(arguments: argparse.Namespace) -> list[tuple[float, float]]:
    """Train with `arguments.only` processes; return the seconds and the dev F1 of each epoch."""
    corpus = read_corpus(str(arguments.train), str(arguments.dev), arguments.lang)
    trainer.HALVED_WORDS = 0 if arguments.only == 2 else sys.maxsize
    epochs: list[Epoch] = []
    training = trainer.SpacyTrainer(arguments.lang, DROP_RATE, arguments.epochs, LR, BATCH_SIZE, patience=0, seed=0)
    try:
        training.train((*corpus.train, *corpus.dev), corpus.test, epochs.append)
    finally:
        training.close()
    return [(epoch.seconds, epoch.scores["dev_f1"]) for epoch in epochs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path, help="a column file, such as eng.train")
    parser.add_argument("dev", type=Path, help="another, such as eng.testa")
    parser.add_argument("--lang", default="en")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--times", type=int, default=3, help="repetitions")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(train(arguments)))
        return
    print("| processes | seconds of each epoch | all | dev F1 of the last |")
    print("| ---: | --- | ---: | ---: |")
    ratios = []
    for _ in range(arguments.times):
        totals = []
        for processes in (1, 2):
            command = [sys.executable, __file__, *sys.argv[1:], f"--only={processes}"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            epochs: list[tuple[float, float]] = json.loads(done.stdout.splitlines()[-1])
            totals.append(sum(seconds for seconds, _ in epochs))
            listed = ", ".join(f"{seconds:.1f}" for seconds, _ in epochs)
            print(f"| {processes} | {listed} | {totals[-1]:.0f} | {epochs[-1][1]:.3f} |", flush=True)
        ratios.append(totals[0] / totals[1])
    print(f"two processes: {statistics.median(ratios):.2f} × ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
