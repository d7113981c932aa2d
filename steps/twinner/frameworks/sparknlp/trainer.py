"""Train NerDLApproach on embeddings of the corpus."""

import functools
import itertools
import json
import shutil
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pyspark
import sparknlp
from py4j.protocol import Py4JError, Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import SparkSession
from sparknlp.annotator import NerConverter, NerDLApproach, NerDLModel

from twinner.corpus import Sentence
from twinner.encoders.embedding_cache import open_cache
from twinner.encoders.find import FoundEncoder
from twinner.errors import BadInput
from twinner.evaluation.scores import token_scores
from twinner.frameworks.contract import Epoch, Prediction, check_reloaded, reload_sample
from twinner.frameworks.sparknlp import batches, training_log
from twinner.frameworks.sparknlp.annotations import collect_predictions, json_lines_frame
from twinner.frameworks.sparknlp.approach import nerdl_approach, with_confidence
from twinner.frameworks.sparknlp.embeddings import Embedder, check_name, exported_encoder
from twinner.frameworks.sparknlp.graph import fitting_graph, write_seeded
from twinner.frameworks.sparknlp.streaming import (
    RowFiles,
    does_not_fit_in_memory,
    fit_streamed,
    rows_memory,
    seed_scala,
)
from twinner.frameworks.sparknlp.tokenization import tokenizer_stages, tokens_to_keep_whole
from twinner.phases import phase
from twinner.spark.jars import read_lock
from twinner.spark.session import check_machine, claim_session, java_cause, spark_path, spark_session, stop_session
from twinner.spark.settings import check_settings, is_local
from twinner.temporary import remove_folder, temporary_folder

PREDICTED_AT_ONCE = 4  # sentences, by the saved pipeline; it pads them to the longest: 32 take a fifth more time
COMPUTING_JARS = ("spark-nlp_2.12", "tensorflow-core-api", "onnxruntime")  # all are locked; these decide the digits
MODEL, LOG = "ner_model", "ner.log"  # what `save` writes
Fit = Callable[[], NerDLModel]
P = ParamSpec("P")
R = TypeVar("R")


def _convert_java_errors(method: Callable[P, R]) -> Callable[P, R]:
    """Raise RuntimeError with the message of a Java error, which can't be read once the session is stopped."""

    @functools.wraps(method)
    def converting(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (Py4JError, PySparkException) as error:
            raise RuntimeError(f"Spark NLP failed: {java_cause(error)}") from None

    return converting


class SparkNlpTrainer:
    """Spark NLP as a `Trainer`: one object trains one model.

    drop_rate: the share of units dropped, from 0 to below 1. lr: the learning rate of the first epoch. epochs,
    batch_size: in passes and sentences. seed: of the embeddings, the order of the sentences, the initial weights and
    the dropout; equal seeds give equal models. embeddings: `word2vec`, trained on the training sentences, or any other
    name that `Embedder` takes, for a corpus in the language `lang`. embedding_cache: whether to keep embeddings for
    later runs. spark_master, driver_memory, spark_conf: as for `spark_session`. finished: the folder with what `save`
    wrote for an equal training whose results got lost, after `load` had checked it: used instead of training again.
    """

    framework = "sparknlp"
    training_data = "memory"
    processes = 1

    def __init__(
        self,
        *,
        drop_rate: float = 0.5,
        lr: float = 0.003,
        epochs: int = 10,
        batch_size: int = 32,
        seed: int = 0,
        embeddings: str = "word2vec",
        embedding_cache: bool = True,
        lang: str = "xx",
        spark_master: str = "local[*]",
        driver_memory: str = "auto",
        spark_conf: str = "",
        finished: Path | None = None,
    ) -> None:
        check_name(embeddings)
        check_settings(spark_master, driver_memory, spark_conf)
        check_machine(spark_conf)
        self.drop_rate = drop_rate
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.seed = seed
        self.lang = lang
        self._session_settings = (spark_master, driver_memory, spark_conf)
        self._owns_session = False
        self._embeddings = embeddings
        self._embedder: Embedder | None = None
        self._cache = open_cache() if embedding_cache else None
        self._work = temporary_folder("sparknlp")
        self._trained: NerDLModel | None = None
        self._reloaded: NerDLModel | None = None
        self._log: Path | None = None
        self._sample: tuple[Sentence, ...] = ()
        self._keep_whole: list[str] = []
        self._finished = finished

    @property
    def versions(self) -> Mapping[str, str]:
        """The versions of Spark NLP, PySpark, the session's Java, the jars that compute, and an encoder's export."""
        java = self._spark._jvm.java.lang.System.getProperty("java.version")
        jars = {f"{jar.artifact}-jar": jar.version for jar in read_lock() if jar.artifact in COMPUTING_JARS}
        embeddings = {"embeddings": self._encoder.description} if self._encoder else {}
        return {"spark-nlp": sparknlp.version(), "pyspark": pyspark.__version__, "java": java, **jars, **embeddings}

    @_convert_java_errors
    def train(self, train: Sequence[Sentence], dev: Sequence[Sentence], on_epoch: Callable[[Epoch], None]) -> int:
        """Train, calling `on_epoch` in this thread as soon as Spark NLP has logged an epoch's evaluation.

        The best epoch is the one that Spark NLP keeps: the last of those with the best micro-averaged token F1 on dev,
        over the tokens that have an embedding.
        Raises BadInput if no graph of NerDLApproach fits the data.
        """
        spark = self._spark
        embedder = self._embedder = Embedder(
            spark,
            self._encoder.name if self._encoder else self._embeddings,
            self.lang,
            self.seed,
            self._cache,
            self._work / "embeddings",
        )
        graph = fitting_graph(spark, train, embedder.dimension)  # fails early: the rest takes long
        self._sample = reload_sample(train, dev)
        self._keep_whole = tokens_to_keep_whole(train)
        if does_not_fit_in_memory(spark, [*train, *dev], embedder.dimension):
            self.training_data = "disk"
        embedder.prepare(train)
        truncated = embedder.truncated_tags(dev)
        _warn_of_truncated(truncated.total())
        if self._finished is not None:
            self._reloaded = NerDLModel.load(spark_path(self._finished / MODEL))
            self._log = self._finished / LOG
            return self._follow(lambda: False, truncated, on_epoch)
        graphs = self._work / "graph"
        graphs.mkdir()
        write_seeded(spark, graph, self.seed, graphs)
        approach = nerdl_approach(
            spark,
            graphs,
            self._work / "logs",
            drop_rate=self.drop_rate,
            lr=self.lr,
            epochs=self.epochs,
            batch_size=self.batch_size,
            seed=self.seed,
        )
        self._log = self._work / "logs" / f"{approach.uid}.log"
        prepare = self._in_memory if self.training_data == "memory" else self._on_disk
        training = _TrainingThread(prepare(approach, train, dev))
        training.start()
        best_epoch = self._follow(training.is_running, truncated, on_epoch)
        self._trained = training.result()
        return best_epoch

    def _follow(
        self, is_running: Callable[[], bool], truncated: Mapping[str, int], on_epoch: Callable[[Epoch], None]
    ) -> int:
        """Pass on the epochs that a training logs until it ends; return the number of the best one."""
        assert self._log is not None
        logged = []
        for epoch in training_log.follow(self._log, is_running):
            logged.append(epoch)
            on_epoch(_epoch(epoch, truncated))
        if len(logged) != self.epochs:
            raise RuntimeError(f"Spark NLP logged {len(logged)} of {self.epochs} epochs")
        return training_log.best_epoch(logged)

    @_convert_java_errors
    def save(self, folder: Path) -> None:
        """Write `ner_model/`, for `NerDLModel.load`, and `ner.log`, the log of NerDLApproach."""
        assert self._log is not None
        if self._finished is not None:
            shutil.copytree(self._finished / MODEL, folder / MODEL, dirs_exist_ok=True)
        else:
            assert self._trained is not None
            self._trained.write().overwrite().save(spark_path(folder / MODEL))
        shutil.copyfile(self._log, folder / LOG)

    @_convert_java_errors
    def load(self, folder: Path) -> None:
        """Load `ner_model/`; raise RuntimeError if its predictions differ from those of the trained model."""
        if self._finished is not None:  # `train` has loaded it
            return
        assert self._spark  # a session of ours, if none is running
        reloaded = NerDLModel.load(spark_path(folder / MODEL))
        if self._trained is not None:
            saved, loaded = self._predict_with(self._sample, self._trained, reloaded, confidence=False)
            check_reloaded(saved, loaded)
        self._reloaded = reloaded

    @_convert_java_errors
    def predict(self, sentences: Sequence[Sentence], confidence: bool = True) -> list[Prediction]:
        """Predict given tokens, with the confidence of every tag; tokens without an embedding are `O`.

        Without confidence it takes a third less time.
        """
        model = self._reloaded or self._trained
        assert model is not None
        (predicted,) = self._predict_with(sentences, model, confidence=confidence)
        _warn_of_truncated(sum(not scores for prediction in predicted for scores in prediction.scores or ()))
        return predicted

    @_convert_java_errors
    def pipeline(self) -> PipelineModel:
        """Return the pipeline from the column `text` to `entities`, with the loaded model."""
        assert self._embedder is not None
        assert self._reloaded is not None
        stages = [
            *tokenizer_stages(self._keep_whole),
            self._embedder.annotator,
            with_confidence(self._reloaded.setBatchSize(PREDICTED_AT_ONCE), True),
            NerConverter().setInputCols(["document", "token", "ner"]).setOutputCol("entities"),
        ]
        empty = self._spark.createDataFrame([], "text string")
        return Pipeline(stages=stages).fit(empty)

    @property
    def requirements(self) -> Sequence[str]:
        """None besides those of Spark NLP, which runs every encoder."""
        return ()

    @property
    def save_options(self) -> Mapping[str, Any]:
        """Where MLflow has the executors of a cluster write the model, to copy it from there."""
        if is_local(self._spark.sparkContext.master):
            return {}
        folder = spark_path(self._work / "mlflow")
        # MLflow copies from Hadoop's default file system. Set only now: NerDLApproach writes its log there too.
        self._spark._jsc.hadoopConfiguration().set("fs.defaultFS", folder)
        return {"dfs_tmpdir": folder}

    @_convert_java_errors
    def tokens(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the tokens that the pipeline splits raw texts into."""
        lines = [json.dumps({"id": i, "text": text}) for i, text in enumerate(texts)]
        cores = self._spark.sparkContext.defaultParallelism
        blocks = ["\n".join(lines[core::cores]) for core in range(min(cores, len(lines)))]
        rows = json_lines_frame(self._spark, blocks, "id int, text string")
        split = Pipeline(stages=tokenizer_stages(self._keep_whole)).fit(rows).transform(rows)
        tokens = {row.id: tuple(row.tokens) for row in split.selectExpr("id", "token.result as tokens").collect()}
        return [tokens[i] for i in range(len(texts))]

    def close(self) -> None:
        """Stop the Spark session, if this trainer started it, and remove temporary files."""
        if self._owns_session:
            stop_session()
            self._owns_session = False
        if self._cache is not None:
            self._cache.close()
        remove_folder(self._work)

    @functools.cached_property
    def _encoder(self) -> FoundEncoder | None:
        """The encoder's export, looked up once: a branch of a hub may move meanwhile."""
        return exported_encoder(self._embeddings)

    @property
    def _spark(self) -> SparkSession:
        if not claim_session():
            return spark_session()
        self._owns_session = True
        with phase("session"):
            return spark_session(*self._session_settings)

    def _in_memory(self, approach: NerDLApproach, train: Sequence[Sentence], dev: Sequence[Sentence]) -> Fit:
        assert self._embedder is not None
        spark = self._spark
        approach.setTestDataset(self._embedder.embedded_file(dev))
        # NerDLApproach sorts each partition by its first column, `id`: a single one always gives the same order.
        rows = self._embedder.embedded(train).coalesce(1).cache()  # read twice

        def fit() -> NerDLModel:
            # NerDLApproach seeds them itself only before the first epoch. By then it has read the data once, in random
            # order, and numbered tags and characters as it met them; their initial weights depend on these numbers.
            seed_scala(spark, self.seed)
            try:
                return approach.fit(rows)
            finally:
                rows.unpersist()

        return fit

    def _on_disk(self, approach: NerDLApproach, train: Sequence[Sentence], dev: Sequence[Sentence]) -> Fit:
        embedder = self._embedder
        assert embedder is not None
        train_rows, dev_rows = (
            RowFiles(self._spark, embedder.parts(sentences), rows_memory(sentences, embedder.dimension))
            for sentences in (train, dev)
        )
        storage_ref = embedder.annotator.getStorageRef()
        return lambda: fit_streamed(approach, train, train_rows, dev_rows, storage_ref)

    def _predict_with(
        self, sentences: Sequence[Sentence], *models: NerDLModel, confidence: bool
    ) -> list[list[Prediction]]:
        """Return the predictions of each model, one per sentence."""
        assert self._embedder is not None
        embedded = self._embedder.embedded(sentences)
        order = batches.group_by_length(sentences)
        documents = [[sentences[i] for i in document] for document in order]
        predicted = []
        for model in models:
            model.setBatchSize(max(1, self.batch_size // batches.DOCUMENT_SIZE))  # in rows, which are documents here
            output = with_confidence(model, confidence).transform(embedded)
            by_document = collect_predictions(output, documents, confidence)
            by_position = dict(zip(itertools.chain(*order), itertools.chain(*by_document), strict=True))
            predicted.append([by_position[i] for i in range(len(sentences))])
        return predicted


class _TrainingThread(threading.Thread):
    """Trains in the background, while the main thread follows the log and can be interrupted by Ctrl-C."""

    def __init__(self, fit: Fit) -> None:
        super().__init__(daemon=True)  # Ctrl-C must end the process; stopping the session ends the training
        self._fit = fit
        self._model: NerDLModel | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._model = self._fit()
        except Exception as error:
            self._error = error

    def is_running(self) -> bool:
        """Return whether the training is still running; raise its error if it has failed."""
        if self.is_alive():
            return True
        self.result()
        return False

    def result(self) -> NerDLModel:
        """Wait for the training; return its model, or raise its error."""
        self.join()
        if isinstance(self._error, Py4JJavaError) and "OutOfMemoryError" in self._error.java_exception.toString():
            raise BadInput("Java ran out of memory in training", "give it more with driver_memory, or train on less")
        if self._error is not None:
            raise self._error
        return self._model


def _warn_of_truncated(tokens: int) -> None:
    if tokens:
        problem = "beyond the maximum sentence length of the embeddings: predicted as O"
        warnings.warn(f"{tokens} tokens are {problem}", stacklevel=3)


def _epoch(logged: training_log.LoggedEpoch, truncated: Mapping[str, int]) -> Epoch:
    """Convert a logged epoch, and count the tokens that it does not cover as `O`: a false negative of their tag."""
    counts = dict.fromkeys(truncated, (0, 0, 0)) | dict(logged.counts)
    counts = {tag: (hits, wrong, missed + truncated.get(tag, 0)) for tag, (hits, wrong, missed) in counts.items()}
    return Epoch(
        number=logged.number,
        loss=logged.loss,
        seconds=logged.update_seconds + logged.evaluation_seconds,
        update_seconds=logged.update_seconds,
        scores=token_scores(counts),
    )
