"""Training data in rows of several sentences of about one length, so that the batches made of them hold less padding.

NerDLApproach pads the sentences of a batch to the longest, and the words to the longest word. It deals sentences out to
five classes of length for that, in the order in which they come: another one each epoch, but a row comes as a whole.
"""

import json
from collections.abc import Iterator, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from twinner.corpus import Sentence
from twinner.training.annotations import frame_of_json

COLUMNS = ("document", "token", "embeddings", "label")
ROWS_IN_A_BATCH = 4  # batches that are one row each, the same in each epoch, are faster still, but learn less
PLACES = "id int, row int, place int, shift int"
# The annotations of a sentence moved to its place in a row: offsets behind those before it, and a number of its own.
MOVED = (
    "transform({name}, a -> named_struct('annotatorType', a.annotatorType, 'begin', a.begin + shift,"
    " 'end', a.end + shift, 'result', a.result, 'metadata',"
    " transform_values(a.metadata, (key, value) -> if(key = 'sentence', string(place), value)),"
    " 'embeddings', a.embeddings))"
)
GATHERED = "array_sort(collect_list(struct(place, {names})), (one, other) -> one.place - other.place)"


def grouped_rows(rows: DataFrame, sentences: Sequence[Sentence], batch_size: int) -> DataFrame:
    """The rows of `Embedder.embedded`, those of some sentences in one, which is a document of as many sentences.

    The first column, `row`, orders them; they are in one partition. batch_size: of NerDLApproach, in sentences.
    """
    size = max(1, batch_size // ROWS_IN_A_BATCH)
    lines = "\n".join(map(json.dumps, _places(sentences, size)))
    places = frame_of_json(rows.sparkSession, [lines], PLACES)
    moved = [F.expr(MOVED.format(name=name)).alias(name) for name in COLUMNS]
    # In one partition before it is grouped, so that nothing is shuffled between tasks.
    placed = rows.join(F.broadcast(places), "id").select("row", "place", *moved).coalesce(1)
    gathered = placed.groupBy("row").agg(F.expr(GATHERED.format(names=", ".join(COLUMNS))).alias("sentences"))
    return gathered.select("row", *(_column(rows, name) for name in COLUMNS))


def by_length(sentences: Sequence[Sentence]) -> list[int]:
    """The positions of the sentences, ordered by their tokens and their longest word: what a batch is padded to."""
    return sorted(
        range(len(sentences)), key=lambda i: (len(sentences[i].tokens), max(map(len, sentences[i].tokens)), i)
    )


def _column(rows: DataFrame, name: str) -> Column:
    return F.flatten(F.col(f"sentences.{name}")).alias(name, metadata=rows.schema[name].metadata)


def _places(sentences: Sequence[Sentence], size: int) -> Iterator[dict[str, int]]:
    """Where each sentence goes: to which row, at which place in it, and behind how many characters."""
    order = by_length(sentences)
    for row, at in enumerate(range(0, len(order), size)):
        shift = 0
        for place, i in enumerate(order[at : at + size]):
            yield {"id": i, "row": row, "place": place, "shift": shift}
            shift += len(sentences[i].text) + 1
