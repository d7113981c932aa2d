"""Sentences as the rows that Spark NLP's annotators read, and what they answer as predictions."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from twinner.corpus import Sentence
from twinner.frameworks.contract import Prediction

# An annotation's offsets end inclusively. The annotators ask only that they agree with one another, so ours may count
# characters where Java counts UTF-16 units.
ANNOTATION = (
    "named_struct('annotatorType', '{type}', 'begin', {begin}, 'end', {end}, 'result', {result},"
    " 'metadata', map({metadata}), 'embeddings', cast(array() as array<float>))"
)
SCHEMA = (
    "id int, texts array<string>, begins array<int>, tokens array<string>, tags array<string>, starts array<int>,"
    " sentences array<string>"
)
OF_SENTENCES = "transform(sequence(0, size(texts) - 1), i -> {annotation})"
OF_TOKENS = "transform(sequence(0, size(tokens) - 1), i -> {annotation})"
Document = Sequence[Sentence]  # one behind the other, a character apart


def documents_frame(
    spark: SparkSession, documents: Sequence[Document], partitions: Sequence[Sequence[int]] | None = None
) -> DataFrame:
    """A row for each document: `id` (its position), `document` (its sentences), `token` and `label` as annotations.

    The sentences and tokens are the given ones. partitions: the positions of the documents in each partition of the
    frame; without it there is one, in order.
    """
    if partitions is None:
        partitions = [range(len(documents))]
    blocks = ["\n".join(_line(i, documents[i]) for i in partition) for partition in partitions if len(partition)]
    plain = frame_of_json(spark, blocks, SCHEMA)
    return plain.select(
        "id",
        _column("document", "document", OF_SENTENCES, *_span("begins", "texts"), "'sentence', string(i)"),
        _column("token", "token", OF_TOKENS, *_span("starts", "tokens"), "'sentence', sentences[i]"),
        _column(
            "label",
            "named_entity",
            OF_TOKENS,
            *_span("starts", "tokens")[:2],
            "tags[i]",
            "'sentence', sentences[i], 'word', tokens[i]",
        ),
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


def predictions(answers: DataFrame, documents: Sequence[Document]) -> list[list[Prediction]]:
    """One Prediction for each sentence of each document from the column `ner` of its row, told apart by `id`.

    A token is found by its offset, not by its place in the answer: embeddings may cut a long sentence short, and what
    they cut is `O`, with nothing known of its scores.
    """
    told = F.to_json(F.expr("transform(ner, n -> struct(n.begin, n.result, n.metadata))"))  # sooner read than rows are
    rows: dict[int, str] = {row.id: row.told for row in answers.select("id", told.alias("told")).collect()}
    answered = []
    for i, document in enumerate(documents):
        found = {annotation["begin"]: annotation for annotation in json.loads(rows.get(i, "[]"))}
        answered.append(
            [
                _prediction([found.get(begin + start) for start in sentence.starts])
                for sentence, begin in zip(document, _begins(document), strict=True)
            ]
        )
    return answered


def _prediction(annotations: Iterable[Mapping[str, Any] | None]) -> Prediction:
    """Of a sentence whose tokens have these annotations."""
    tags, confidence, scores = [], [], []
    for annotation in annotations:
        tag = "O" if annotation is None else annotation["result"]
        by_tag = {} if annotation is None else _scores(annotation["metadata"])
        tags.append(tag)
        confidence.append(by_tag.get(tag, 0.0))
        scores.append(by_tag)
    return Prediction(tuple(tags), tuple(confidence), tuple(scores))


def _scores(metadata: Mapping[str, str]) -> dict[str, float]:
    """The confidence of each tag, which stand among the rest of an annotation's metadata."""
    return {tag: float(score) for tag, score in metadata.items() if tag == "O" or tag[:2] in ("B-", "I-")}


def _line(id: int, document: Document) -> str:
    begins = _begins(document)
    fields = {
        "id": id,
        "texts": [sentence.text for sentence in document],
        "begins": begins,
        "tokens": [token for sentence in document for token in sentence.tokens],
        "tags": [tag for sentence in document for tag in sentence.tags],
        "starts": [
            begin + start for sentence, begin in zip(document, begins, strict=True) for start in sentence.starts
        ],
        "sentences": [str(i) for i, sentence in enumerate(document) for _ in sentence.tokens],
    }
    return json.dumps(fields)


def _begins(document: Document) -> list[int]:
    """Where each sentence of a document begins, in characters."""
    return list(itertools.accumulate((len(sentence.text) + 1 for sentence in document[:-1]), initial=0))


def _span(begins: str, texts: str) -> tuple[str, str, str]:
    """The first and last character and the text of the annotation of number i."""
    return f"{begins}[i]", f"{begins}[i] + length({texts}[i]) - 1", f"{texts}[i]"


def _column(name: str, type: str, over: str, begin: str, end: str, result: str, metadata: str) -> Column:
    """A column of annotations; the annotators know it by the type in its metadata."""
    annotation = ANNOTATION.format(type=type, begin=begin, end=end, result=result, metadata=metadata)
    return F.expr(over.format(annotation=annotation)).alias(name, metadata={"annotatorType": type})
