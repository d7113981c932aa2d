"""Wall time of spacy_train against `spacy train`: `python benchmarks/spacy_vs_train.py eng.train eng.testa`.

Both train the same config on the same data, in turns, each in a new process, timed as a whole: reading the corpus,
the epochs with an evaluation after each, and writing the model. `spacy train` gets the config that a training logs, so
it evaluates once per epoch's worth of steps.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = Path(__file__).resolve().parents[1] / "steps"
sys.path.insert(0, str(STEPS))

from twinner.corpus import read_corpus  # noqa: E402
from twinner.frameworks.contract import Epoch  # noqa: E402
from twinner.frameworks.spacy.trainer import SpacyTrainer  # noqa: E402

DROP_RATE, LR, BATCH_SIZE = 0.2, 0.001, 1000  # the step's defaults


def train_ours(folder: Path, epochs: int) -> float:
    """Train on the corpus in `folder/given`, write what a run logs to `folder/logged`, and return the best dev F1."""
    corpus = read_corpus(str(folder / "given"), lang="en")
    epochs_done: list[Epoch] = []
    trainer = SpacyTrainer("en", DROP_RATE, epochs, LR, BATCH_SIZE, patience=0, seed=0)
    try:
        best = trainer.train(corpus.train, corpus.dev, epochs_done.append)
        trainer.save(folder / "logged")
    finally:
        trainer.close()
    return epochs_done[best - 1].scores["dev_f1"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path, help="a column file, such as eng.train")
    parser.add_argument("dev", type=Path, help="another, such as eng.testa")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--limit", type=int, default=0, help="train on the first N sentences, score on N / 4")
    parser.add_argument("--times", type=int, default=3, help="repetitions")
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(train_ours(arguments.only, arguments.epochs))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "given").mkdir()
        for split, file in (("train", arguments.train), ("dev", arguments.dev), ("test", arguments.dev)):
            sentences = file.read_text(encoding="utf-8").split("\n\n")
            if arguments.limit:
                sentences = sentences[: arguments.limit if split == "train" else arguments.limit // 4]
            (folder / "given" / f"{split}.conll").write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
        print("| turn | spacy train (s) | ours (s) | ratio | spacy train: dev F1 | ours: dev F1 |")
        print("| ---: | ---: | ---: | ---: | ---: | ---: |")
        ratios = []
        for turn in range(1, arguments.times + 1):
            (folder / "logged").mkdir(exist_ok=True)
            began = time.perf_counter()
            command = [sys.executable, __file__, str(arguments.train), str(arguments.dev)]
            command += [f"--epochs={arguments.epochs}", f"--only={folder}"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            ours = time.perf_counter() - began
            command = [sys.executable, "-m", "spacy", "train", "config.cfg", "--output", "out"]
            began = time.perf_counter()
            subprocess.run(command, cwd=folder / "logged", check=True, capture_output=True)
            theirs = time.perf_counter() - began
            meta = json.loads((folder / "logged" / "out" / "model-best" / "meta.json").read_text(encoding="utf-8"))
            ratios.append(ours / theirs)
            scores = f"{meta['performance']['ents_f']:.3f} | {float(done.stdout.splitlines()[-1]):.3f}"
            print(f"| {turn} | {theirs:.1f} | {ours:.1f} | {ratios[-1]:.2f} | {scores} |", flush=True)
    print(f"wall time: {statistics.median(ratios):.2f} of spacy train's ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
