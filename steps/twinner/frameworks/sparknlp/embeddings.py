"""Word embeddings for Spark NLP: word2vec trained on the corpus, or a pretrained model; cached between runs."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sparknlp.annotator
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sparknlp.annotator import Word2VecApproach, Word2VecModel

from twinner.cache import CacheUnusable
from twinner.corpus import Sentence
from twinner.encoders.minilm import minilm_folder
from twinner.errors import BadInput
from twinner.frameworks.sparknlp import batches
from twinner.frameworks.sparknlp.annotations import documents_frame
from twinner.frameworks.sparknlp.embedding_cache import EmbeddingCache, warn_of_unusable_cache
from twinner.frameworks.sparknlp.preserve_case import preserve_case
from twinner.phases import phase
from twinner.spark.session import java_cause, spark_path

WORD2VEC_SIZE = 100
WORD2VEC_PASSES = 5  # over the corpus; after one, Spark NLP's default, vectors of a small corpus are near random
CACHE_VERSION = 5  # bump it to invalidate cached embeddings
BATCH = 32  # sentences per model call
PART = 64  # documents per Spark task
MAX_PIECES = 512  # word pieces in a sentence: the limit of BERT-like models, unless their config says otherwise
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
        """name: `word2vec`, `minilm`, a folder, or a name of Spark NLP's hub, where `lang` is preferred.

        seed: of word2vec. cache: of embeddings; scratch: a folder for those that are not cached, made if missing.
        """
        self._spark = spark
        self._seed = seed
        self._cache = cache
        self._scratch = scratch
        self._annotator: Any = None
        self._word2vec: Path | None = None  # its folder, once it is trained
        self._digest = ""
        if name == "word2vec":
            self.dimension = WORD2VEC_SIZE
        else:
            self._annotator, folder = _load_model(spark, name, lang)
            self.dimension = self._embed_a_word(name)
            self._digest = _digest_of_files(folder)
            # The same for each loading of the model, where Spark NLP sets a new one; cached embeddings carry it.
            self._annotator.setStorageRef(self._digest)

    @property
    def annotator(self) -> Any:
        """Spark NLP's annotator, from the columns `document` and `token` to `embeddings`."""
        if self._annotator is None:
            assert self._word2vec is not None
            self._annotator = Word2VecModel.load(spark_path(self._word2vec))
        return self._annotator

    def prepare(self, train: Sequence[Sentence]) -> None:
        """Train word2vec on the training sentences; do nothing for other embeddings."""
        if self._annotator is not None:
            return
        self._digest = _digest(
            "word2vec", WORD2VEC_SIZE, WORD2VEC_PASSES, self._seed, [sentence.tokens for sentence in train]
        )
        key = _digest(CACHE_VERSION, sparknlp.version(), self._digest)
        self._word2vec = self._computed(key, lambda folder: self._train_word2vec(train, folder)) / "model"

    def embedded(self, sentences: Sequence[Sentence]) -> DataFrame:
        """Return the documents of `group_by_length` as rows of `documents_frame` with `embeddings`, from a file.

        Only tokens with an embedding have a `label`. Rows come in any order: `id` has the document's position.
        """
        return self._spark.read.parquet(self.embedded_file(sentences))

    def embedded_file(self, sentences: Sequence[Sentence]) -> str:
        """Return the URI of the Parquet file of `embedded`."""
        content = [(sentence.text, sentence.tokens, sentence.tags, sentence.starts) for sentence in sentences]
        key = _digest(CACHE_VERSION, sparknlp.version(), self._digest, BATCH, PART, batches.DOCUMENT_SIZE, content)
        return spark_path(self._computed(key, lambda folder: self._embed(sentences, folder)) / "rows")

    def truncated_tags(self, sentences: Sequence[Sentence]) -> Counter[str]:
        """Count the tags of the tokens without an embedding: those beyond the model's maximum sentence length."""
        rows = self.embedded(sentences).select(F.explode("label.result").alias("tag")).groupBy("tag").count()
        embedded = Counter({row["tag"]: row["count"] for row in rows.collect()})
        return Counter(tag for sentence in sentences for tag in sentence.tags) - embedded

    def _computed(self, key: str, compute: Callable[[Path], None]) -> Path:
        """Return the folder that `compute` fills, from the cache if it is there.

        It is computed in the scratch folder and then moved to the cache, so that a failure of the computation is told
        from one of the cache, which costs nothing but a warning.
        """
        scratch = self._scratch / key

        def compute_in_scratch() -> Path:
            scratch.mkdir(parents=True)
            try:
                compute(scratch)
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
            return scratch

        with phase("embed"):
            if self._cache is not None:
                try:
                    return self._cache.get(key, compute_in_scratch)
                except CacheUnusable as error:
                    warn_of_unusable_cache(error)
                    self._cache = None
            return scratch if scratch.exists() else compute_in_scratch()

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

    def _embed_a_word(self, name: str) -> int:
        """Return the dimension of a word's vector; raise BadInput if the model does not work."""
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
        raise BadInput("embeddings is empty", "use word2vec, minilm, a name of Spark NLP's hub, or a folder")
    folder = Path(name).expanduser()
    if ("/" in name or "\\" in name or name.startswith(("~", "."))) and not folder.is_dir():
        where = "" if folder.is_absolute() else f" in {Path.cwd()}: make it absolute"
        raise BadInput(f"embeddings={name}: there is no such folder{where}", "name a folder that holds a model")
    if folder.is_dir() and _kind_of_folder(folder) is None:
        raise BadInput(
            f"embeddings={name}: this folder is not a model",
            "name embeddings that Spark NLP saved (with metadata/), or an ONNX or TensorFlow export with assets/",
        )


def _load_model(spark: SparkSession, name: str, lang: str) -> tuple[Any, Path]:
    """Return the annotator of a name other than word2vec, and the folder that it was loaded from."""
    check_name(name)
    folder = Path(name).expanduser().absolute()
    if name == "minilm":
        folder = minilm_folder()
    elif not folder.is_dir():
        folder = _download(spark, name, lang)
    saved = _kind_of_folder(folder) == "saved"
    annotator = _load_saved(folder, name) if saved else _load_export(spark, folder, name)
    preserve_case(spark, annotator)
    annotator.setInputCols(["document", "token"]).setOutputCol("embeddings")
    if annotator.hasParam("batchSize"):
        annotator.setBatchSize(BATCH)
    return annotator, folder


def _kind_of_folder(folder: Path) -> str | None:
    """Return `saved` for an annotator saved by Spark NLP, `export` for a model with its assets, None for neither."""
    if (folder / "metadata").is_dir():
        return "saved"
    has_model = (folder / "model.onnx").is_file() or (folder / "saved_model.pb").is_file()
    return "export" if has_model and (folder / "assets").is_dir() else None


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
    config = _read_config(folder, "config.json")
    kind = ANNOTATORS.get(config.get("model_type", "bert"))
    if kind is None:
        known = ", ".join(sorted(ANNOTATORS))
        raise BadInput(f"embeddings={name}: model_type {config['model_type']!r} is not known", f"use one of {known}")
    tokenizer = _read_config(folder, "tokenizer_config.json")
    try:
        annotator = getattr(sparknlp.annotator, kind).loadSavedModel(str(folder), spark)
    except (Py4JError, PySparkException, TypeError) as error:
        raise BadInput(
            f"embeddings={name}: it can't be loaded ({java_cause(error)})", "export the model again"
        ) from error
    limits = (config.get("max_position_embeddings"), tokenizer.get("model_max_length"), MAX_PIECES)
    max_pieces = min(limit for limit in limits if isinstance(limit, int) and limit > 0)
    return annotator.setCaseSensitive(_is_cased(folder, tokenizer)).setMaxSentenceLength(max_pieces)


def _is_cased(folder: Path, tokenizer: dict[str, Any]) -> bool:
    """Return whether a model distinguishes `Bonn` from `bonn`, by its vocabulary or else its tokenizer's settings."""
    vocabulary = folder / "assets" / "vocab.txt"
    if vocabulary.is_file():
        words = vocabulary.read_text(encoding="utf-8").splitlines()
        return any(word != word.lower() for word in words if not word.startswith("["))
    return not tokenizer.get("do_lower_case", False)


def _read_config(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON file beside the model or in its assets; return an empty dict if there is none."""
    for file in (folder / name, folder / "assets" / name):
        if file.is_file():
            try:
                config = json.loads(file.read_text(encoding="utf-8"))
            except ValueError:
                raise BadInput(f"{file}: this is not JSON", "export the model again") from None
            return config if isinstance(config, dict) else {}
    return {}


def _parts(documents: int) -> list[list[int]]:
    """Return the documents of each task: equally long tasks, the same on every machine.

    Documents of similar length share a batch, which is padded to the longest; tasks get the batches in turn.
    """
    size = BATCH // batches.DOCUMENT_SIZE
    similar = [range(at, max(at - size, -1), -1) for at in range(documents - 1, -1, -size)]
    count = -(-documents // PART)
    return [[i for batch in similar[part::count] for i in batch] for part in range(count)]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()[:32]


def _digest_of_files(folder: Path) -> str:
    """Return a digest of the names and contents of the files below a folder."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as content:
            digest.update(str(file.relative_to(folder)).encode() + hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
