"""spaCy's trainer: a config, the corpora in spaCy's format, the training loop, and the model of the best epoch."""

import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training.initialize import init_nlp
from spacy.vocab import Vocab
from thinc.api import fix_random_seed
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from twinner.corpus import Sentence, word_count
from twinner.encoders.embedding_cache import Embeddings, open_cache
from twinner.encoders.find import find_encoder
from twinner.encoders.run import ARCHITECTURES
from twinner.encoders.vector_file import vector_file
from twinner.errors import BadInput, Failure
from twinner.evaluation.scores import dev_scores
from twinner.frameworks.contract import Epoch, Prediction, check_reloaded, reload_sample
from twinner.frameworks.spacy.checkpoint import Checkpoint, State
from twinner.frameworks.spacy.confidence import entity_confidence, with_confidence
from twinner.frameworks.spacy.config import GROWTH, training_config
from twinner.frameworks.spacy.encoder import encoder_of, known_vectors, load_encoder
from twinner.frameworks.spacy.loop import TrainingLoop
from twinner.frameworks.spacy.ops import numpy_products
from twinner.frameworks.spacy.tokenization import fit_tokenizer, tokens_of
from twinner.frameworks.spacy.vectors import EN_MD, PACKAGE
from twinner.frameworks.spacy.weights import has_shims, set_weights, weights_of
from twinner.temporary import remove_folder, temporary_folder

DATA = "data/spacy"  # the logged corpora, relative to the logged config
HALVED_WORDS = 100_000  # training words from which two processes share each update: a smaller corpus gains little
STREAMED_WORDS = 1_000_000  # training words beyond which they are read anew each epoch; they take about 1 kB each
PART = 2500  # sentences in a file of a corpus that is read anew


@contextmanager
def fast_matrix_products() -> Iterator[None]:
    """Multiply matrices with NumPy's BLAS, on one thread: matrices of this size are too small for more."""
    with numpy_products(), threadpool_limits(1, user_api="blas"):
        yield


class SpacyTrainer:
    """Trains the pipeline of a spaCy config; the parameters override the config."""

    framework = "spacy"
    training_data = "memory"
    processes = 1
    save_options: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        lang: str,
        drop_rate: float,
        epochs: int,
        lr: float,
        batch_size: int,
        patience: int,
        seed: int,
        config: str = "",
        vectors: str = "",
        init: str = "",
        embeddings: str = "",
        log_text: bool = True,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """Take the parameters of `spacy_train`; lang: the language of the corpus, such as `de`.

        vectors: `en_md`, a package or a folder. init: a local folder with a spaCy model. embeddings: an encoder whose
        vectors are read beside spaCy's own features; empty: none. checkpoint: where the state is saved after each
        epoch; training resumes from what it holds.
        Raises BadInput for a config that spaCy can't build or that has no NER, and for vectors or a model that can't
        be fetched or loaded.
        """
        self.versions = {"spacy": spacy.__version__}
        if embeddings:
            found = find_encoder(embeddings, ARCHITECTURES)
            load_encoder(found.folder)  # fail early
            embeddings = found.name
            self.versions["embeddings"] = found.description
        self._seed = seed
        self._epochs = epochs
        self._patience = patience
        self._vectors = vectors
        self._init = init
        self._log_text = log_text
        self._checkpoint = checkpoint
        self._work = temporary_folder("spacy")
        self._embeddings: Embeddings | None = None  # of the pipeline's encoder, if it has one
        self._corpora = {split: self._work / f"{split}.spacy" for split in ("train", "dev")}
        overrides = {
            "system.seed": seed,
            "nlp.lang": lang,
            "training.seed": seed,
            "training.dropout": drop_rate,
            "training.max_epochs": epochs,
            "training.max_steps": 0,
            "training.optimizer.learn_rate": lr,
            "training.batcher.size": _batch_size_schedule(batch_size),
        }
        try:
            self._config = training_config(overrides, self._corpora, config, vectors, init, embeddings)
        except BaseException:
            self.close()
            raise
        self._nlp: Language | None = None
        self._steps_per_epoch = 0
        self._sample: tuple[Sentence, ...] = ()

    @fast_matrix_products()
    def train(self, train: Sequence[Sentence], dev: Sequence[Sentence], on_epoch: Callable[[Epoch], None]) -> int:
        """Train epoch by epoch and keep the model of the best one by `dev_f1` (the first of equals).

        Raises BadInput for labels unknown to the `init` model and for a checkpoint of another config.
        """
        self._sample = reload_sample(train, dev)
        parts = self._write_corpora(train, dev)
        fix_random_seed(self._seed)
        nlp = self._nlp = init_nlp(self._config)
        fit_tokenizer(nlp, train)
        if self._vectors == EN_MD:  # the model has them by now; the path of the cache is of no use elsewhere
            nlp.config["paths"]["vectors"] = nlp.config["initialize"]["vectors"] = PACKAGE
        labels = {label for sentence in train for _, _, label in sentence.entities}
        _check_labels(nlp, labels)
        large = word_count(train) >= HALVED_WORDS
        with (
            self._known_vectors(nlp, (*train, *dev)),
            closing(TrainingLoop(nlp, self._seed, dev, self.predict, parts, in_halves=large)) as loop,
        ):
            if loop.in_halves:
                self.processes = 2
                tqdm.write(f"{HALVED_WORDS:,} training words or more: two processes share each update")
            try:
                return self._run_epochs(nlp, loop, labels, dev, on_epoch)
            except (Failure, KeyboardInterrupt) as end:
                if self._checkpoint and self._checkpoint.is_saved:
                    end.add_note(f"resume={self._checkpoint.run_id} goes on after the last whole epoch")
                raise

    def _run_epochs(
        self,
        nlp: Language,
        loop: TrainingLoop,
        labels: set[str],
        dev: Sequence[Sentence],
        on_epoch: Callable[[Epoch], None],
    ) -> int:
        config = _without_folders(nlp, self._work, self._init)
        epochs: list[Epoch] = []
        best, best_f1, best_weights = 0, -1.0, {}
        checkpoint = self._checkpoint
        if checkpoint and has_shims(nlp):
            reason = "the pipeline has layers of another library than thinc, whose files may run code"
            warnings.warn(f"no checkpoints: {reason}; the run can't be resumed", UserWarning, stacklevel=1)
            checkpoint = None
        if checkpoint and (state := checkpoint.load()):
            if state.config != config:
                raise BadInput("the config differs from the resumed run's", "restore it")
            loop.restore(len(state.epochs), state.training)
            epochs, best, best_weights = list(state.epochs), state.best, dict(state.best_weights)
            best_f1 = epochs[best - 1].scores["dev_f1"]
        gold = [sentence.tags for sentence in dev]
        for number in range(len(epochs) + 1, self._epochs + 1):
            if self._patience and number - 1 - best >= self._patience:
                break
            began = time.perf_counter()
            loss = loop.run_epoch(number)
            updated = time.perf_counter()
            scores = dev_scores(gold, [prediction.tags for prediction in loop.predict_dev()], labels)
            if scores["dev_f1"] > best_f1:
                with loop.averaged_weights():
                    best, best_f1, best_weights = number, scores["dev_f1"], weights_of(nlp)
            now = time.perf_counter()
            epochs.append(Epoch(number, loss, now - began, updated - began, scores))
            if checkpoint:
                _save(checkpoint, State(config, tuple(epochs), best, loop.state(), best_weights))
            on_epoch(epochs[-1])
        set_weights(nlp, best_weights)
        self._steps_per_epoch = loop.steps_of_last_epoch
        return best

    def save(self, folder: Path) -> None:
        """Write the filled config, and the corpora that it names in spaCy's format; the model is logged as a whole.

        `spacy train config.cfg` in that folder repeats the training. spaCy counts patience and evaluations in steps, so
        the config gives them in steps per epoch.
        """
        nlp = self._trained
        config = nlp.config.copy()
        config["paths"] |= {split: f"{DATA}/{place.name}" for split, place in self._corpora.items()}
        steps = self._steps_per_epoch
        config["training"] |= {"eval_frequency": steps, "patience": self._patience * steps}
        nlp.config = config
        config.to_disk(folder / "config.cfg")
        if self._log_text:
            (folder / DATA).mkdir(parents=True, exist_ok=True)
            for place in self._corpora.values():
                copy = shutil.copytree if place.is_dir() else shutil.copyfile
                copy(place, folder / DATA / place.name)
        nlp.to_disk(self._work / "model")

    @fast_matrix_products()
    def load(self, folder: Path) -> None:
        """Load the saved model; raises RuntimeError if its predictions differ from the trained model's."""
        trained = self.predict(self._sample)
        self._nlp = spacy.load(self._work / "model")
        check_reloaded(trained, self.predict(self._sample))

    @fast_matrix_products()
    def predict(self, sentences: Sequence[Sentence], confidence: bool = True) -> list[Prediction]:
        """Predict the tags of given tokens, with the probability of each token's action and of each entity."""
        nlp = self._trained
        with nlp.memory_zone():  # or the tokens would stay in the model's vocabulary, and be saved with it
            docs = (Doc(nlp.vocab, words=sentence.tokens) for sentence in sentences)
            return [_prediction(doc, of_tokens) for doc, of_tokens in with_confidence(nlp, docs)]

    @property
    def requirements(self) -> Sequence[str]:
        """What runs the pipeline's encoder, if it has one."""
        return ("onnxruntime", "sentencepiece", "tokenizers") if encoder_of(self._trained) else ()

    def pipeline(self) -> Language:
        """Return the loaded pipeline, tokenizer included; its vocabulary is that of the training data."""
        return self._trained

    def tokens(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the tokens into which the pipeline's tokenizer splits raw texts."""
        nlp = self._trained
        with nlp.memory_zone():  # as in `predict`
            return [tokens_of(nlp.tokenizer, text) for text in texts]

    def close(self) -> None:
        """Remove the work folder."""
        if self._embeddings:
            self._embeddings.close()
        remove_folder(self._work)

    @contextmanager
    def _known_vectors(self, nlp: Language, sentences: Sequence[Sentence]) -> Iterator[None]:
        """Compute the vectors of the pipeline's encoder once, if it has one, and use them within the block."""
        encoder = encoder_of(nlp)
        if encoder is None:
            yield
            return
        self._embeddings = Embeddings(open_cache(), self._work / "embeddings")
        vectors = vector_file(encoder, [sentence.tokens for sentence in sentences], self._embeddings)
        with known_vectors(nlp, vectors):
            yield

    def _write_corpora(self, train: Sequence[Sentence], dev: Sequence[Sentence]) -> list[Path]:
        """Write both in spaCy's format; return the parts of train if it is to be read anew each epoch."""
        write_corpus(dev, self._corpora["dev"])
        words = word_count(train)
        if words <= STREAMED_WORDS or self._config["corpora"]["train"].get("limit"):
            write_corpus(train, self._corpora["train"])
            return []
        self.training_data = "disk"
        tqdm.write(f"{words:,} training words are more than {STREAMED_WORDS:,}: read from disk again in each epoch")
        folder = self._corpora["train"] = self._work / "train"
        self._config["paths"]["train"] = str(folder)
        folder.mkdir()
        parts = []
        for start in range(0, len(train), PART):
            parts.append(folder / f"{start:09}.spacy")
            write_corpus(train[start : start + PART], parts[-1])
        return parts

    @property
    def _trained(self) -> Language:
        if self._nlp is None:
            raise RuntimeError("no model: call train first")
        return self._nlp


def write_corpus(sentences: Sequence[Sentence], file: Path) -> None:
    """Write sentences as spaCy's binary corpus; without spaces, so that the reader keeps our tokens."""
    vocab = Vocab()
    docs = (Doc(vocab, words=s.tokens, ents=s.tags) for s in sentences)
    DocBin(docs=docs).to_disk(file)


def _without_folders(nlp: Language, *folders: Path | str) -> str:
    """The config as text without these folders, which differ between a run and its resumption."""
    text = str(nlp.config.to_str())
    for folder in filter(None, folders):
        text = text.replace(str(folder), "")
    return text


def _check_labels(nlp: Language, labels: set[str]) -> None:
    """Refuse labels that the NER of an `init` model lacks: it can't learn new ones."""
    known = nlp.get_pipe("ner").labels
    if unknown := sorted(labels.difference(known)):
        raise BadInput(
            f"the corpus has the labels {', '.join(unknown)}, unknown to the `init` model",
            f"use a corpus with its labels ({', '.join(known)}), or train without init",
        )


def _save(checkpoint: Checkpoint, state: State) -> None:
    """Save a checkpoint, or warn that it can't be written: a full disk is no reason to lose the training."""
    try:
        checkpoint.save(state)
    except OSError as error:
        problem = f"can't write checkpoints to {checkpoint.folder} ({error.strerror or error})"
        warnings.warn(f"{problem}; training continues, but resuming it would repeat epochs", UserWarning, stacklevel=1)


def _batch_size_schedule(stop: int) -> dict[str, object]:
    return {"@schedules": GROWTH, "start": min(100, stop), "stop": stop, "compound": 1.001}


def _prediction(doc: Doc, confidence: list[float]) -> Prediction:
    tags = tuple(f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else "O" for t in doc)
    of_entities = tuple(entity_confidence(confidence[entity.start : entity.end]) for entity in doc.ents)
    return Prediction(tags, tuple(confidence), entity_confidence=of_entities)
