"""Keep the text's case with uncased models.

Spark NLP passes NerDLApproach the tokens as the embedding model read them. With an uncased model it would learn from
lower-cased characters too, and lose the capitals that mark most names.
"""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from pyspark.sql import SparkSession

WORDPIECE = ("BertEmbeddings", "DistilBertEmbeddings")  # annotators with a WordPiece vocabulary
CONTINUATION = "##"  # prefix of pieces inside a word
ACCENTED = [chr(code) for code in range(0xC0, 0x250)]  # Latin letters, from which uncased models strip the accents


def preserve_case(spark: SparkSession, annotator: Any) -> None:
    """Make an uncased WordPiece model embed `Bonn` like `bonn`, but pass on `Bonn`; leave other models alone.

    The model is declared cased, and its vocabulary maps capitalized pieces to the ids of the lower-case ones.
    Mixed case such as `McDonald`, and long words with accents, are split into other pieces than in lower case.
    """
    if type(annotator).__name__ not in WORDPIECE or annotator.getCaseSensitive():
        return
    jvm: Any = spark._jvm
    mapper = jvm.com.fasterxml.jackson.databind.ObjectMapper()  # as JSON: a call per piece takes seconds
    vocabulary = annotator._java_obj.vocabulary()
    known = mapper.writeValueAsString(jvm.scala.collection.JavaConverters.mapAsJavaMap(vocabulary.getOrDefault()))
    ids = mapper.readValue(
        json.dumps(add_cased_pieces(json.loads(known))), jvm.java.lang.Class.forName("java.util.HashMap")
    )
    getattr(vocabulary, "isProtected_$eq")(False)  # it can be set only once otherwise
    annotator._java_obj.setVocabulary(jvm.org.apache.spark.api.python.PythonUtils.toScalaMap(ids))
    annotator.setCaseSensitive(True)


def add_cased_pieces(vocabulary: Mapping[str, int]) -> dict[str, int]:
    """Return an uncased vocabulary with more pieces: capitalized, in capitals, and single letters with accents.

    Each has the id of its lower-case form without accents; pieces of the vocabulary keep their ids.
    """
    cased = dict(vocabulary)
    for piece, id in vocabulary.items():
        if piece.startswith("[") and piece.endswith("]"):  # [CLS] and other special tokens
            continue
        prefix, letters = (CONTINUATION, piece[2:]) if piece.startswith(CONTINUATION) else ("", piece)
        for spelling in (letters[:1].upper() + letters[1:], letters.upper()):
            if len(spelling) == len(letters):  # `ß` becomes SS, which is another piece
                cased.setdefault(prefix + spelling, id)
    for letter in ACCENTED:
        plain = "".join(c for c in unicodedata.normalize("NFD", letter.lower()) if not unicodedata.combining(c))
        for prefix in ("", CONTINUATION):
            if prefix + plain in vocabulary:
                cased.setdefault(prefix + letter, vocabulary[prefix + plain])
    return cased
