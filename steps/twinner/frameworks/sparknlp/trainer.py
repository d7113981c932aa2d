"""Training with Spark NLP: embeddings of the corpus, and NerDLApproach on them."""

import functools
import itertools
import json
import re
import shutil
import sys
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pyspark
import sparknlp
from py4j.protocol import Py4JError, Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.wrapper import JavaEstimator, JavaTransformer
from pyspark.sql import DataFrame, SparkSession
from sparknlp.annotator import NerConverter, NerDLApproach, NerDLModel, SentenceDetector, Tokenizer
from sparknlp.base import DocumentAssembler

from twinner.cache import cache_folder
from twinner.corpus import Sentence
from twinner.errors import BadInput
from twinner.evaluation.scores import token_scores
from twinner.frameworks.contract import Epoch, Prediction, check_reloaded, sample_of
from twinner.frameworks.sparknlp import batches, training_log
from twinner.frameworks.sparknlp import graph as graphs_of
from twinner.frameworks.sparknlp.annotations import frame_of_json, predictions
from twinner.frameworks.sparknlp.embedding_cache import EmbeddingCache
from twinner.frameworks.sparknlp.embeddings import Embedder, check_name
from twinner.phases import phase
from twinner.spark.file_server import DriverFiles
from twinner.spark.session import check_settings, java_cause, spark_session, stop_session, take_over

PUNCTUATION = ".,;:!?*-()\"'"  # what Spark NLP's tokenizer takes off both ends of a word, by default too
P = ParamSpec("P")
R = TypeVar("R")
LR_DECAY = 0.3  # after n epochs the learning rate is lr / (1 + 0.3 n); with Spark NLP's 0.005 late epochs still jump


def _telling_java_errors(method: Callable[P, R]) -> Callable[P, R]:
    """Raise RuntimeError for an error in Java: its words must be had before the session is closed."""

    @functools.wraps(method)
    def telling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except (Py4JError, PySparkException) as error:
            raise RuntimeError(f"Spark NLP failed: {java_cause(error)}") from None

    return telling


class SparkNlpTrainer:
    """Spark NLP as the outline drives it (see `Trainer`): one object trains one model.

    drop_rate: the share of units dropped, from 0 to below 1. lr: the learning rate of the first epoch. epochs,
    batch_size: in passes and sentences. seed: of the embeddings, of the order of the sentences, of the initial
    weights and of the dropout; equal seeds give equal models. embeddings: `word2vec`, which is trained on the training
    sentences, or as `Embedder` takes them, for a corpus in the language `lang`; embedding_cache: whether they are kept
    for the next run. spark_master, driver_memory, spark_conf: as `spark_session` takes them.
    """

    framework = "sparknlp"

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
    ) -> None:
        check_name(embeddings)
        check_settings(spark_master, driver_memory, spark_conf)
        self.drop_rate = drop_rate
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.seed = seed
        self.lang = lang
        self._session_settings = (spark_master, driver_memory, spark_conf)
        self._owns_session = False
        self._files: DriverFiles | None = None
        self._work = Path(tempfile.mkdtemp(prefix="twinner-sparknlp-"))
        self._embeddings = embeddings
        self._embedder: Embedder | None = None
        self._work_cache = EmbeddingCache(self._work / "embeddings", limit=sys.maxsize)
        self._cache = EmbeddingCache(cache_folder("embeddings")) if embedding_cache else self._work_cache
        self._trained: NerDLModel | None = None
        self._reloaded: NerDLModel | None = None
        self._log: Path | None = None
        self._sample: tuple[Sentence, ...] = ()
        self._whole_tokens: list[str] = []

    @property
    def versions(self) -> Mapping[str, str]:
        """The versions of what trains; Java's is that of the session."""
        java = self._spark._jvm.java.lang.System.getProperty("java.version")
        return {"spark-nlp": sparknlp.version(), "pyspark": pyspark.__version__, "java": java}

    @_telling_java_errors
    def train(self, train: Sequence[Sentence], dev: Sequence[Sentence], on_epoch: Callable[[Epoch], None]) -> int:
        """Train, calling `on_epoch` in this thread as soon as an epoch's evaluation is in the log of Spark NLP.

        The best epoch is the one that Spark NLP keeps: of those with the best micro-averaged token F1 on dev the last.
        Raises BadInput where no graph of NerDLApproach fits the data.
        """
        spark = self._spark
        embedder = self._embedder = Embedder(
            spark, self._embeddings, self.lang, self.seed, self._cache, self._work_cache, self._uri
        )
        graph = graphs_of.fitting_graph(spark, train, embedder.dimension)  # first, since what follows takes long
        graphs = self._work / "graph"
        graphs.mkdir()
        graphs_of.write_seeded(spark, graph, self.seed, graphs)

        self._sample = sample_of(train, dev)
        self._whole_tokens = _whole_tokens(train)
        embedder.prepare(train)
        approach = self._approach(graphs, embedder.embedded_file(dev))
        self._log = self._work / "logs" / f"{approach.uid}.log"
        _seed_scala(spark, self.seed)
        # NerDLApproach sorts a partition by its first column, `id`: always the same order, if there is but one.
        rows = embedder.embedded(train).coalesce(1).cache()  # it reads them twice
        fit = _Fit(approach, rows)
        fit.start()
        logged = []
        for epoch in training_log.follow(self._log, fit.is_alive):
            logged.append(epoch)
            on_epoch(_epoch(epoch))
        self._trained = fit.result()
        rows.unpersist()
        if len(logged) != self.epochs:
            raise RuntimeError(f"Spark NLP logged {len(logged)} of {self.epochs} epochs")
        return training_log.best_epoch(logged)

    @_telling_java_errors
    def save(self, folder: Path) -> None:
        """Write `ner_model/`, which NerDLModel.load reads, and `ner.log`, what NerDLApproach logged."""
        assert self._trained is not None
        assert self._log is not None
        self._trained.write().overwrite().save(self._uri(folder / "ner_model"))
        shutil.copyfile(self._log, folder / "ner.log")

    @_telling_java_errors
    def load(self, folder: Path) -> None:
        """Load `ner_model/` back; raises RuntimeError if it predicts otherwise than the model that was saved."""
        reloaded = NerDLModel.load(self._uri(folder / "ner_model"))
        if self._trained is not None:
            saved, loaded = self._ask(self._sample, self._trained, reloaded)
            check_reloaded(self._sample, saved, loaded)
        self._reloaded = reloaded

    @_telling_java_errors
    def predict(self, sentences: Sequence[Sentence]) -> list[Prediction]:
        """Predict given tokens, with the confidence of every tag; tokens that the embeddings cut off are `O`."""
        assert self._reloaded is not None
        (predicted,) = self._ask(sentences, self._reloaded)
        if cut := sum(not scores for prediction in predicted for scores in prediction.scores or ()):
            warnings.warn(
                f"{cut} tokens have no embedding, most likely as their sentence is too long: they are predicted as O",
                stacklevel=2,
            )
        return predicted

    @_telling_java_errors
    def pipeline(self) -> PipelineModel:
        """From the column `text` to `entities`, sentence by sentence, with the model that was loaded back."""
        assert self._embedder is not None
        assert self._reloaded is not None
        stages = [
            *_splitters(self._whole_tokens),
            self._embedder.annotator,
            self._reloaded.setBatchSize(self.batch_size),
            NerConverter().setInputCols(["document", "token", "ner"]).setOutputCol("entities"),
        ]
        empty = self._spark.createDataFrame([], "text string")
        return Pipeline(stages=stages).fit(empty)

    @property
    def save_options(self) -> Mapping[str, Any]:
        """On a cluster, where MLflow has the executors write the model."""
        if self._files is None:
            return {}
        folder = self._files.uri(self._work / "mlflow")
        # MLflow copies the model from Hadoop's default file system. Set only now: NerDLApproach writes its log there.
        self._spark._jsc.hadoopConfiguration().set("fs.defaultFS", folder)
        return {"dfs_tmpdir": folder}

    @_telling_java_errors
    def tokens(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The tokens that the pipeline splits raw texts into."""
        lines = [json.dumps({"id": i, "text": text}) for i, text in enumerate(texts)]
        cores = self._spark.sparkContext.defaultParallelism
        blocks = ["\n".join(lines[core::cores]) for core in range(min(cores, len(lines)))]
        rows = frame_of_json(self._spark, blocks, "id int, text string")
        split = Pipeline(stages=_splitters(self._whole_tokens)).fit(rows).transform(rows)
        found = {row.id: tuple(row.tokens) for row in split.selectExpr("id", "token.result as tokens").collect()}
        return [found[i] for i in range(len(texts))]

    def close(self) -> None:
        """Stop the Spark session, if it was started here, and remove what was written on the way."""
        if self._owns_session:
            stop_session()
            self._owns_session = False
        if self._files is not None:
            self._files.close()
        self._cache.close()
        self._work_cache.close()
        shutil.rmtree(self._work, ignore_errors=True)

    def _uri(self, path: Path) -> str:
        """What Spark calls a path: on a cluster, the executors read and write it through this process."""
        if self._files is None and not self._spark.sparkContext.master.startswith("local"):
            self._files = DriverFiles(self._spark.sparkContext.master)
        return path.absolute().as_uri() if self._files is None else self._files.uri(path)

    @property
    def _spark(self) -> SparkSession:
        if not take_over():
            return spark_session()
        self._owns_session = True
        with phase("session"):
            return spark_session(*self._session_settings)

    def _approach(self, graphs: Path, dev_file: str) -> NerDLApproach:
        return (
            NerDLApproach()
            .setInputCols(["document", "token", "embeddings"])
            .setLabelColumn("label")
            .setOutputCol("ner")
            .setDropout(1 - self.drop_rate)  # Spark NLP's dropout is the share of units that is kept
            .setLr(self.lr)
            .setPo(LR_DECAY)
            .setMaxEpochs(self.epochs)
            .setBatchSize(self.batch_size)
            .setRandomSeed(self.seed)  # of the order of the sentences; the rest is seeded in the graph
            .setGraphFolder(str(graphs))
            .setConfigProtoBytes(_tensorflow_settings(self._spark))
            .setTestDataset(dev_file)
            .setUseBestModel(True)
            .setBestModelMetric("test_micro_f1")  # a name that is none is taken too, and keeps the last epoch
            .setIncludeConfidence(True)
            .setIncludeAllConfidenceScores(True)
            .setEvaluationLogExtended(True)
            .setEnableOutputLogs(True)
            .setOutputLogsPath(str(self._work / "logs"))
        )

    def _ask(self, sentences: Sequence[Sentence], *models: NerDLModel) -> list[list[Prediction]]:
        """What each model predicts, a Prediction a sentence."""
        assert self._embedder is not None
        embedded = self._embedder.embedded(sentences)
        order = batches.documents_of_a_length(sentences)
        documents = [[sentences[i] for i in document] for document in order]
        predicted = []
        for model in models:
            model.setBatchSize(max(1, self.batch_size // batches.DOCUMENT_SIZE))  # in rows, which are documents here
            answers = predictions(model.transform(embedded), documents)
            by_position = dict(zip(itertools.chain(*order), itertools.chain(*answers), strict=True))
            predicted.append([by_position[i] for i in range(len(sentences))])
        return predicted


class _Fit(threading.Thread):
    """The training, in a thread of its own: the main thread follows the log, and is there for Ctrl-C."""

    def __init__(self, approach: NerDLApproach, rows: DataFrame) -> None:
        super().__init__(daemon=True)  # Ctrl-C must end the process; closing the session ends the training
        self._approach = approach
        self._rows = rows
        self._model: NerDLModel | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._model = self._approach.fit(self._rows)
        except Exception as error:
            self._error = error

    def result(self) -> NerDLModel:
        """The trained model; raises what the training raised."""
        self.join()
        if isinstance(self._error, Py4JJavaError) and "OutOfMemoryError" in self._error.java_exception.toString():
            raise BadInput("Java ran out of memory in training", "give it more with driver_memory, or train on less")
        if self._error is not None:
            raise self._error
        return self._model


def _whole_tokens(train: Sequence[Sentence]) -> list[str]:
    """The tokens that Spark NLP's tokenizer would take punctuation off, as from `Dr.`, though they are rather one.

    Rather: more often one token in the training data than two, as `30.` may be at the end of a sentence.
    """
    whole = Counter(token for sentence in train for token in sentence.tokens)
    broken = Counter(first + second for sentence in train for first, second in itertools.pairwise(sentence.tokens))
    return sorted(token for token, count in whole.items() if _would_break(token) and count > broken[token])


def _would_break(token: str) -> bool:
    outer = token[0] in PUNCTUATION or token[-1] in PUNCTUATION
    return outer and not all(character in PUNCTUATION for character in token) and not re.search(r"\s", token)


def _splitters(whole_tokens: Sequence[str]) -> list[JavaTransformer | JavaEstimator]:
    """From the column `text` to `document`, which has an annotation for each sentence, and `token`."""
    return [
        DocumentAssembler().setInputCol("text").setOutputCol("text_document"),
        SentenceDetector().setInputCols(["text_document"]).setOutputCol("document"),
        _tokenizer(whole_tokens),
    ]


def _tokenizer(whole_tokens: Sequence[str]) -> Tokenizer:
    """Spark NLP's tokenizer, which takes punctuation off words, but for words that are tokens of the training data."""
    tokenizer = Tokenizer().setInputCols(["document"]).setOutputCol("token").setContextChars(list(PUNCTUATION))
    if whole_tokens:
        # One expression for all: the tokenizer asks each of its exceptions about each word.
        tokenizer.setExceptions([f"(?:{'|'.join(map(re.escape, whole_tokens))})"])
    return tokenizer


def _seed_scala(spark: SparkSession, seed: int) -> None:
    """Seed the random numbers that all of the session share, with which NerDLApproach orders what it reads.

    It seeds them itself only before the first epoch, when it has read the data once, in a random order, to number the
    tags and characters as it met them; and the weights that a tag or character gets depend on its number.
    """
    getattr(getattr(spark._jvm.scala.util, "Random$"), "MODULE$").setSeed(seed)


def _tensorflow_settings(spark: SparkSession) -> list[int]:
    """Settings that make equal trainings equal to the last digit: a ConfigProto, in bytes.

    TensorFlow's graph optimizer leaves the order of some sums to its threads. Without it, and with one thread for each
    operation, an epoch takes no longer (the operations of these graphs are small, and still run side by side).
    As many run at once as Spark has cores here, so that a training on `local[1]` leaves the other cores to others.
    """
    cores = spark.sparkContext.defaultParallelism if spark.sparkContext.master.startswith("local") else 0  # 0: all
    framework = spark._jvm.org.tensorflow.proto.framework
    rewriting = framework.RewriterConfig.newBuilder().setDisableMetaOptimizer(True)
    options = framework.GraphOptions.newBuilder().setRewriteOptions(rewriting)
    config = framework.ConfigProto.newBuilder().setGraphOptions(options)
    config.setIntraOpParallelismThreads(1).setInterOpParallelismThreads(cores)
    # The bundled graphs name a GPU in places; Spark NLP's own settings, which these replace, allow the processor too.
    return list(config.setAllowSoftPlacement(True).build().toByteArray())


def _epoch(logged: training_log.LoggedEpoch) -> Epoch:
    return Epoch(
        number=logged.number,
        loss=logged.loss,
        seconds=logged.update_seconds + logged.evaluation_seconds,
        update_seconds=logged.update_seconds,
        scores=token_scores(logged.counts, prefix="dev_token"),
    )
