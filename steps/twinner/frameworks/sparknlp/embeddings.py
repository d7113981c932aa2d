"""Word embeddings for Spark NLP: word2vec trained on the corpus, or a pretrained model; cached between runs."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sparknlp.annotator
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sparknlp.annotator import Word2VecApproach, Word2VecModel

from twinner.corpus import Sentence, word_count
from twinner.encoders.embedding_cache import EmbeddingCache, Embeddings, digest_of
from twinner.encoders.export import (
    MAX_PIECES,
    SENTENCEPIECE,
    digest_of_files,
    is_cased,
    is_export,
    max_pieces,
    model_type,
)
from twinner.encoders.find import PACKAGED, FoundEncoder, find_encoder
from twinner.encoders.names import HUB, EncoderName, parse_name
from twinner.errors import BadInput
from twinner.frameworks.sparknlp import batches
from twinner.frameworks.sparknlp.annotations import documents_frame
from twinner.frameworks.sparknlp.preserve_case import preserve_case
from twinner.spark.session import java_cause, spark_path

WORD2VEC_SIZE = 100
WORD2VEC_PASSES = 5  # over the corpus; after one, Spark NLP's default, vectors of a small corpus are near random
CACHE_VERSION = 5  # bump it to invalidate cached embeddings
BATCH = 32  # sentences per model call
PART = 64  # documents per Spark task
# `model_type` in an export's config.json -> Spark NLP's annotator for it.
ANNOTATORS = {
    "albert": "AlbertEmbeddings",
    "bert": "BertEmbeddings",
    "camembert": "CamemBertEmbeddings",
    "deberta-v2": "DeBertaEmbeddings",
    "distilbert": "DistilBertEmbeddings",
    "electra": "BertEmbeddings",
    "longformer": "LongformerEmbeddings",
    "roberta": "RoBertaEmbeddings",
    "xlm-roberta": "XlmRoBertaEmbeddings",
    "xlnet": "XlnetEmbeddings",
}
# NerDLApproach pairs labels and embeddings by position, so tokens without an embedding must not keep their label.
LABELS_OF_EMBEDDED = (
    "if(size(embeddings) = size(label), label,"
    " filter(label, l -> array_contains(transform(embeddings, e -> e.begin), l.begin)))"
)


class Embedder:
    """Embeds sentences for NerDLApproach, and caches the result.

    dimension: of a token's vector. It is known, and `name` is checked, before anything costly.
    """

    def __init__(
        self,
        spark: SparkSession,
        name: str,
        lang: str,
        seed: int,
        cache: EmbeddingCache | None,
        scratch: Path,
    ) -> None:
        """name: `word2vec`, what `find_encoder` takes, or a name of Spark NLP's hub, where `lang` is preferred.

        seed: of word2vec. cache: of embeddings; scratch: a folder for those that are not cached, made if missing.
        """
        self._spark = spark
        self._seed = seed
        self._embeddings = Embeddings(cache, scratch)
        self._name = name
        self._annotator: Any = None
        self._folder: Path | None = None  # of the model: for word2vec, once it is trained
        self._digest = ""
        if name == "word2vec":
            self.dimension = WORD2VEC_SIZE
        else:
            self._folder = _find_model(spark, parse_name(name), lang)
            self._digest = digest_of_files(self._folder)
            self.dimension = self._known_dimension()

    @property
    def annotator(self) -> Any:
        """Spark NLP's annotator, from the columns `document` and `token` to `embeddings`; loading it takes seconds."""
        if self._annotator is None:
            assert self._folder is not None
            if self._name == "word2vec":
                self._annotator = Word2VecModel.load(spark_path(self._folder))
            else:
                self._annotator = self._load_model(self._folder)
        return self._annotator

    def prepare(self, train: Sequence[Sentence]) -> None:
        """Train word2vec on the training sentences; do nothing for other embeddings."""
        if self._name != "word2vec":
            return
        self._digest = digest_of(
            "word2vec", WORD2VEC_SIZE, WORD2VEC_PASSES, self._seed, [sentence.tokens for sentence in train]
        )
        key = digest_of(CACHE_VERSION, sparknlp.version(), self._digest)
        self._folder = self._embeddings.get(key, lambda folder: self._train_word2vec(train, folder)) / "model"

    def embedded(self, sentences: Sequence[Sentence]) -> DataFrame:
        """Return the documents of `group_by_length` as rows of `documents_frame` with `embeddings`, from a file.

        Only tokens with an embedding have a `label`. Rows come in any order: `id` has the document's position.
        """
        return self._spark.read.parquet(self.embedded_file(sentences))

    def embedded_file(self, sentences: Sequence[Sentence]) -> str:
        """Return the URI of the Parquet file of `embedded`."""
        return spark_path(self._embedded_folder(sentences))

    def parts(self, sentences: Sequence[Sentence]) -> list[str]:
        """Return the URIs of the Parquet files of `embedded_file`: of similar size, always in the same order."""
        folder = self._embedded_folder(sentences)
        return [f"{spark_path(folder)}/{part.name}" for part in sorted(folder.glob("part-*"))]

    def truncated_tags(self, sentences: Sequence[Sentence]) -> Counter[str]:
        """Count the tags of the tokens without an embedding: those beyond the model's maximum sentence length."""
        rows = self.embedded(sentences).select(F.explode("label.result").alias("tag")).groupBy("tag").count()
        embedded = Counter({row["tag"]: row["count"] for row in rows.collect()})
        return Counter(tag for sentence in sentences for tag in sentence.tags) - embedded

    def _embedded_folder(self, sentences: Sequence[Sentence]) -> Path:
        content = [(sentence.text, sentence.tokens, sentence.tags, sentence.starts) for sentence in sentences]
        key = digest_of(CACHE_VERSION, sparknlp.version(), self._digest, BATCH, PART, batches.DOCUMENT_SIZE, content)
        size = 4 * self.dimension * word_count(sentences)
        return self._embeddings.get(key, lambda folder: self._embed(sentences, folder), size) / "rows"

    def _train_word2vec(self, train: Sequence[Sentence], folder: Path) -> None:
        approach = (
            Word2VecApproach()
            .setInputCols(["token"])
            .setOutputCol("embeddings")
            .setVectorSize(WORD2VEC_SIZE)
            .setMinCount(1)
            .setMaxIter(WORD2VEC_PASSES)
            .setNumPartitions(1)
            .setSeed(self._seed)
        )
        model = approach.fit(documents_frame(self._spark, [[sentence] for sentence in train]))
        model.write().overwrite().save(spark_path(folder / "model"))

    def _embed(self, sentences: Sequence[Sentence], folder: Path) -> None:
        """Write the embedded rows, a file per part."""
        documents = [[sentences[i] for i in document] for document in batches.group_by_length(sentences)]
        rows = documents_frame(self._spark, documents, _parts(len(documents)))
        embedded = self.annotator.transform(rows)
        metadata = embedded.schema["label"].metadata
        labels = F.expr(LABELS_OF_EMBEDDED).alias("label", metadata=metadata)
        columns = [labels if name == "label" else F.col(name) for name in embedded.columns]
        embedded.select(*columns).write.parquet(spark_path(folder / "rows"))

    def _load_model(self, folder: Path) -> Any:
        if digest_of_files(folder) != self._digest:
            raise BadInput(f"embeddings={self._name}: the files in {folder} have changed meanwhile", "start a new run")
        annotator = _load(self._spark, folder, self._name)
        # The same for each loading of the model, where Spark NLP sets a new one; cached embeddings carry it.
        return annotator.setStorageRef(self._digest)

    def _known_dimension(self) -> int:
        """Return the dimension of a word's vector: from the cache, if the model has run before."""

        def write(folder: Path) -> None:
            (folder / "dimension").write_text(str(self._embed_a_word()))

        key = digest_of(CACHE_VERSION, sparknlp.version(), self._digest, "dimension")
        return int((self._embeddings.get(key, write) / "dimension").read_text())

    def _embed_a_word(self) -> int:
        """Return the dimension of a word's vector; raise BadInput if the model does not work."""
        name = self._name
        rows = documents_frame(self._spark, [[Sentence.from_tokens(["Berlin"], ["O"])]])
        try:
            vectors = self.annotator.transform(rows).select("embeddings.embeddings").first()
        except (Py4JError, PySparkException) as error:
            raise BadInput(
                f"embeddings={name}: the model does not run ({java_cause(error)})", "use another one"
            ) from error
        if not vectors or not vectors[0] or not vectors[0][0]:
            raise BadInput(f"embeddings={name}: the model gives no vector for a word", "use another one")
        return len(vectors[0][0])


def check_name(name: str) -> None:
    """Raise BadInput for an impossible name of embeddings, as far as that is known without Spark."""
    if not name.strip():
        raise BadInput("embeddings is empty", f"use word2vec, {', '.join(PACKAGED)}, hf:ORG/MODEL, or a folder")
    parsed = parse_name(name)
    source = parsed.source
    if source.startswith(HUB):
        return
    folder = Path(source).expanduser()
    if ("/" in source or "\\" in source or source.startswith(("~", "."))) and not folder.is_dir():
        where = "" if folder.is_absolute() else f" in {Path.cwd()}: make it absolute"
        raise BadInput(f"embeddings={name}: there is no such folder{where}", "name a folder that holds a model")
    if folder.is_dir() and _kind_of_folder(folder) is None:
        raise BadInput(
            f"embeddings={name}: this folder is not a model",
            "name embeddings that Spark NLP saved (with metadata/), or an ONNX or TensorFlow export with assets/",
        )
    if parsed.layers and source not in PACKAGED and not folder.is_dir():
        raise BadInput(f"embeddings={name}: {source} has no layers to choose from", "leave the layers out")


def exported_encoder(name: str) -> FoundEncoder | None:
    """Return the export that a name of embeddings stands for, fetched if need be; None if it is no export's name."""
    parsed = parse_name(name)
    is_folder = _kind_of_folder(Path(parsed.source).expanduser()) == "export"
    is_encoder = is_folder or parsed.source in PACKAGED or parsed.source.startswith(HUB)
    return find_encoder(name, ANNOTATORS) if is_encoder else None


def _find_model(spark: SparkSession, name: EncoderName, lang: str) -> Path:
    """Return the folder of the model that a name other than word2vec stands for."""
    check_name(str(name))
    folder = Path(name.source).expanduser().absolute()
    if found := exported_encoder(str(name)):
        folder = found.folder
    elif not folder.is_dir():
        folder = _download(spark, name.source, lang)
    if name.layers and _kind_of_folder(folder) == "saved":
        raise BadInput(f"embeddings={name}: only an ONNX export has layers", "leave the layers out")
    return folder


def _load(spark: SparkSession, folder: Path, name: str) -> Any:
    """Return the annotator of the model in a folder."""
    is_saved = _kind_of_folder(folder) == "saved"
    annotator = _load_saved(folder, name) if is_saved else _load_export(spark, folder, name)
    preserve_case(spark, annotator)
    annotator.setInputCols(["document", "token"]).setOutputCol("embeddings")
    if annotator.hasParam("batchSize"):
        annotator.setBatchSize(BATCH)
    return annotator


def _kind_of_folder(folder: Path) -> str | None:
    """Return `saved` for an annotator saved by Spark NLP, `export` for a model with its assets, None for neither."""
    if (folder / "metadata").is_dir():
        return "saved"
    return "export" if is_export(folder) else None


def _download(spark: SparkSession, name: str, lang: str) -> Path:
    """Return the folder of a model of Spark NLP's hub, which Spark NLP downloads into our cache."""
    jvm: Any = spark._jvm
    downloader = jvm.com.johnsnowlabs.nlp.pretrained.ResourceDownloader
    tried = []
    for language in dict.fromkeys((lang, "en", "xx")):
        try:
            place = downloader.downloadResource(name, jvm.scala.Some(language), "public/models")
        except (Py4JError, PySparkException) as error:
            cause = java_cause(error)
            if "Can not find" not in cause:
                raise BadInput(
                    f"embeddings={name}: Spark NLP's hub can't be reached ({cause})",
                    "check the network, use word2vec or minilm, or give a folder",
                ) from error
            tried.append(language)
        else:
            return Path(place.removeprefix("file:"))
    raise BadInput(
        f"embeddings={name}: Spark NLP's hub has no model of this name (tried {', '.join(tried)})",
        "use word2vec, minilm, a name of the hub such as bert_base_cased, or a folder",
    )


def _load_saved(folder: Path, name: str) -> Any:
    """Load an annotator that Spark NLP saved in a folder."""
    try:
        part = next((folder / "metadata").glob("part-*"))
        kind = json.loads(part.read_text(encoding="utf-8"))["class"].rsplit(".", 1)[-1]
    except (StopIteration, OSError, ValueError, KeyError, TypeError):
        raise BadInput(f"embeddings={name}: its metadata can't be read", "save the model again") from None
    annotator_class = getattr(sparknlp.annotator, kind, None)
    if annotator_class is None or getattr(annotator_class, "outputAnnotatorType", "") != "word_embeddings":
        raise BadInput(f"embeddings={name}: a {kind} gives no word embeddings", "name a model that does")
    try:
        annotator = annotator_class.load(spark_path(folder))
    except (Py4JError, PySparkException) as error:
        raise BadInput(
            f"embeddings={name}: it can't be loaded ({java_cause(error)})", "save the model again"
        ) from error
    if annotator.hasParam("maxSentenceLength"):
        annotator.setMaxSentenceLength(MAX_PIECES)  # the saved value is Spark NLP's default, not the model's limit
    return annotator


def _load_export(spark: SparkSession, folder: Path, name: str) -> Any:
    """Load an ONNX or TensorFlow export; its config says of which kind, case and maximum length it is."""
    # BERT with XLM-RoBERTa's vocabulary, as multilingual-e5-small
    has_sentencepiece = model_type(folder) == "bert" and (folder / SENTENCEPIECE).is_file()
    kind = getattr(sparknlp.annotator, ANNOTATORS["xlm-roberta" if has_sentencepiece else model_type(folder)])
    try:
        annotator = kind.loadSavedModel(str(folder), spark)
    except (Py4JError, PySparkException, TypeError) as error:
        raise BadInput(
            f"embeddings={name}: it can't be loaded ({java_cause(error)})", "export the model again"
        ) from error
    return annotator.setCaseSensitive(is_cased(folder)).setMaxSentenceLength(max_pieces(folder))


def _parts(documents: int) -> list[list[int]]:
    """Return the documents of each task: equally long tasks, the same on every machine.

    Documents of similar length share a batch, which is padded to the longest; tasks get the batches in turn.
    """
    size = BATCH // batches.DOCUMENT_SIZE
    similar = [range(at, max(at - size, -1), -1) for at in range(documents - 1, -1, -size)]
    count = -(-documents // PART)
    return [[i for batch in similar[part::count] for i in batch] for part in range(count)]
