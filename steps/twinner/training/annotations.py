"""Sentences as the rows that Spark NLP's annotators read, and what they answer as predictions."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from twinner.corpus import Sentence
from twinner.training.trainer import Prediction

# An annotation's offsets end inclusively. The annotators ask only that they agree with one another, so ours may count
# characters where Java counts UTF-16 units.
ANNOTATION = (
    "named_struct('annotatorType', '{type}', 'begin', {begin}, 'end', {end}, 'result', {result},"
    " 'metadata', map({metadata}), 'embeddings', cast(array() as array<float>))"
)
SCHEMA = "id int, text string, tokens array<string>, tags array<string>, starts array<int>"
OF_TOKENS = "transform(sequence(0, size(tokens) - 1), i -> {annotation})"


def sentences_frame(
    spark: SparkSession, sentences: Sequence[Sentence], partitions: Sequence[Sequence[int]] | None = None
) -> DataFrame:
    """A row for each sentence: `id` (its position), `document`, `token` and `label` as annotations.

    The tokens are the given ones; a sentence is its own document. partitions: the positions of the sentences in each
    partition of the frame; without it there is one, in order.
    """
    if partitions is None:
        partitions = [range(len(sentences))]
    blocks = ["\n".join(_line(i, sentences[i]) for i in partition) for partition in partitions if len(partition)]
    plain = frame_of_json(spark, blocks, SCHEMA)
    return plain.select(
        "id",
        _column("document", "document", "array({annotation})", "0", "length(text) - 1", "text", "'sentence', '0'"),
        _column("token", "token", OF_TOKENS, *_span_of_token, "tokens[i]", "'sentence', '0'"),
        _column("label", "named_entity", OF_TOKENS, *_span_of_token, "tags[i]", "'sentence', '0', 'word', tokens[i]"),
    )


def frame_of_json(spark: SparkSession, blocks: Sequence[str], schema: str) -> DataFrame:
    """Rows of JSON, a line each; a block of lines for each partition.

    Handed to Java as text: createDataFrame would send every row through a Python process, for every job anew.
    """
    jvm: Any = spark._jvm
    texts = jvm.java.util.ArrayList()
    for block in blocks:
        texts.add(block)
    context = jvm.org.apache.spark.api.java.JavaSparkContext.fromSparkContext(spark._jsc.sc())
    spread = context.parallelize(texts, max(1, len(blocks))).rdd()
    dataset = spark._jsparkSession.createDataset(spread, jvm.org.apache.spark.sql.Encoders.STRING())
    lines = DataFrame(dataset.toDF(), spark).select(F.explode(F.split("value", "\n")).alias("line"))
    return lines.select(F.from_json("line", schema).alias("row")).select("row.*")


def _line(id: int, sentence: Sentence) -> str:
    fields = {"id": id, "text": sentence.text, "tokens": sentence.tokens, "tags": sentence.tags}
    return json.dumps(fields | {"starts": sentence.starts})


_span_of_token = ("starts[i]", "starts[i] + length(tokens[i]) - 1")


def _column(name: str, type: str, over: str, begin: str, end: str, result: str, metadata: str) -> Column:
    """A column of annotations; the annotators know it by the type in its metadata."""
    annotation = ANNOTATION.format(type=type, begin=begin, end=end, result=result, metadata=metadata)
    return F.expr(over.format(annotation=annotation)).alias(name, metadata={"annotatorType": type})


def predictions(answers: DataFrame, sentences: Sequence[Sentence]) -> list[Prediction]:
    """One Prediction a sentence from the column `ner` of its row, told apart by `id`.

    A token is found by its offset, not by its place in the answer: embeddings may cut a long sentence short, and what
    they cut is `O`, with nothing known of its scores.
    """
    told = F.to_json(F.expr("transform(ner, n -> struct(n.begin, n.result, n.metadata))"))  # sooner read than rows are
    rows: dict[int, str] = {row.id: row.told for row in answers.select("id", told.alias("told")).collect()}
    return [_prediction(sentence, json.loads(rows.get(i, "[]"))) for i, sentence in enumerate(sentences)]


def _prediction(sentence: Sentence, annotations: Iterable[Mapping[str, Any]]) -> Prediction:
    found = {annotation["begin"]: annotation for annotation in annotations}
    tags, confidence, scores = [], [], []
    for start in sentence.starts:
        annotation = found.get(start)
        tag = "O" if annotation is None else annotation["result"]
        by_tag = {} if annotation is None else _scores(annotation["metadata"])
        tags.append(tag)
        confidence.append(by_tag.get(tag, 0.0))
        scores.append(by_tag)
    return Prediction(tuple(tags), tuple(confidence), tuple(scores))


def _scores(metadata: Mapping[str, str]) -> dict[str, float]:
    """The confidence of each tag, which stand among the rest of an annotation's metadata."""
    return {tag: float(score) for tag, score in metadata.items() if tag == "O" or tag[:2] in ("B-", "I-")}
