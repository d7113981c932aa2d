"""Sentences as the rows that Spark NLP's annotators read, and what they answer as predictions."""

import json
from collections.abc import Iterable, Mapping, Sequence

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from twinner.corpus import Sentence
from twinner.training.trainer import Prediction

# An annotation's offsets end inclusively. The annotators ask only that they agree with one another, so ours may count
# characters where Java counts UTF-16 units.
ANNOTATION = (
    "named_struct('annotatorType', '{type}', 'begin', {begin}, 'end', {end}, 'result', {result},"
    " 'metadata', map({metadata}), 'embeddings', cast(array() as array<float>))"
)
OF_TOKENS = "transform(sequence(0, size(tokens) - 1), i -> {annotation})"


def sentences_frame(spark: SparkSession, sentences: Sequence[Sentence]) -> DataFrame:
    """A row for each sentence, in order: `id` (its position), `document`, `token` and `label` as annotations.

    The tokens are the given ones; a sentence is its own document.
    """
    lines = "\n".join(
        json.dumps({"id": i, "text": s.text, "tokens": s.tokens, "tags": s.tags, "starts": s.starts})
        for i, s in enumerate(sentences)
    )
    # Handed to Java as one text: createDataFrame would send every row through a Python process, for every job anew.
    jvm = spark._jvm
    texts = jvm.org.apache.commons.io.IOUtils.readLines(jvm.java.io.StringReader(lines))
    dataset = spark._jsparkSession.createDataset(texts, jvm.org.apache.spark.sql.Encoders.STRING())
    schema = "id int, text string, tokens array<string>, tags array<string>, starts array<int>"
    plain = DataFrame(spark._jsparkSession.read().schema(schema).json(dataset), spark)
    return plain.select(
        "id",
        _column("document", "document", "array({annotation})", "0", "length(text) - 1", "text", "'sentence', '0'"),
        _column("token", "token", OF_TOKENS, *_span_of_token, "tokens[i]", "'sentence', '0'"),
        _column("label", "named_entity", OF_TOKENS, *_span_of_token, "tags[i]", "'sentence', '0', 'word', tokens[i]"),
    )


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
    told = answers.select("id", F.expr("transform(ner, n -> struct(n.begin, n.result, n.metadata))").alias("ner"))
    rows: dict[int, Sequence[Row]] = {row.id: row.ner for row in told.collect()}
    return [_prediction(sentence, rows.get(i, ())) for i, sentence in enumerate(sentences)]


def _prediction(sentence: Sentence, annotations: Iterable[Row]) -> Prediction:
    found = {annotation.begin: annotation for annotation in annotations}
    tags, confidence, scores = [], [], []
    for start in sentence.starts:
        annotation = found.get(start)
        tag = "O" if annotation is None else annotation.result
        by_tag = {} if annotation is None else _scores(annotation.metadata)
        tags.append(tag)
        confidence.append(by_tag.get(tag, 0.0))
        scores.append(by_tag)
    return Prediction(tuple(tags), tuple(confidence), tuple(scores))


def _scores(metadata: Mapping[str, str]) -> dict[str, float]:
    """The confidence of each tag, which stand among the rest of an annotation's metadata."""
    return {tag: float(score) for tag, score in metadata.items() if tag == "O" or tag[:2] in ("B-", "I-")}
