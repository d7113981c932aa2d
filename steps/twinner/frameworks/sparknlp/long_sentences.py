"""Keep sentences short enough for Spark NLP: its time grows with the square of their length.

NerDL looks each confidence up in a linked list of the batch, and NerConverter copies all tags for each token. 25,000
words without a full stop, as speech recognition writes them, would take a minute.
"""

import re

from pyspark.sql import Column
from pyspark.sql import functions as F

SENTENCE_END = "\f"  # a form feed, which is white space to every tokenizer; a bound of the pipeline's SentenceDetector
LONGEST = 1000  # characters without any of `.!?`; not within a word
# For Python and for Java alike. From the start of a word on, and `*+`: or a text without white space would take hours.
TOO_LONG = rf"(?<![^ \t\n\r])([^.!?{SENTENCE_END}]{{{LONGEST}}}[^ \t\n\r]*+)[ \t\n\r]"


def with_sentence_ends(text: str) -> str:
    """Return a text of the same length, with some white space of its long sentences turned into `SENTENCE_END`."""
    return re.sub(TOO_LONG, rf"\1{SENTENCE_END}", text)


def column_with_sentence_ends(text: str) -> Column:
    """Return the column `text` as `with_sentence_ends` does."""
    return F.regexp_replace(text, TOO_LONG, f"$1{SENTENCE_END}")
