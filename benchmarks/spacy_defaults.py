"""Which settings of spaCy's config serve NER best: `python benchmarks/spacy_defaults.py eng.train eng.testa base wide`.

Trains each named variant of our config in a new process and prints a table: the dev F1 of the best epoch, the test F1
if asked for, the time of the updates per epoch as CPU time, and the size of the model. A variant is a change or several
joined by `+`, in VARIANTS and PARAMETERS.
"""

import argparse
import copy
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

STEPS = Path(__file__).resolve().parents[1] / "steps"
sys.path.insert(0, str(STEPS))

from thinc.api import Config  # noqa: E402
from twinner.corpus import read_corpus  # noqa: E402
from twinner.evaluation.scores import entity_scores  # noqa: E402
from twinner.frameworks.contract import Epoch  # noqa: E402
from twinner.frameworks.spacy import loop, weights  # noqa: E402
from twinner.frameworks.spacy.trainer import SpacyTrainer  # noqa: E402

OURS = STEPS / "twinner" / "frameworks" / "spacy"
EMBED, ENCODE, NER = "components.tok2vec.model.embed", "components.tok2vec.model.encode", "components.ner.model"
RATE, SIZE = "training.optimizer.learn_rate", "training.batcher.size"
DECAY = {"@schedules": "warmup_linear.v1", "warmup_steps": 0, "total_steps": 1000, "initial_rate": 0.001}
PADDED = {
    "@batchers": "spacy.batch_by_padded.v1",
    "discard_oversize": False,
    "buffer": 256,
    "size": {"@schedules": "compounding.v1", "start": 100, "stop": 1000, "compound": 1.02},
    "get_length": None,
}

VARIANTS: Mapping[str, Mapping[str, object]] = {
    "base": {},
    "decay": {RATE: DECAY},
    "warmup": {RATE: DECAY | {"warmup_steps": 250}},
    "current": {"training.optimizer.use_averages": False},
    "wide": {f"{ENCODE}.width": 128},
    "wider": {f"{ENCODE}.width": 192},
    "narrow": {f"{ENCODE}.width": 64},
    "deep": {f"{ENCODE}.depth": 6},
    "flat": {f"{ENCODE}.depth": 2},
    "flat3": {f"{ENCODE}.depth": 3},
    "pieces2": {f"{ENCODE}.maxout_pieces": 2},
    "rows": {f"{EMBED}.rows": [20000, 1000, 5000, 2500]},
    "fewrows": {f"{EMBED}.rows": [2000, 500, 1000, 500]},
    "orth": {
        f"{EMBED}.attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE", "ORTH"],
        f"{EMBED}.rows": [5000, 1000, 2500, 2500, 5000],
    },
    "chars": {
        EMBED: {
            "@architectures": "spacy.CharacterEmbed.v2",
            "width": f"${{{ENCODE}.width}}",
            "rows": 5000,
            "nM": 32,
            "nC": 8,
            "include_static_vectors": False,
            "feature": "NORM",
        }
    },
    "hidden": {f"{NER}.hidden_width": 128},
    "hidden3": {f"{NER}.maxout_pieces": 3},
    "noupper": {f"{NER}.use_upper": False},
    "state": {f"{NER}.extra_state_tokens": True},
    "padded": {"training.batcher": PADDED},
    "slow": {"training.batcher.size.compound": 1.009},
    "nol2": {"training.optimizer.L2": 0.0},
    "l2": {"training.optimizer.L2": 0.1},
}
PARAMETERS: Mapping[str, Mapping[str, float]] = {
    "lr.002": {"lr": 0.002},
    "lr.003": {"lr": 0.003},
    "drop.1": {"drop_rate": 0.1},
    "drop.3": {"drop_rate": 0.3},
    "batch500": {"batch_size": 500},
    "batch300": {"batch_size": 300},
    "batch2000": {"batch_size": 2000},
}


def config_of(variant: str, start: str, folder: Path) -> str:
    """Write the config of a variant to a file, and return its path."""
    config = Config().from_disk(OURS / start, interpolate=False)
    for change in filter(lambda name: name not in PARAMETERS, variant.split("+")):
        for dotted, value in VARIANTS[change].items():
            section = config
            *parts, name = dotted.split(".")
            for part in parts:
                section = section[part]
            section[name] = copy.deepcopy(value)
    file = folder / "variant.cfg"
    config.to_disk(file)
    return str(file)


def train(variant: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Train a variant in this process, and return what the table shows."""
    corpus = read_corpus(arguments.train, arguments.test, arguments.lang)
    sentences = corpus.train[: arguments.limit or None]
    parameters: dict[str, Any] = {"drop_rate": 0.2, "lr": 0.001, "batch_size": 1000}
    for name in variant.split("+"):
        parameters |= PARAMETERS.get(name, {})
    run_epoch: Callable[[loop.TrainingLoop, int], float] = loop.TrainingLoop.run_epoch
    seconds: list[float] = []

    def timed(self: loop.TrainingLoop, number: int) -> float:
        began = time.process_time()
        loss = run_epoch(self, number)
        seconds.append(time.process_time() - began)
        return loss

    epochs: list[Epoch] = []
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(loop.TrainingLoop, "run_epoch", timed):
        config = config_of(variant, arguments.start, Path(folder))
        trainer = SpacyTrainer(
            corpus.lang, epochs=arguments.epochs, patience=0, seed=arguments.seed, config=config, **parameters
        )
        try:
            best = trainer.train(sentences, corpus.dev, epochs.append)
            row = {"dev_f1": epochs[best - 1].scores["dev_f1"], "seconds": statistics.mean(seconds)}
            arrays = weights.weights_of(trainer.pipeline()).values()
            row |= {"parameters": sum(array.size for array in arrays)}
            if arguments.score_test:
                predicted = [prediction.tags for prediction in trainer.predict(corpus.test)]
                gold = [sentence.tags for sentence in corpus.test]
                row["test_f1"] = entity_scores(gold, predicted, (), split="test")["test_f1"]
        finally:
            trainer.close()
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", help="a corpus, such as eng.train or demo")
    parser.add_argument("test", help="its test file, such as eng.testa; '' for the corpus's own")
    parser.add_argument("variants", nargs="+", help=", ".join((*VARIANTS, *PARAMETERS)))
    parser.add_argument("--start", default="default.cfg", help="the config that is changed: default.cfg or small.cfg")
    parser.add_argument("--lang", default="auto")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--limit", type=int, default=0, help="train on the first N sentences")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--score-test", action="store_true", help="only for the variants that dev has selected")
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        print(json.dumps(train(arguments.variants[0], arguments)))
        return
    print("| config | seed | dev F1 | test F1 | updates: s/epoch | parameters | MB |", flush=True)
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for variant in arguments.variants:
        for seed in arguments.seeds:
            command = [sys.executable, __file__, arguments.train, arguments.test, variant, f"--seed={seed}"]
            command += [f"--{name}={getattr(arguments, name)}" for name in ("start", "lang", "epochs", "limit")]
            command += ["--score-test"] if arguments.score_test else []
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            row = json.loads(done.stdout.splitlines()[-1])
            test = f"{row['test_f1']:.4f}" if "test_f1" in row else ""
            count = row["parameters"]
            line = f"{row['dev_f1']:.4f} | {test} | {row['seconds']:.1f} | {count:,} | {count * 4 / 1e6:.1f}"
            print(f"| {variant} | {seed} | {line} |", flush=True)


if __name__ == "__main__":
    main()
