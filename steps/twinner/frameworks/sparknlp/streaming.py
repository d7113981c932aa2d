"""Train NerDLApproach's network on embedded rows that are read from disk again in each epoch.

NerDLApproach collects all rows in Java's memory. With its `setEnableMemoryOptimizer` it reads them in each epoch, but
shuffles them with random numbers that can't be seeded, so that no training repeats. Spark NLP has no public class that
trains on the caller's batches; this module uses the private ones that NerDLApproach itself consists of.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import DataFrame, SparkSession
from sparknlp.annotator import NerDLApproach, NerDLModel
from tqdm import tqdm

from twinner.corpus import Sentence, word_count
from twinner.errors import BadInput

NUMBER = 24  # bytes of a vector's number in a collected row
TOKEN = 2_500  # bytes of a token in a collected row, without its vector
BUFFER = 800_000_000  # bytes of collected rows in memory at a time
HEAP_SHARE = 0.6  # of Java's memory that collected rows may take


def seed_scala(spark: SparkSession, seed: int) -> None:
    """Seed Scala's global random numbers, with which NerDLApproach orders the rows that it has read."""
    jvm: Any = spark._jvm
    _module(jvm.scala.util, "Random").setSeed(seed)


def rows_memory(sentences: Iterable[Sentence], dimension: int) -> int:
    """Return the bytes of Java's memory that the embedded rows of sentences take when they are collected."""
    return word_count(sentences) * (dimension * NUMBER + TOKEN)


def does_not_fit_in_memory(spark: SparkSession, sentences: Iterable[Sentence], dimension: int) -> bool:
    """Return whether the rows of sentences have to be read from disk in each epoch, and print so.

    Raises BadInput if Java has not even the memory for that.
    """
    jvm: Any = spark._jvm
    heap = jvm.java.lang.Runtime.getRuntime().maxMemory()
    wanted = rows_memory(sentences, dimension)
    if wanted <= heap * HEAP_SHARE:
        return False
    if heap < 2 * BUFFER:
        raise BadInput(
            f"the embedded sentences take {wanted / 1e9:.1f} GB, and Java has {heap / 1e9:.1f} GB of memory:"
            " too little even to read them from disk in parts",
            "give driver_memory=2g or more, or train on less",
        )
    tqdm.write(
        f"the embedded sentences would take {wanted / 1e9:.1f} GB of Java's {heap / 1e9:.1f} GB of memory:"
        " read from disk again in each epoch"
    )
    return True


class RowFiles:
    """Embedded rows in Parquet files of similar size."""

    def __init__(self, spark: SparkSession, files: Sequence[str], memory: int) -> None:
        """files: their URIs. memory: the bytes that all their rows take when they are collected."""
        self.spark = spark
        self._files = files
        self._at_once = max(1, len(files) * BUFFER // max(1, memory))
        self._schema = spark.read.parquet(files[0]).schema

    def chunks(self, order: random.Random | None = None) -> Iterator[DataFrame]:
        """Yield frames that fit into memory and have all rows together; order: shuffles the files."""
        files = list(self._files)
        if order is not None:
            order.shuffle(files)
        for at in range(0, len(files), self._at_once):
            rows = self.spark.read.schema(self._schema).parquet(*files[at : at + self._at_once])
            yield rows.coalesce(1).sortWithinPartitions("id")  # Spark reads files in the order of their sizes


def fit_streamed(
    approach: NerDLApproach,
    sentences: Sequence[Sentence],
    train: RowFiles,
    dev: RowFiles,
    storage_ref: str,
) -> NerDLModel:
    """Train with the parameters of an approach, write its log, and return the model of the best epoch.

    sentences: those of `train`. dev: evaluated in place of the approach's `testDataset`. storage_ref: identifies the
    embeddings. The approach's `randomSeed` decides the order of the rows.
    """
    spark = train.spark
    jvm: Any = spark._jvm
    value = approach.getOrDefault
    (graph,) = Path(value("graphFolder")).iterdir()
    ensure_callback_server_started(spark.sparkContext._gateway)
    jvm.com.johnsnowlabs.nlp.annotators.ner.dl.LoadsContrib.loadContribToCluster(spark._jsparkSession)
    tensorflow = jvm.com.johnsnowlabs.ml.tensorflow
    no_bytes = spark.sparkContext._gateway.new_array(jvm.byte, 0, 0)  # type: ignore[union-attr]
    untrained = tensorflow.TensorflowWrapper(tensorflow.Variables(no_bytes, b""), bytearray(graph.read_bytes()))
    encoding = _encoding(spark, sentences, dimension=int(graph.name.split("_")[2]))
    verbosity = jvm.com.johnsnowlabs.nlp.annotators.ner.Verbose.Silent()
    training = tensorflow.TensorflowNer(untrained, tensorflow.NerDatasetEncoder(encoding), verbosity)
    batches = _Batches(spark, value("labelColumn"), value("inputCols"), value("batchSize"), value("randomSeed"))
    no_batches = _module(jvm.scala.collection, "Iterator").empty()
    try:
        session = training.train(
            _Function(lambda call: batches.of(train, epoch=call)),
            len(sentences),
            _Function(lambda _: no_batches),  # of a part of the training data that validates
            0,
            value("lr"),
            value("po"),
            value("dropout"),
            value("batchSize"),
            value("useBestModel"),
            value("bestModelMetric"),
            0,
            value("maxEpochs"),
            str(graph),
            _Function(lambda _: batches.of(dev)),
            jvm.scala.Some(bytearray(byte % 256 for byte in value("configProtoBytes"))),
            0.0,
            value("evaluationLogExtended"),
            False,
            value("enableOutputLogs"),
            value("outputLogsPath"),
            approach.uid,
        )
    except Py4JError:
        if batches.error is None:
            raise
        raise batches.error from None
    weights = tensorflow.TensorflowWrapper.extractVariablesSavedModel(session)
    model = jvm.com.johnsnowlabs.nlp.annotators.ner.dl.NerDLModel()
    model.setDatasetParams(encoding)
    model.setModelIfNotSet(spark._jsparkSession, tensorflow.TensorflowWrapper(weights, untrained.graph()))
    model.setStorageRef(storage_ref)
    return (
        NerDLModel(java_model=model)
        .setInputCols(value("inputCols"))
        .setOutputCol(value("outputCol"))
        .setIncludeConfidence(value("includeConfidence"))
        .setIncludeAllConfidenceScores(value("includeAllConfidenceScores"))
    )


class _Batches:
    """Makes Scala iterators over batches for the network."""

    def __init__(self, spark: SparkSession, label: str, columns: Sequence[str], size: int, seed: int) -> None:
        self._spark = spark
        self._jvm: Any = spark._jvm
        self._label = label
        self._columns = columns
        self._size = size
        self._seed = seed
        self.error: Exception | None = None  # which Java reports as text only

    def of(self, rows: RowFiles, epoch: int = 0) -> Any:
        """Return an iterator over the batches of all rows, in the random order of an epoch."""
        order = random.Random(repr((self._seed, epoch)))
        of_chunks = _JavaIterator(self._of_chunk(chunk, order) for chunk in rows.chunks(order))
        collection = self._jvm.scala.collection
        flattening = getattr(collection, "TraversableOnce$FlattenOps")
        return flattening(collection.JavaConverters.asScalaIterator(of_chunks)).flatten()

    def _of_chunk(self, chunk: DataFrame, order: random.Random) -> Any:
        try:
            rows = chunk.select(self._label, *self._columns)._jdf.collect()
        except Exception as error:
            self.error = error
            raise
        seed_scala(self._spark, order.getrandbits(32))
        columns = self._jvm.scala.Predef.wrapRefArray(self._jvm.PythonUtils.toArray(self._columns))
        return self._jvm.com.johnsnowlabs.nlp.annotators.common.NerTagged.iterateOnArray(rows, columns, self._size)


class _Function:
    """A function without arguments for Scala; `call` gets the number of earlier calls."""

    def __init__(self, call: Callable[[int], Any]) -> None:
        self._call = call
        self._calls = 0

    def apply(self) -> Any:
        self._calls += 1
        return self._call(self._calls - 1)

    class Java:
        implements = ("scala.Function0",)


class _JavaIterator:
    """An iterator for Java."""

    def __init__(self, values: Iterator[Any]) -> None:
        self._values = values
        self._next: list[Any] = []

    def hasNext(self) -> bool:
        if not self._next:
            self._next = list(itertools.islice(self._values, 1))
        return bool(self._next)

    def next(self) -> Any:
        self.hasNext()
        return self._next.pop()

    class Java:
        implements = ("java.util.Iterator",)


def _encoding(spark: SparkSession, sentences: Sequence[Sentence], dimension: int) -> Any:
    """Return the numbering of tags and characters for the network: in their own order, so that it is repeatable."""
    jvm: Any = spark._jvm
    predef = _module(jvm.scala, "Predef")
    tags = sorted({tag for sentence in sentences for tag in sentence.tags})
    characters = "".join(
        sorted({character for sentence in sentences for token in sentence.tokens for character in token})
    )
    padding = spark.sparkContext._gateway.new_array(jvm.float, dimension)
    return jvm.com.johnsnowlabs.ml.tensorflow.DatasetEncoderParams(
        jvm.PythonUtils.toSeq(tags).toList(),
        predef.wrapString(characters).distinct().toList(),
        predef.wrapFloatArray(padding).toList(),
        dimension,
        "O",
    )


def _module(package: Any, name: str) -> Any:
    """Return a Scala object."""
    return getattr(getattr(package, f"{name}$"), "MODULE$")
