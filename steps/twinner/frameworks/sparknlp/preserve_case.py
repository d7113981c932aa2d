"""Keep the text's case with uncased models.

Spark NLP passes NerDLApproach the tokens as the embedding model read them. With an uncased model it would learn from
lower-cased characters too, and lose the capitals that mark most names.
"""

import json
from typing import Any

from pyspark.sql import SparkSession

from twinner.encoders.pieces import add_cased_pieces

WORDPIECE = ("BertEmbeddings", "DistilBertEmbeddings")  # annotators with a WordPiece vocabulary


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
