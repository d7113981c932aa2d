"""NerDLApproach with the settings that make its training repeatable and its log complete."""

from pathlib import Path
from typing import TypeVar

from pyspark.sql import SparkSession
from sparknlp.annotator import NerDLApproach, NerDLModel

from twinner.spark.settings import is_local

LR_DECAY = 0.3  # the rate of epoch n is lr / (1 + 0.3 n); with Spark NLP's 0.005 the scores of late epochs still jump
A = TypeVar("A", NerDLApproach, NerDLModel)


def nerdl_approach(
    spark: SparkSession,
    graphs: Path,
    logs: Path,
    *,
    drop_rate: float,
    lr: float,
    epochs: int,
    batch_size: int,
    seed: int,
) -> NerDLApproach:
    """Return an approach for the columns `document`, `token`, `embeddings` and `label`.

    graphs: the folder with the seeded graph. logs: the folder for its log. The others: as for `SparkNlpTrainer`.
    """
    approach = (
        NerDLApproach()
        .setInputCols(["document", "token", "embeddings"])
        .setLabelColumn("label")
        .setOutputCol("ner")
        .setDropout(1 - drop_rate)  # Spark NLP's dropout is the share of units to keep
        .setLr(lr)
        .setPo(LR_DECAY)
        .setMaxEpochs(epochs)
        .setBatchSize(batch_size)
        .setRandomSeed(seed)  # orders the sentences; the graph has the other seeds
        .setGraphFolder(str(graphs))
        .setConfigProtoBytes(tensorflow_settings(spark))
        .setUseBestModel(True)
        .setBestModelMetric("test_micro_f1")  # unknown names are accepted, and keep the last epoch
        .setEvaluationLogExtended(True)
        .setEnableOutputLogs(True)
        .setOutputLogsPath(str(logs))
    )
    return with_confidence(approach, True)


def with_confidence(annotator: A, confidence: bool) -> A:
    """Let a NerDLApproach or NerDLModel give its confidence in every tag, or only the tags."""
    annotator.setIncludeConfidence(confidence).setIncludeAllConfidenceScores(confidence)
    return annotator


def tensorflow_settings(spark: SparkSession) -> list[int]:
    """Return a ConfigProto, in bytes, that makes training repeatable to the last digit.

    TensorFlow's graph optimizer lets threads order some sums. Without it, and with one thread per operation, an epoch
    takes no longer: the operations of these graphs are small and still run in parallel. As many of them run at once as
    Spark has cores here, so that training on `local[1]` leaves the other cores alone.
    """
    context = spark.sparkContext
    cores = context.defaultParallelism if is_local(context.master) else 0  # 0: all
    framework = spark._jvm.org.tensorflow.proto.framework
    rewriting = framework.RewriterConfig.newBuilder().setDisableMetaOptimizer(True)
    options = framework.GraphOptions.newBuilder().setRewriteOptions(rewriting)
    config = framework.ConfigProto.newBuilder().setGraphOptions(options)
    config.setIntraOpParallelismThreads(1).setInterOpParallelismThreads(cores)
    # The bundled graphs place some operations on a GPU; like Spark NLP's own settings, allow the CPU instead.
    return list(config.setAllowSoftPlacement(True).build().toByteArray())
