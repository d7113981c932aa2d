"""What NerDLApproach gains from grouping sentences by length: `python benchmarks/nerdl_batches.py eng.train eng.testa`.

Compares the step's training, with documents of sentences of similar length, to one sentence per row as in Spark NLP's
guides; both alternate in one session on the same embeddings. Prints the seconds of the updates per epoch (the median
without the first epoch, which warms up), the best token F1 on dev, and the entity F1 on test.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

STEPS = Path(__file__).resolve().parents[1] / "steps"
sys.path.insert(0, str(STEPS))

from twinner.corpus import Corpus, Sentence, read_corpus  # noqa: E402
from twinner.evaluation.scores import entity_scores  # noqa: E402
from twinner.frameworks.contract import Epoch  # noqa: E402
from twinner.frameworks.sparknlp import batches  # noqa: E402
from twinner.frameworks.sparknlp import trainer as sparknlp  # noqa: E402
from twinner.spark.session import spark_session, stop_session  # noqa: E402


def train_once(
    corpus: Corpus, train: Sequence[Sentence], arguments: argparse.Namespace, seed: int
) -> tuple[float, str]:
    """Return the seconds of the updates per epoch, and a line about the training."""
    trainer = sparknlp.SparkNlpTrainer(epochs=arguments.epochs, seed=seed, embeddings=arguments.embeddings, lang="en")
    epochs: list[Epoch] = []
    trainer.train(train, corpus.dev, epochs.append)
    with tempfile.TemporaryDirectory() as folder:
        trainer.save(Path(folder))
        trainer.load(Path(folder))
    predicted = [prediction.tags for prediction in trainer.predict(corpus.test)]
    trainer.close()
    gold = [sentence.tags for sentence in corpus.test]
    f1 = entity_scores(gold, predicted, corpus.labels, split="test")["test_f1"]
    dev = max(epoch.scores["dev_token_f1"] for epoch in epochs)
    seconds = statistics.median(epoch.update_seconds for epoch in epochs[1:] or epochs)
    return seconds, f"{seconds:6.1f} s an epoch, dev token F1 {dev:.4f}, test F1 {f1:.4f}"


def main() -> None:
    """Train both ways for each seed, and compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", help="a column file, such as eng.train")
    parser.add_argument("test", help="a column file, such as eng.testa")
    parser.add_argument("--embeddings", default="word2vec")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--limit", type=int, default=3000, help="train on the first N sentences; 0: all")
    parser.add_argument("--seeds", type=int, default=1, help="trainings with different seeds, each way")
    arguments = parser.parse_args()
    corpus = read_corpus(arguments.train, arguments.test, "en")
    train = corpus.train[: arguments.limit or None]
    spark_session()
    ratios = []
    for seed in range(arguments.seeds):
        with mock.patch.object(batches, "DOCUMENT_SIZE", 1):
            before, line = train_once(corpus, train, arguments, seed)
        print(f"seed {seed}  one sentence per row  {line}", flush=True)
        after, line = train_once(corpus, train, arguments, seed)
        print(f"seed {seed}  grouped by length     {line}", flush=True)
        ratios.append(after / before)
    print("ratio of the seconds:", ", ".join(f"{ratio:.2f}" for ratio in ratios))
    stop_session()


if __name__ == "__main__":
    main()
