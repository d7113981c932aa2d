"""Training speed of spacy_train against the blog's loop: `python benchmarks/spacy_vs_blog.py eng.train eng.testa`.

The blog's loop updates the model with one text at a time, with spaCy's default settings. Both get the same sentences,
architecture, learning rate, dropout and number of epochs; they run in turns, each in a new process, with the second
file as dev. Words per second are training words over the time spent in updates. The last line is the time that
spacy_train takes to reach the loop's final dev F1, as a share of the loop's time.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

STEPS = Path(__file__).resolve().parents[1] / "steps"
sys.path.insert(0, str(STEPS))

from spacy.tokens import Doc  # noqa: E402
from spacy.training import Example  # noqa: E402
from spacy.training.initialize import init_nlp  # noqa: E402
from twinner.corpus import Sentence, read_corpus  # noqa: E402
from twinner.evaluation.scores import entity_scores  # noqa: E402
from twinner.frameworks.contract import Epoch  # noqa: E402
from twinner.frameworks.spacy.config import training_config  # noqa: E402
from twinner.frameworks.spacy.trainer import SpacyTrainer, write_corpus  # noqa: E402

DROP_RATE, LR, BATCH_SIZE = 0.2, 0.001, 1000  # the step's defaults
Curve = list[tuple[float, float, float]]  # per epoch: seconds in updates, total seconds so far, dev F1


def train_ours(train: Sequence[Sentence], dev: Sequence[Sentence], epochs: int) -> Curve:
    """Train with the step's trainer."""
    finished: list[Epoch] = []
    trainer = SpacyTrainer("en", DROP_RATE, epochs, LR, BATCH_SIZE, patience=0, seed=0)
    try:
        trainer.train(train, dev, finished.append)
    finally:
        trainer.close()
    seconds = [epoch.seconds for epoch in finished]
    return [(epoch.update_seconds, sum(seconds[: epoch.number]), epoch.scores["dev_f1"]) for epoch in finished]


def train_blog(train: Sequence[Sentence], dev: Sequence[Sentence], epochs: int) -> Curve:
    """Train with the blog's loop: shuffle, then call `nlp.update` with one text at a time."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {split: Path(folder, f"{split}.spacy") for split in ("train", "dev")}
        write_corpus(train, paths["train"])
        write_corpus(dev, paths["dev"])
        nlp = init_nlp(training_config({"nlp.lang": "en", "training.optimizer.learn_rate": LR}, paths))
    optimizer = nlp.create_optimizer()
    examples = [Example(Doc(nlp.vocab, words=s.tokens), Doc(nlp.vocab, words=s.tokens, ents=s.tags)) for s in train]
    curve: Curve = []
    total = 0.0
    for _ in range(epochs):
        began = time.perf_counter()
        random.shuffle(examples)
        losses: dict[str, float] = {}
        for example in examples:
            nlp.update([example], drop=DROP_RATE, sgd=optimizer, losses=losses)
        updated = time.perf_counter()
        docs = nlp.pipe(Doc(nlp.vocab, words=sentence.tokens) for sentence in dev)
        predicted = [[f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else "O" for t in doc] for doc in docs]
        f1 = entity_scores([s.tags for s in dev], predicted, ())["dev_f1"]
        total += time.perf_counter() - began
        curve.append((updated - began, total, f1))
    return curve


def train_in_new_process(which: str, arguments: argparse.Namespace) -> Curve:
    """Train with `ours` or `blog` in a new process; return its curve."""
    files = [str(arguments.train), str(arguments.dev)]
    options = [*files, f"--epochs={arguments.epochs}", f"--limit={arguments.limit}", f"--only={which}"]
    done = subprocess.run([sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True)
    curve: Curve = json.loads(done.stdout.splitlines()[-1])
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path, help="a column file, such as eng.train")
    parser.add_argument("dev", type=Path, help="another, such as eng.testa")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--limit", type=int, default=0, help="train on the first N sentences, score on N / 4")
    parser.add_argument("--times", type=int, default=3, help="repetitions")
    parser.add_argument("--only", choices=["ours", "blog"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    corpus = read_corpus(str(arguments.train), str(arguments.dev), "en")
    limit = arguments.limit or len(corpus.train) + len(corpus.dev)
    train, dev = (*corpus.train, *corpus.dev)[:limit], corpus.test[: max(limit // 4, 1)]
    if arguments.only:
        print(json.dumps({"ours": train_ours, "blog": train_blog}[arguments.only](train, dev, arguments.epochs)))
        return
    words = sum(len(sentence.tokens) for sentence in train)
    print(f"{len(train)} sentences, {words} words, {arguments.epochs} epochs; dev of {len(dev)} sentences", flush=True)
    print("| turn | loop: words/s | ours: words/s | ratio | loop: dev F1 | ours: dev F1 | time to the loop's F1 |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    ratios, shares = [], []
    for turn in range(1, arguments.times + 1):
        blog, ours = train_in_new_process("blog", arguments), train_in_new_process("ours", arguments)
        speeds = [words * arguments.epochs / sum(updates for updates, _, _ in curve) for curve in (blog, ours)]
        reached = next((seconds for _, seconds, f1 in ours if f1 >= blog[-1][2]), float("inf"))
        ratios.append(speeds[1] / speeds[0])
        shares.append(reached / blog[-1][1])
        row = f"{speeds[0]:,.0f} | {speeds[1]:,.0f} | {ratios[-1]:.1f} | {blog[-1][2]:.3f} | {ours[-1][2]:.3f}"
        print(f"| {turn} | {row} | {shares[-1]:.3f} |", flush=True)
    print(f"words/s: {statistics.median(ratios):.1f} × ({min(ratios):.1f} to {max(ratios):.1f})")
    spread = f"{min(shares):.3f} to {max(shares):.3f}"
    print(f"time to the loop's final dev F1: {statistics.median(shares):.3f} of the loop's time ({spread})")


if __name__ == "__main__":
    main()
