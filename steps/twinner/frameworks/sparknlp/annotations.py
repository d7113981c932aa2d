"""Convert sentences to rows for Spark NLP's annotators, and their output to predictions."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from twinner.corpus import Sentence, entities_of
from twinner.frameworks.contract import Prediction
from twinner.frameworks.sparknlp.confidence import entity_confidence

# Offsets end inclusively. They only have to be consistent, so ours may count characters where Java counts UTF-16 units.
ANNOTATION = (
    "named_struct('annotatorType', '{type}', 'begin', {begin}, 'end', {end}, 'result', {result},"
    " 'metadata', map({metadata}), 'embeddings', cast(array() as array<float>))"
)
SCHEMA = (
    "id int, texts array<string>, begins array<int>, tokens array<string>, tags array<string>, starts array<int>,"
    " sentences array<string>"
)
PER_SENTENCE = "transform(sequence(0, size(texts) - 1), i -> {annotation})"
PER_TOKEN = "transform(sequence(0, size(tokens) - 1), i -> {annotation})"
Document = Sequence[Sentence]  # consecutive, one character apart


def documents_frame(
    spark: SparkSession, documents: Sequence[Document], partitions: Sequence[Sequence[int]] | None = None
) -> DataFrame:
    """Return a row per document: `id` (its position) and the annotations `document` (sentences), `token` and `label`.

    partitions: the positions of the documents in each partition of the frame; by default one partition, in order.
    """
    if partitions is None:
        partitions = [range(len(documents))]
    blocks = ["\n".join(_json_line(i, documents[i]) for i in partition) for partition in partitions if len(partition)]
    plain = json_lines_frame(spark, blocks, SCHEMA)
    return plain.select(
        "id",
        _column("document", "document", PER_SENTENCE, *_span("begins", "texts"), "'sentence', string(i)"),
        _column("token", "token", PER_TOKEN, *_span("starts", "tokens"), "'sentence', sentences[i]"),
        _column(
            "label",
            "named_entity",
            PER_TOKEN,
            *_span("starts", "tokens")[:2],
            "tags[i]",
            "'sentence', sentences[i], 'word', tokens[i]",
        ),
    )


def json_lines_frame(spark: SparkSession, blocks: Sequence[str], schema: str) -> DataFrame:
    """Return a frame of JSON lines, with a partition per block of lines.

    Java gets them as text: createDataFrame would send every row through a Python process, again for every job.
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


def collect_predictions(
    output: DataFrame, documents: Sequence[Document], confidence: bool = True
) -> list[list[Prediction]]:
    """Return a Prediction per sentence of each document, from the column `ner` of the row with its `id`.

    Tokens are matched by offset, not by position: embeddings may truncate a long sentence. Truncated tokens are `O`
    and have no scores. confidence: whether the column has the confidence in every tag.
    """
    as_json = F.to_json(F.expr("transform(ner, n -> struct(n.begin, n.result, n.metadata))"))  # faster than rows
    rows: dict[int, str] = {row.id: row.ner for row in output.select("id", as_json.alias("ner")).collect()}
    collected = []
    for i, document in enumerate(documents):
        found = {annotation["begin"]: annotation for annotation in json.loads(rows.get(i, "[]"))}
        collected.append(
            [
                _prediction([found.get(begin + start) for start in sentence.starts], confidence)
                for sentence, begin in zip(document, _sentence_offsets(document), strict=True)
            ]
        )
    return collected


def _prediction(annotations: Iterable[Mapping[str, Any] | None], with_confidence: bool) -> Prediction:
    """Return the prediction for a sentence from the annotations of its tokens."""
    if not with_confidence:
        return Prediction(tuple("O" if annotation is None else annotation["result"] for annotation in annotations))
    tags, confidence, scores = [], [], []
    for annotation in annotations:
        tag = "O" if annotation is None else annotation["result"]
        by_tag = {} if annotation is None else _scores(annotation["metadata"])
        tags.append(tag)
        confidence.append(by_tag.get(tag, 0.0))
        scores.append(by_tag)
    of_entities = tuple(entity_confidence(confidence[start:end]) for start, end, _ in entities_of(tags))
    return Prediction(tuple(tags), tuple(confidence), tuple(scores), of_entities)


def _scores(metadata: Mapping[str, str]) -> dict[str, float]:
    """Return the confidence of each tag; an annotation's metadata has other entries too."""
    return {tag: float(score) for tag, score in metadata.items() if tag == "O" or tag[:2] in ("B-", "I-")}


def _json_line(id: int, document: Document) -> str:
    begins = _sentence_offsets(document)
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


def _sentence_offsets(document: Document) -> list[int]:
    """Return the offset of each sentence in its document, in characters."""
    return list(itertools.accumulate((len(sentence.text) + 1 for sentence in document[:-1]), initial=0))


def _span(begins: str, texts: str) -> tuple[str, str, str]:
    """Return SQL for the first and last character and the text of annotation i."""
    return f"{begins}[i]", f"{begins}[i] + length({texts}[i]) - 1", f"{texts}[i]"


def _column(name: str, type: str, over: str, begin: str, end: str, result: str, metadata: str) -> Column:
    """Return a column of annotations; annotators recognize it by the type in its metadata."""
    annotation = ANNOTATION.format(type=type, begin=begin, end=end, result=result, metadata=metadata)
    return F.expr(over.format(annotation=annotation)).alias(name, metadata={"annotatorType": type})
