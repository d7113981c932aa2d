"""How time and memory grow with the corpus: `python benchmarks/scale.py eng.train eng.testa --times 1 4 16 --lang en`.

Trains on 1, 4 and 16 copies of a corpus, each in a process of its own, and prints the seconds of each phase and the
peak memory of the process and its children. Spark NLP embeds every copy; for spaCy, each distinct sentence is embedded
once, so the time of that phase does not grow here.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = Path(__file__).resolve().parents[1] / "steps"
sys.path.insert(0, str(STEPS))

from mlflow import MlflowClient  # noqa: E402
from twinner.training.memory import PeakMemory  # noqa: E402

PHASES = ("read", "embed", "train", "infer")


def repeated(corpus: Path, times: int, folder: Path) -> Path:
    """Write copies of a corpus to one file."""
    text = corpus.read_text(encoding="utf-8").rstrip("\n") + "\n\n"
    file = folder / f"{corpus.name}-{times}{corpus.suffix}"
    with file.open("w", encoding="utf-8") as output:
        for _ in range(times):
            output.write(text)
    return file


def train(framework: str, embeddings: str, corpus: Path, arguments: argparse.Namespace, folder: Path) -> str:
    """Train in a new process; return the row of the table."""
    command = [sys.executable, "-s", str(STEPS / f"{framework}_train.py"), "--corpus", str(corpus)]
    command += ["--test", str(Path(arguments.test).resolve()), "--lang", arguments.lang, "--epochs", "1"]
    command += ["--embeddings", embeddings]
    uri = f"sqlite:///{folder}/{framework}-{embeddings or 'none'}-{corpus.stem}.db"
    began = time.perf_counter()
    with PeakMemory() as memory:
        done = subprocess.run(
            command, cwd=folder, env=os.environ | {"MLFLOW_TRACKING_URI": uri}, stdout=subprocess.PIPE, text=True
        )
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        return f"failed with status {done.returncode} after {seconds:.0f} s |" + " |" * (len(PHASES) + 3)
    [run] = MlflowClient(uri).search_runs(["0"])
    phases = dict(re.findall(r"(\w+) ([\d.]+) s", done.stdout[done.stdout.rindex("\nphases") :].splitlines()[1]))
    kept = run.data.params["training_data"]
    numbers = " | ".join(f"{float(phases.get(phase, 0)):.0f}" for phase in PHASES)
    return f"{kept} | {numbers} | {seconds:.0f} | {memory.megabytes / 1000:.1f} | {run.data.metrics['test_f1']:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="a file in CoNLL format, such as eng.train")
    parser.add_argument("test", help="its test file, such as eng.testa")
    parser.add_argument("--lang", default="auto")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument(
        "--trainings",
        nargs="+",
        default=["spacy", "spacy:minilm", "sparknlp:word2vec", "sparknlp:minilm"],
        metavar="FRAMEWORK[:EMBEDDINGS]",
    )
    arguments = parser.parse_args()
    print(
        f"| training | corpus | data in | {' | '.join(f'{phase} (s)' for phase in PHASES)} | all (s) | peak (GB) | F1 |"
    )
    print("| --- | ---: | --- |" + " ---: |" * (len(PHASES) + 3), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for training in arguments.trainings:
            framework, _, embeddings = training.partition(":")
            for times in arguments.times:
                corpus = repeated(arguments.corpus.resolve(), times, Path(temporary))
                row = train(framework, embeddings, corpus, arguments, Path(temporary))
                print(f"| {training} | {times} × | {row}", flush=True)
                corpus.unlink()


if __name__ == "__main__":
    main()
