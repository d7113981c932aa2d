"""Sentences grouped into documents by length, so that batches need less padding.

Spark NLP pads the sentences of a batch to the longest one, and NerDLApproach also pads the words to the longest word.
It sorts sentences into five classes of length, visiting the documents in a new order each epoch, but keeps the
sentences of a document together.
"""

from collections.abc import Sequence

from twinner.corpus import Sentence

DOCUMENT_SIZE = 8  # sentences: a quarter of the default batch; with fixed batches training is faster, but learns less


def group_by_length(sentences: Sequence[Sentence]) -> list[list[int]]:
    """Return the positions of the sentences of each document, shortest first: by tokens, then by the longest word."""
    order = sorted(
        range(len(sentences)), key=lambda i: (len(sentences[i].tokens), max(map(len, sentences[i].tokens)), i)
    )
    return [order[at : at + DOCUMENT_SIZE] for at in range(0, len(order), DOCUMENT_SIZE)]
