"""Wall time of sparknlp_train and of Spark NLP's MLflow guide done by hand, on the same data and settings.

    python benchmarks/sparknlp_vs_notebook.py eng.train eng.testa --embeddings minilm

By hand: one script with the cells of the guide, which starts a session, fits a pipeline that includes the embeddings,
saves, loads, transforms and writes, makes scikit-learn's report and charts from the log, and logs all to MLflow. Each
is timed as a whole process, with an MLflow store of its own. sparknlp_train runs twice: with an empty embedding cache,
and again with what the first run cached.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = Path(__file__).resolve().parents[1] / "steps"
sys.path.insert(0, str(STEPS))

DROP_RATE, LR, BATCH_SIZE = 0.5, 0.003, 32  # the step's defaults


def notebook(train: Path, test: Path, embeddings: str, epochs: int, folder: Path) -> None:
    """Run the guide's cells."""
    import matplotlib.pyplot as plt
    import mlflow
    import pandas as pd
    from pyspark.ml import Pipeline
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F
    from sklearn.metrics import classification_report
    from sparknlp.annotator import BertEmbeddings, NerDLApproach, NerDLModel, Word2VecApproach
    from sparknlp.training import CoNLL
    from twinner.encoders.minilm import minilm_folder
    from twinner.frameworks.sparknlp.embeddings import WORD2VEC_PASSES, WORD2VEC_SIZE
    from twinner.spark.jars import spark_jars
    from twinner.spark.java import java_home

    os.environ |= {"JAVA_HOME": str(java_home()), "TF_CPP_MIN_LOG_LEVEL": "3"}
    spark = (
        SparkSession.builder.master("local[*]")
        .config("spark.driver.memory", "12g")
        .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
        .config("spark.kryoserializer.buffer.max", "2000M")
        .config("spark.driver.maxResultSize", "0")
        .config("spark.jars", ",".join(map(str, spark_jars())))
        .getOrCreate()
    )
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    train_rows, test_rows = (CoNLL().readDataset(spark, str(file)) for file in (train, test))
    if embeddings == "minilm":
        embedder = BertEmbeddings.loadSavedModel(str(minilm_folder()), spark).setMaxSentenceLength(512)
        embedder.setCaseSensitive(False).setInputCols(["sentence", "token"]).setOutputCol("embeddings")
    else:
        embedder = Word2VecApproach().setVectorSize(WORD2VEC_SIZE).setMinCount(1).setMaxIter(WORD2VEC_PASSES)
        embedder.setInputCols(["token"]).setOutputCol("embeddings")
    ner = (
        NerDLApproach()
        .setInputCols(["sentence", "token", "embeddings"])
        .setLabelColumn("label")
        .setOutputCol("ner")
        .setMaxEpochs(epochs)
        .setLr(LR)
        .setBatchSize(BATCH_SIZE)
        .setDropout(1 - DROP_RATE)
        .setRandomSeed(0)
        .setValidationSplit(0.1)
        .setEvaluationLogExtended(True)
        .setEnableOutputLogs(True)
        .setIncludeConfidence(True)
        .setOutputLogsPath(str(folder / "logs"))
    )
    with mlflow.start_run():
        fitted = Pipeline(stages=[embedder, ner]).fit(train_rows)
        fitted.stages[1].write().overwrite().save(str(folder / "ner_model"))
        loaded = NerDLModel.load(str(folder / "ner_model"))
        loaded.setInputCols(["sentence", "token", "embeddings"]).setOutputCol("ner")
        predicted = Pipeline(stages=[fitted.stages[0], loaded]).fit(test_rows).transform(test_rows)
        predicted.write.mode("overwrite").parquet(str(folder / "inference.parquet"))
        pairs = spark.read.parquet(str(folder / "inference.parquet")).select(
            F.explode(F.arrays_zip(F.col("label.result").alias("gold"), F.col("ner.result").alias("predicted"))).alias(
                "t"
            )
        )
        frame = pairs.select("t.gold", "t.predicted").toPandas()
        frame["predicted"] = frame["predicted"].fillna("O")  # truncated by the embeddings
        report = classification_report(frame["gold"], frame["predicted"], output_dict=True, zero_division=0)
        log = next((folder / "logs").glob("*.log")).read_text()
        losses = [float(loss) for loss in re.findall(r"loss: ([\d.]+)", log)]
        scores = [float(f1) for f1 in re.findall(r"Micro-average.*f1: ([\d.]+)", log)]
        for name, values in (("loss", losses), ("f1", scores)):
            pd.Series(values).plot(title=name)
            plt.savefig(folder / f"{name}.jpg")
            plt.clf()
            mlflow.log_artifact(str(folder / f"{name}.jpg"))
        mlflow.log_params({"max_epochs": epochs, "lr": LR, "batch_size": BATCH_SIZE, "dropout": 1 - DROP_RATE})
        for tag, values in report.items():
            if isinstance(values, dict):
                mlflow.log_metrics({f"{tag}_{name}": value for name, value in values.items()})
        mlflow.log_artifacts(str(folder / "inference.parquet"), "inference.parquet")
        mlflow.log_artifacts(str(folder / "ner_model"), "ner_model")
        mlflow.spark.log_model(fitted, artifact_path="model")
    print(f"macro F1 {report['macro avg']['f1-score']:.4f}")


def timed(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, str]:
    """Run a command in a new folder; return its seconds and its output."""
    folder.mkdir()
    began = time.perf_counter()
    process = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if process.returncode:
        sys.exit(process.stderr[-3000:])
    return seconds, process.stdout


def write_part(source: Path, target: Path, sentences: int) -> None:
    """Write the first sentences of a column file in IOB2, which the guide's reader does not convert."""
    from twinner.corpus import read_corpus

    corpus = read_corpus(str(source), str(source), "en")
    part = corpus.test[: sentences or None]
    with target.open("w", encoding="utf-8") as out:
        out.write("-DOCSTART- -X- -X- O\n\n")
        for sentence in part:
            out.writelines(f"{token} X X {tag}\n" for token, tag in zip(sentence.tokens, sentence.tags, strict=True))
            out.write("\n")


def main() -> None:
    """Run the three, and print their times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path, help="a column file, such as eng.train")
    parser.add_argument("test", type=Path, help="a column file, such as eng.testa")
    parser.add_argument("--embeddings", choices=("word2vec", "minilm"), default="minilm")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--limit", type=int, default=3000, help="train on the first N sentences; 0: all")
    parser.add_argument("--only", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        notebook(arguments.train, arguments.test, arguments.embeddings, arguments.epochs, arguments.only)
        return
    from twinner.cache import cache_folder
    from twinner.encoders.minilm import minilm_folder
    from twinner.spark.jars import spark_jars

    spark_jars()  # exclude downloads from the time
    if arguments.embeddings == "minilm":
        minilm_folder()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train, test = folder / "train.conll", folder / "test.conll"
        write_part(arguments.train, train, arguments.limit)
        write_part(arguments.test, test, 0)
        cache = folder / "cache"
        cache.mkdir()
        for kept in ("jars", "natives", "models"):
            if cache_folder(kept).exists():
                (cache / kept).symlink_to(cache_folder(kept))
        settings = ["--embeddings", arguments.embeddings, "--epochs", str(arguments.epochs)]
        by_hand = [sys.executable, __file__, str(train), str(test), *settings, "--only", str(folder / "notebook")]
        step = [sys.executable, str(STEPS / "sparknlp_train.py"), "--corpus", str(train), "--test", str(test)]
        step += ["--lang", "en", "--log-text", "yes", *settings]
        runs = {"notebook": by_hand, "first run": step, "second run": step}
        seconds = {}
        for name, command in runs.items():
            place = folder / name.replace(" ", "-")
            seconds[name], printed = timed(command, place, {"TWINNER_CACHE": str(cache)})
            results = [line for line in printed.splitlines() if line.startswith(("macro F1", "test F1", "phases"))]
            print(f"{name:<11}{seconds[name]:7.1f} s  {seconds[name] / seconds['notebook']:.2f}  {'; '.join(results)}")
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
