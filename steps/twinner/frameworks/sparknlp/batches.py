"""Documents of sentences of about one length, so that the batches made of them hold less padding.

Spark NLP pads the sentences of a batch to the longest, and NerDLApproach the words to the longest word, too. It deals
sentences out to five classes of length, in the order in which documents come: another one each epoch, but the
sentences of a document stay together.
"""

from collections.abc import Sequence

from twinner.corpus import Sentence

DOCUMENT_SIZE = 8  # sentences: a quarter of the default batch; batches that stay the same are faster, but learn less


def documents_of_a_length(sentences: Sequence[Sentence]) -> list[list[int]]:
    """The positions of the sentences of each document, the shortest first.

    What counts are the tokens, then the longest word.
    """
    order = sorted(
        range(len(sentences)), key=lambda i: (len(sentences[i].tokens), max(map(len, sentences[i].tokens)), i)
    )
    return [order[at : at + DOCUMENT_SIZE] for at in range(0, len(order), DOCUMENT_SIZE)]
