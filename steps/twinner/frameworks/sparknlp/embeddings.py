"""Word embeddings for Spark NLP: trained on the corpus, or those of a model; computed once where they can be kept."""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sparknlp.annotator
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sparknlp.annotator import Word2VecApproach, Word2VecModel

from twinner.corpus import Sentence
from twinner.errors import BadInput
from twinner.frameworks.sparknlp import batches
from twinner.frameworks.sparknlp.annotations import documents_frame
from twinner.frameworks.sparknlp.cased_vocabulary import keep_case
from twinner.frameworks.sparknlp.embedding_cache import EmbeddingCache
from twinner.frameworks.sparknlp.minilm import minilm_folder
from twinner.phases import phase
from twinner.spark.session import java_cause

WORD2VEC_SIZE = 100
WORD2VEC_PASSES = 5  # over the corpus; with one, Spark NLP's default, vectors of a small corpus stay near random
FORMAT = 5  # of what is kept: another number makes all that was kept before useless
BATCH = 32  # sentences that a model embeds at once
PART = 64  # documents that one task embeds
LONGEST = 512  # pieces of words in a sentence: what models of the BERT family take, unless they say otherwise
# What an export's config.json calls its kind of model -> Spark NLP's annotator that embeds tokens with it.
KINDS = {
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
# A label of a token that has no embedding would be taken for the label of another one.
LABELS_OF_EMBEDDED = (
    "if(size(embeddings) = size(label), label,"
    " filter(label, l -> array_contains(transform(embeddings, e -> e.begin), l.begin)))"
)


class Embedder:
    """Embeds sentences for NerDLApproach, and keeps what it computed.

    dimension: of the vector of a token. It is known, and what is wrong with `name` was found, before anything costly.
    """

    def __init__(
        self,
        spark: SparkSession,
        name: str,
        lang: str,
        seed: int,
        kept: EmbeddingCache,
        work: EmbeddingCache,
        uri: Callable[[Path], str],
    ) -> None:
        """name: `word2vec`, `minilm`, a folder, or a name of Spark NLP's hub, where `lang` is preferred.

        seed: of word2vec. kept: where embeddings are kept; work: where they go if that place fails. uri: what Spark
        calls a path.
        """
        self._spark = spark
        self._seed = seed
        self._kept = kept
        self._work = work
        self._uri = uri
        self._annotator: Any = None
        self._word2vec: Path | None = None  # where it is, once it is trained
        self._digest = ""
        if name == "word2vec":
            self.dimension = WORD2VEC_SIZE
        else:
            self._annotator, folder = _model(spark, name, lang, uri)
            self.dimension = self._probe(name)
            self._digest = _digest_of_files(folder)
            # What is kept must be known again as this model's; by itself Spark NLP gives each loading another name.
            self._annotator.setStorageRef(self._digest)

    @property
    def annotator(self) -> Any:
        """Spark NLP's annotator, from the columns `document` and `token` to `embeddings`."""
        if self._annotator is None:
            assert self._word2vec is not None
            self._annotator = Word2VecModel.load(self._uri(self._word2vec))
        return self._annotator

    def prepare(self, train: Sequence[Sentence]) -> None:
        """Train on the training sentences what has to be trained: word2vec."""
        if self._annotator is not None:
            return
        self._digest = _digest(
            "word2vec", WORD2VEC_SIZE, WORD2VEC_PASSES, self._seed, [sentence.tokens for sentence in train]
        )
        key = _digest(FORMAT, sparknlp.version(), self._digest)
        self._word2vec = self._get(key, lambda new: self._train_word2vec(train, new)) / "model"

    def embedded(self, sentences: Sequence[Sentence]) -> DataFrame:
        """The documents of `documents_of_a_length` as rows of `documents_frame`, read from a file, with `embeddings`.

        `label` is there only where there is an embedding. The order of the rows is not that of the documents: `id` is.
        """
        return self._spark.read.parquet(self.embedded_file(sentences))

    def embedded_file(self, sentences: Sequence[Sentence]) -> str:
        """The URI of the Parquet file of `embedded`."""
        content = [(sentence.text, sentence.tokens, sentence.tags, sentence.starts) for sentence in sentences]
        key = _digest(FORMAT, sparknlp.version(), self._digest, BATCH, PART, batches.DOCUMENT_SIZE, content)
        return self._uri(self._get(key, lambda new: self._embed(sentences, new)) / "rows")

    def _get(self, key: str, make: Callable[[Path], None]) -> Path:
        """An entry of the cache, made if need be; where the cache can't be written, one that lives as long as we do."""
        with phase("embed"):
            return self._kept_or_made(key, make)

    def _kept_or_made(self, key: str, make: Callable[[Path], None]) -> Path:
        try:
            folder, _ = self._kept.get(key, make)
        except (OSError, Py4JError, PySparkException) as error:
            if self._kept is self._work:
                raise
            print(
                f"warning: the embedding cache can't be used ({java_cause(error)}): going on without", file=sys.stderr
            )
            self._kept = self._work
            folder, _ = self._work.get(key, make)
        return folder

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
        model.write().overwrite().save(self._uri(folder / "model"))

    def _embed(self, sentences: Sequence[Sentence], folder: Path) -> None:
        """Write the embedded rows, in as many files as there are parts: none where there are no sentences."""
        documents = [[sentences[i] for i in document] for document in batches.documents_of_a_length(sentences)]
        rows = documents_frame(self._spark, documents, _parts(len(documents)))
        embedded = self.annotator.transform(rows)
        metadata = embedded.schema["label"].metadata
        labels = F.expr(LABELS_OF_EMBEDDED).alias("label", metadata=metadata)
        columns = [labels if name == "label" else F.col(name) for name in embedded.columns]
        embedded.select(*columns).write.parquet(self._uri(folder / "rows"))

    def _probe(self, name: str) -> int:
        """The dimension of the vectors, seen by embedding a word, so that a model that does not work is found here."""
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
    """Raise BadInput for a name of embeddings that can be none, as far as that is seen without Spark."""
    if not name.strip():
        raise BadInput("embeddings is empty", "use word2vec, minilm, a name of Spark NLP's hub, or a folder")
    folder = Path(name).expanduser()
    if ("/" in name or "\\" in name or name.startswith(("~", "."))) and not folder.is_dir():
        where = "" if folder.is_absolute() else f" in {Path.cwd()}: make it absolute"
        raise BadInput(f"embeddings={name}: there is no such folder{where}", "name a folder that holds a model")
    if folder.is_dir() and _kind_of_folder(folder) is None:
        raise BadInput(
            f"embeddings={name}: this folder is no model",
            "name embeddings that Spark NLP saved (with metadata/), or an ONNX or TensorFlow export with assets/",
        )


def _model(spark: SparkSession, name: str, lang: str, uri: Callable[[Path], str]) -> tuple[Any, Path]:
    """The annotator of a name that is not word2vec, and the folder that it was loaded from."""
    check_name(name)
    folder = Path(name).expanduser().absolute()
    if name == "minilm":
        folder = minilm_folder()
    elif not folder.is_dir():
        folder = _pretrained(spark, name, lang)
    saved = _kind_of_folder(folder) == "saved"
    annotator = _load_saved(folder, name, uri) if saved else _load_export(spark, folder, name)
    keep_case(spark, annotator)
    annotator.setInputCols(["document", "token"]).setOutputCol("embeddings")
    if annotator.hasParam("batchSize"):
        annotator.setBatchSize(BATCH)
    return annotator, folder


def _kind_of_folder(folder: Path) -> str | None:
    """`saved`: by Spark NLP; `export`: of a model with its assets; None: neither."""
    if (folder / "metadata").is_dir():
        return "saved"
    has_model = (folder / "model.onnx").is_file() or (folder / "saved_model.pb").is_file()
    return "export" if has_model and (folder / "assets").is_dir() else None


def _pretrained(spark: SparkSession, name: str, lang: str) -> Path:
    """The folder of a model of Spark NLP's hub, which Spark NLP itself downloads into our cache."""
    jvm: Any = spark._jvm
    downloader = jvm.com.johnsnowlabs.nlp.pretrained.ResourceDownloader
    problems = []
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
            problems.append(language)
        else:
            return Path(place.removeprefix("file:"))
    raise BadInput(
        f"embeddings={name}: Spark NLP's hub has no model of this name (asked for {', '.join(problems)})",
        "use word2vec, minilm, a name of the hub such as bert_base_cased, or a folder",
    )


def _load_saved(folder: Path, name: str, uri: Callable[[Path], str]) -> Any:
    """The annotator that Spark NLP saved in a folder."""
    try:
        part = next((folder / "metadata").glob("part-*"))
        kind = json.loads(part.read_text(encoding="utf-8"))["class"].rsplit(".", 1)[-1]
    except (StopIteration, OSError, ValueError, KeyError, TypeError):
        raise BadInput(f"embeddings={name}: its metadata can't be read", "save the model again") from None
    annotator_class = getattr(sparknlp.annotator, kind, None)
    if annotator_class is None or getattr(annotator_class, "outputAnnotatorType", "") != "word_embeddings":
        raise BadInput(f"embeddings={name}: a {kind} gives no embeddings of words", "name a model that does")
    try:
        annotator = annotator_class.load(uri(folder))
    except (Py4JError, PySparkException) as error:
        raise BadInput(
            f"embeddings={name}: it can't be loaded ({java_cause(error)})", "save the model again"
        ) from error
    if annotator.hasParam("maxSentenceLength"):
        annotator.setMaxSentenceLength(LONGEST)  # what is saved is the default, which has nothing to do with the model
    return annotator


def _load_export(spark: SparkSession, folder: Path, name: str) -> Any:
    """The annotator of an ONNX or TensorFlow export; the export's own words say of what kind, case and length it is."""
    config = _settings(folder, "config.json")
    kind = KINDS.get(config.get("model_type", "bert"))
    if kind is None:
        known = ", ".join(sorted(KINDS))
        raise BadInput(f"embeddings={name}: model_type {config['model_type']!r} is not known", f"use one of {known}")
    tokenizer = _settings(folder, "tokenizer_config.json")
    try:
        annotator = getattr(sparknlp.annotator, kind).loadSavedModel(str(folder), spark)
    except (Py4JError, PySparkException, TypeError) as error:
        raise BadInput(
            f"embeddings={name}: it can't be loaded ({java_cause(error)})", "export the model again"
        ) from error
    lengths = (config.get("max_position_embeddings"), tokenizer.get("model_max_length"), LONGEST)
    longest = min(length for length in lengths if isinstance(length, int) and length > 0)
    return annotator.setCaseSensitive(_is_cased(folder, tokenizer)).setMaxSentenceLength(longest)


def _is_cased(folder: Path, tokenizer: dict[str, Any]) -> bool:
    """Whether a model tells `Bonn` from `bonn`: a vocabulary of words decides, else what the tokenizer was set to."""
    vocabulary = folder / "assets" / "vocab.txt"
    if vocabulary.is_file():
        words = vocabulary.read_text(encoding="utf-8").splitlines()
        return any(word != word.lower() for word in words if not word.startswith("["))
    return not tokenizer.get("do_lower_case", False)


def _settings(folder: Path, name: str) -> dict[str, Any]:
    """A file of settings of an export, which may be beside the model or with its assets; empty where there is none."""
    for file in (folder / name, folder / "assets" / name):
        if file.is_file():
            try:
                settings = json.loads(file.read_text(encoding="utf-8"))
            except ValueError:
                raise BadInput(f"{file}: this is no JSON", "export the model again") from None
            return settings if isinstance(settings, dict) else {}
    return {}


def _parts(documents: int) -> list[list[int]]:
    """Which documents each task embeds: parts that take as long as one another, and do not depend on the machine.

    A batch is as long as its longest sentence, so documents of a length go together; the batches are dealt out in turn.
    """
    size = BATCH // batches.DOCUMENT_SIZE
    together = [range(at, max(at - size, -1), -1) for at in range(documents - 1, -1, -size)]
    count = -(-documents // PART)
    return [[i for batch in together[part::count] for i in batch] for part in range(count)]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()[:32]


def _digest_of_files(folder: Path) -> str:
    """Of the names and contents of the files below a folder."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as content:
            digest.update(str(file.relative_to(folder)).encode() + hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
