"""Speed and memory of `predict` beside the bare libraries: `python benchmarks/predict.py eng.train --test eng.testa`.

The sentences of a corpus, repeated to 20,000 and 200,000 lines of text, are predicted with a model of each framework
that was trained on the corpus for one epoch. Beside it: `nlp.pipe` in one process, and Spark NLP's `transform` written
to parquet, each without the time to start and to load the model; `predict` starts its Python processes in its time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = Path(__file__).resolve().parents[1] / "steps"
sys.path.insert(0, str(STEPS))

from twinner.corpus import read_corpus  # noqa: E402
from twinner.training.memory import PeakMemory  # noqa: E402

SIZES = (20_000, 200_000)


def write_texts(corpus: Path, test: str, lang: str, lines: int, file: Path) -> int:
    """Write so many sentences, one a line; return their tokens."""
    sentences = read_corpus(str(corpus), test, lang).train
    tokens = 0
    with file.open("w", encoding="utf-8") as out:
        for number in range(lines):
            sentence = sentences[number % len(sentences)]
            tokens += len(sentence.tokens)
            out.write(sentence.text.replace("\n", " ") + "\n")
    return tokens


def train(framework: str, arguments: argparse.Namespace, folder: Path) -> Path:
    """Train for an epoch; return the folder of the model."""
    exported = folder / framework
    command = [sys.executable, "-s", str(STEPS / f"{framework}_train.py"), "--corpus", str(arguments.corpus)]
    command += ["--test", arguments.test, "--lang", arguments.lang, "--epochs", "1", "--export", str(exported)]
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return exported / "model"


def predict(model: Path, texts: Path, folder: Path) -> tuple[float, float, float]:
    """Return texts a second, seconds in all, and the peak memory in GB."""
    output = folder / f"found-{texts.stem}-{model.parent.name}"
    command = [sys.executable, "-s", str(STEPS / "predict.py"), "--model", str(model), "--input", str(texts)]
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    began = time.perf_counter()
    with PeakMemory() as memory:
        subprocess.run(
            [*command, "--output", str(output)], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
        )
    seconds = time.perf_counter() - began
    rate = json.loads((output / "summary.json").read_text())["texts_per_second"]
    return rate, seconds, memory.megabytes / 1000


def bare(framework: str, model: Path, texts: Path) -> float:
    """Return texts a second of the library alone, in a process of its own."""
    command = [sys.executable, __file__, str(texts), "--only", framework, "--model", str(model)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def bare_spacy(model: Path, texts: Path) -> float:
    import spacy

    nlp = spacy.load(model / "model.spacy")
    lines = texts.read_text(encoding="utf-8").splitlines()
    began = time.perf_counter()
    with nlp.memory_zone():
        sum(len(doc.ents) for doc in nlp.pipe(lines))
    return len(lines) / (time.perf_counter() - began)


def bare_sparknlp(model: Path, texts: Path) -> float:
    from pyspark.ml import PipelineModel
    from twinner.spark.session import spark_session, stop_session
    from twinner.spark.settings import optimized

    spark = spark_session(spark_conf=optimized(""))  # as Java is without our settings
    pipeline = PipelineModel.load(str(model / "sparkml"))
    rows = spark.read.text(str(texts)).withColumnRenamed("value", "text")
    # As users of Spark do, so that all cores work; the file is too small for Spark to split it.
    rows = rows.repartition(4 * spark.sparkContext.defaultParallelism)
    lines = rows.count()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        pipeline.transform(rows).select("text", "entities").write.parquet(f"{folder}/found")
        seconds = time.perf_counter() - began
    stop_session()
    return lines / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--test", default="")
    parser.add_argument("--lang", default="en")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--frameworks", nargs="+", default=["spacy", "sparknlp"])
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print({"spacy": bare_spacy, "sparknlp": bare_sparknlp}[arguments.only](arguments.model, arguments.corpus))
        return
    arguments.corpus = arguments.corpus.resolve()
    arguments.test = str(Path(arguments.test).resolve()) if arguments.test else ""
    print("| model | texts | library (words/s) | predict (words/s) | ratio | predict in all (s) | peak (GB) |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for framework in arguments.frameworks:
            model = train(framework, arguments, folder)
            for lines in arguments.sizes:
                texts = folder / f"{lines}.txt"
                words = write_texts(arguments.corpus, arguments.test, arguments.lang, lines, texts) / lines
                rate, seconds, memory = predict(model, texts, folder)
                alone = bare(framework, model, texts)
                numbers = (
                    f"{alone * words:,.0f} | {rate * words:,.0f} | {rate / alone:.2f} | {seconds:.0f} | {memory:.2f}"
                )
                print(f"| {framework} | {lines:,} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
