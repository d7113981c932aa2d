"""How the saved pipeline splits raw text into the tokens that the training data has."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence

from pyspark.ml.wrapper import JavaEstimator, JavaTransformer
from sparknlp.annotator import SentenceDetector, Tokenizer
from sparknlp.base import DocumentAssembler

from twinner.corpus import Sentence
from twinner.frameworks.sparknlp.long_sentences import SENTENCE_END

PUNCTUATION = ".,;:!?*-()\"'"  # Spark NLP's tokenizer splits these off both ends of a word; its default too


def tokens_to_keep_whole(train: Sequence[Sentence]) -> list[str]:
    """Return the tokens that Spark NLP's tokenizer would split, such as `Dr.`, but the training data mostly does not.

    Mostly: the text is one token more often than two, as `30.` is at the end of a sentence.
    """
    whole = Counter(token for sentence in train for token in sentence.tokens)
    split = Counter(first + second for sentence in train for first, second in itertools.pairwise(sentence.tokens))
    return sorted(token for token, count in whole.items() if _would_be_split(token) and count > split[token])


def tokenizer_stages(keep_whole: Sequence[str]) -> list[JavaTransformer | JavaEstimator]:
    """Return the stages from the column `text` to `document`, with an annotation for each sentence, and `token`."""
    tokenizer = Tokenizer().setInputCols(["document"]).setOutputCol("token").setContextChars(list(PUNCTUATION))
    if keep_whole:
        # A single expression, since the tokenizer tries each exception on each word.
        tokenizer.setExceptions([f"(?:{'|'.join(map(re.escape, keep_whole))})"])
    return [
        DocumentAssembler().setInputCol("text").setOutputCol("text_document"),
        SentenceDetector().setInputCols(["text_document"]).setOutputCol("document").setCustomBounds([SENTENCE_END]),
        tokenizer,
    ]


def _would_be_split(token: str) -> bool:
    at_an_end = token[0] in PUNCTUATION or token[-1] in PUNCTUATION
    return at_an_end and not all(character in PUNCTUATION for character in token) and not re.search(r"\s", token)
