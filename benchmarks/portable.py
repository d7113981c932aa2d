"""What `portable=yes` costs: `python benchmarks/portable.py eng.train --sentences 3000 --epochs 2 --rounds 3`.

Trains spaCy in new processes, with the machine's own kernels and with portable ones in turn, so that other work on the
machine hits both, and prints the words per second of each round. Times are CPU times.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "steps"))

from threadpoolctl import threadpool_info
from twinner.corpus import read_corpus
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy.trainer import SpacyTrainer
from twinner.portable import portable_settings


def measure(corpus: str, sentences: int, epochs: int) -> None:
    """Train, and print the kernels and the words per second of each epoch, its evaluation included, as JSON."""
    read = read_corpus(corpus)
    train, dev = read.train[:sentences], read.dev[:50]
    words = sum(len(sentence.tokens) for sentence in train)
    trainer = SpacyTrainer(lang=read.lang, drop_rate=0.2, epochs=epochs, lr=0.001, batch_size=1000, patience=0, seed=0)
    marks = [0.0]

    def on_epoch(_: Epoch) -> None:
        marks.append(time.process_time())

    marks[0] = time.process_time()
    trainer.train(train, dev, on_epoch)
    trainer.close()
    kernels = sorted({str(found["architecture"]) for found in threadpool_info() if found["user_api"] == "blas"})
    seconds = marks[-1] - marks[1]  # the first epoch fills caches, and begins with reading
    print(json.dumps({"kernels": kernels, "words_per_second": words * (epochs - 1) / seconds}))


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("--sentences", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.corpus, given.sentences, given.epochs)
        return
    if given.epochs < 2:
        parser.error("--epochs must be at least 2: the first is not measured")
    found: dict[str, list[float]] = {"no": [], "yes": []}
    for number in range(1, given.rounds + 1):
        for portable, settings in {"no": {}, "yes": portable_settings()}.items():
            command = [sys.executable, *sys.argv, "--measure"]
            done = subprocess.run(command, env=os.environ | settings, stdout=subprocess.PIPE, text=True, check=True)
            result = json.loads(done.stdout.splitlines()[-1])
            found[portable].append(result["words_per_second"])
            speed = f"{found[portable][-1]:>9,.0f} words/s"
            print(f"round {number}  portable={portable:<4}{speed}  ({', '.join(result['kernels'])})", flush=True)
    medians = {portable: statistics.median(values) for portable, values in found.items()}
    print(f"median   no {medians['no']:,.0f}, yes {medians['yes']:,.0f}: {medians['yes'] / medians['no'] - 1:+.1%}")


if __name__ == "__main__":
    main()
