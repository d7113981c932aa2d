"""Train both frameworks with several embeddings, one after the other, and compare scores, speed and memory.

    python benchmarks/embeddings.py eng.train --test eng.testa --lang en spacy: spacy:minilm spacy:vectors=en_md \
        sparknlp:word2vec sparknlp:minilm:4 sparknlp:minilm

Each training is a process of its own with the step's defaults, and writes to a store in a temporary folder. Vectors and
embeddings are kept in the cache, so the first training with an encoder on a corpus takes longer than the next one.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import mlflow

STEPS = Path(__file__).resolve().parent.parent / "steps"
METRICS = {
    "best_dev_f1": "dev F1",
    "test_f1": "test F1",
    "training_time": "training (s)",
    "train_words_per_second": "words/s, updates",
    "test_words_per_second": "words/s, test",
    "peak_memory_mb": "memory (MB)",
}


def main() -> None:
    """Print a row for each training, as soon as it has ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("trainings", nargs="+", help="spacy: or sparknlp:, then the embeddings or vectors=NAME")
    parser.add_argument("--test", default="")
    parser.add_argument("--lang", default="auto")
    parser.add_argument("--epochs", default="10")
    parser.add_argument("--limit", default="0")
    parser.add_argument("--seeds", default="0")
    given = parser.parse_args()
    corpus = str(given.corpus.absolute()) if given.corpus.exists() else str(given.corpus)
    test = str(Path(given.test).absolute()) if given.test else ""
    common = [f"--corpus={corpus}", f"--test={test}", f"--lang={given.lang}"]
    common += [f"--epochs={given.epochs}", f"--limit={given.limit}"]
    print("| training | seed |", " | ".join(METRICS.values()), "|")
    print("| --- | ---: |", " | ".join("---:" for _ in METRICS), "|")
    for training in given.trainings:
        for seed in given.seeds.split(","):
            metrics = train(training, [*common, f"--seed={seed}"])
            values = (f"{metrics[name]:.4f}" if name.endswith("f1") else f"{metrics[name]:,.0f}" for name in METRICS)
            print(f"| `{training}` | {seed} |", " | ".join(values), "|", flush=True)


def train(training: str, arguments: list[str]) -> dict[str, float]:
    """Run one training; return the metrics of its run."""
    step, _, embeddings = training.partition(":")
    name, _, value = embeddings.rpartition("=")
    if embeddings:
        arguments = [*arguments, f"--{name or 'embeddings'}={value}"]
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{folder}/mlflow.db"
        subprocess.run(
            [sys.executable, str(STEPS / f"{step}_train.py"), *arguments],
            env=os.environ | {"MLFLOW_TRACKING_URI": store},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        (run,) = mlflow.MlflowClient(store).search_runs(["0"])
        return dict(run.data.metrics)


if __name__ == "__main__":
    main()
