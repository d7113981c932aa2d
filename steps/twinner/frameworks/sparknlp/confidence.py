"""The confidence in an entity that Spark NLP finds, from that in its tokens."""

from collections.abc import Iterable


def entity_confidence(tokens: Iterable[float]) -> float:
    """Return the confidence in an entity, from 0 to 1. tokens: that in the tag of each of its tokens.

    It is the smallest one. NerDL scores the tags of neighbours together, so they are not independent: on CoNLL-2003 the
    product is too low, and tells right entities from wrong ones less well.
    """
    return min(tokens)
