"""Models that know no capitals, made to leave those of a text alone.

Spark NLP hands NerDLApproach the tokens as the model of the embeddings saw them, so that behind an uncased model the
characters, too, are read in lower case, and with the capitals goes much of what tells a name.
"""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from pyspark.sql import SparkSession

WORDPIECE = ("BertEmbeddings", "DistilBertEmbeddings")  # annotators that find the pieces of a word in a vocabulary
INSIDE = "##"  # what a piece begins with that does not begin a word
ACCENTED = [chr(code) for code in range(0xC0, 0x250)]  # the Latin letters that uncased models read without accents


def keep_case(spark: SparkSession, annotator: Any) -> None:
    """Have an uncased WordPiece model embed `Bonn` as it does `bonn`, but hand on `Bonn`; others are left as they are.

    The model is said to be cased, with a vocabulary in which a piece in capitals has the number of the same piece.
    Spellings such as `McDonald` are read as other pieces than in small letters, though, and so are long words with
    accents.
    """
    if type(annotator).__name__ not in WORDPIECE or annotator.getCaseSensitive():
        return
    jvm: Any = spark._jvm
    mapper = jvm.com.fasterxml.jackson.databind.ObjectMapper()  # a text for each way; one by one would take seconds
    vocabulary = annotator._java_obj.vocabulary()
    known = mapper.writeValueAsString(jvm.scala.collection.JavaConverters.mapAsJavaMap(vocabulary.getOrDefault()))
    numbers = mapper.readValue(
        json.dumps(cased_vocabulary(json.loads(known))), jvm.java.lang.Class.forName("java.util.HashMap")
    )
    getattr(vocabulary, "isProtected_$eq")(False)  # a vocabulary is otherwise set but once
    annotator._java_obj.setVocabulary(jvm.org.apache.spark.api.python.PythonUtils.toScalaMap(numbers))
    annotator.setCaseSensitive(True)


def cased_vocabulary(vocabulary: Mapping[str, int]) -> dict[str, int]:
    """The numbers of an uncased vocabulary's pieces, also for the pieces with a capital, in capitals, and for letters
    with accents; what the vocabulary has keeps its number.
    """
    cased = dict(vocabulary)
    for piece, number in vocabulary.items():
        if piece.startswith("[") and piece.endswith("]"):  # [CLS] and such
            continue
        prefix, letters = (INSIDE, piece[2:]) if piece.startswith(INSIDE) else ("", piece)
        for spelling in (letters[:1].upper() + letters[1:], letters.upper()):
            if len(spelling) == len(letters):  # `ß` is SS in capitals, which is another piece
                cased.setdefault(prefix + spelling, number)
    for letter in ACCENTED:
        plain = "".join(c for c in unicodedata.normalize("NFD", letter.lower()) if not unicodedata.combining(c))
        for prefix in ("", INSIDE):
            if prefix + plain in vocabulary:
                cased.setdefault(prefix + letter, vocabulary[prefix + plain])
    return cased
