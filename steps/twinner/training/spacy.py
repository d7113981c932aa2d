"""spaCy behind the outline: its config, readers, batcher, optimizer and updates, in a loop over epochs of our own.

spaCy's stock loop counts steps and evaluates between epochs, so it has no scores of an epoch to give.
"""

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import spacy
from spacy.language import DEFAULT_CONFIG, Language
from spacy.schemas import ConfigSchemaTraining
from spacy.tokens import Doc, DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import subdivide_batch
from spacy.util import fix_random_seed, load_config, load_model_from_config, registry
from spacy.vocab import Vocab
from thinc.api import Config

from twinner.corpus import Sentence
from twinner.errors import BadInput
from twinner.evaluation import dev_scores
from twinner.training.trainer import Epoch, Prediction

OURS = Path(__file__).with_name("spacy.cfg")


class SpacyTrainer:
    """Trains the pipeline of a spaCy config; the parameters win over what the config says."""

    framework = "spacy"
    flavor = "spacy"
    requirements = ("spacy",)

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
    ) -> None:
        """The parameters of `spacy_train`; lang: the language of the corpus, such as `de`.

        Errors: BadInput for a config that is none, or has no NER, or vectors that can't be loaded.
        """
        self.versions = {"spacy": spacy.__version__}
        self._seed = seed
        self._epochs = epochs
        self._patience = patience
        overrides = {
            "paths.vectors": _vectors(vectors) if vectors else None,
            "system.seed": seed,
            "nlp.lang": lang,
            "training.dropout": drop_rate,
            "training.max_epochs": epochs,
            "training.patience": patience,
            "training.optimizer.learn_rate": lr,
            "training.batcher.size": _batch_sizes(batch_size),
        }
        self._config = _config(Path(config) if config else OURS, overrides)
        # Made when nothing above can fail any more, so that bad input leaves no folder behind.
        self._work = Path(tempfile.mkdtemp(prefix="twinner-spacy-"))
        self._config["paths"] |= {split: str(self._work / f"{split}.spacy") for split in ("train", "dev")}
        self._nlp: Language | None = None

    def train(self, train: Sequence[Sentence], dev: Sequence[Sentence], on_epoch: Callable[[Epoch], None]) -> int:
        """Train epoch by epoch; the model of the best one by `dev_f1` (the first of equals) is kept on disk."""
        _write(train, self._work / "train.spacy")
        _write(dev, self._work / "dev.spacy")
        fix_random_seed(self._seed)
        nlp = self._nlp = init_nlp(self._config)
        settings = registry.resolve(nlp.config.interpolate()["training"], schema=ConfigSchemaTraining)
        fix_random_seed(self._seed)
        optimizer, frozen = settings["optimizer"], settings["frozen_components"]
        read = registry.resolve(nlp.config.interpolate()["corpora"])[settings["train_corpus"].split(".")[1]]
        examples = list(read(nlp))
        gold = [sentence.tags for sentence in dev]
        labels = {label for sentence in train for _, _, label in sentence.entities}
        drops = _forever(settings["dropout"])
        best, best_f1 = 0, -1.0
        with nlp.select_pipes(disable=frozen):
            for number in range(1, self._epochs + 1):
                began = time.perf_counter()
                random.shuffle(examples)
                losses: dict[str, float] = {}
                for batch in settings["batcher"](examples):
                    drop = next(drops)
                    for part in subdivide_batch(batch, settings["accumulate_gradient"]):
                        nlp.update(
                            part, drop=drop, losses=losses, sgd=False, annotates=settings["annotating_components"]
                        )
                    for _, component in nlp.pipeline:
                        if getattr(component, "is_trainable", False):
                            component.finish_update(optimizer)
                    optimizer.step_schedules()
                updated = time.perf_counter()
                with nlp.use_params(optimizer.averages or {}):
                    scores = dev_scores(gold, [p.tags for p in self.predict(dev)], labels)
                    if scores["dev_f1"] > best_f1:
                        best, best_f1 = number, scores["dev_f1"]
                        nlp.to_disk(self._work / "best")
                now = time.perf_counter()
                on_epoch(Epoch(number, float(losses["ner"]), now - began, updated - began, scores))
                if self._patience and number - best >= self._patience:
                    break
        return best

    def save(self, folder: Path) -> None:
        """Write the filled config; the model itself is logged whole."""
        self._trained.config.to_disk(folder / "config.cfg")

    def load(self, folder: Path) -> None:
        """Load the best epoch's model from disk; it is the one that is scored and logged."""
        self._nlp = spacy.load(self._work / "best")

    def predict(self, sentences: Sequence[Sentence]) -> list[Prediction]:
        """Predict given tokens. Greedy NER gives no confidence."""
        nlp = self._trained
        docs = (Doc(nlp.vocab, words=sentence.tokens) for sentence in sentences)
        return [Prediction(_tags(doc)) for doc in nlp.pipe(docs)]

    def pipeline(self) -> Language:
        """The loaded pipeline, tokenizer included."""
        return self._trained

    def close(self) -> None:
        """Remove the work folder."""
        shutil.rmtree(self._work, ignore_errors=True)

    @property
    def _trained(self) -> Language:
        if self._nlp is None:
            raise RuntimeError("train comes first")
        return self._nlp


def _config(file: Path, overrides: Mapping[str, object]) -> Config:
    """Read a config; BadInput where it is none, or trains no NER."""
    if not file.is_file():
        raise BadInput(f"the config {str(file)!r} is no file", "name a spaCy config, as `spacy init config` writes it")
    try:
        # A user's config may leave out what has a default, as `spacy init fill-config` would fill it in.
        config = Config(DEFAULT_CONFIG).merge(load_config(file))
        for place, value in overrides.items():
            section = config
            *path, name = place.split(".")
            for part in path:
                section = section.setdefault(part, {})
            section[name] = value
        names = config["nlp"]["pipeline"]
        if "ner" in names:
            # Built once here, to meet what it names but spaCy lacks.
            load_model_from_config(config, auto_fill=True)
            registry.resolve(config.interpolate()["training"], schema=ConfigSchemaTraining)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise BadInput(f"not a spaCy config: {reason}", "write one with `spacy init config`", file) from None
    if "ner" not in names:
        raise BadInput(f"the pipeline {names} has no ner", "add the component ner to nlp.pipeline", file)
    return config


def _batch_sizes(stop: int) -> dict[str, object]:
    return {"@schedules": "compounding.v1", "start": min(100, stop), "stop": stop, "compound": 1.001}


def _vectors(name: str) -> str:
    try:
        spacy.load(name)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(
            f"the vectors {name!r} can't be loaded: {reason}", "install the package or name a folder"
        ) from None
    return name


def _forever(dropout: float | Iterator[float]) -> Iterator[float]:
    if isinstance(dropout, float | int):
        while True:
            yield float(dropout)
    yield from dropout


def _write(sentences: Sequence[Sentence], file: Path) -> None:
    """Write sentences as spaCy's binary corpus; without spaces, so that the reader keeps our tokens."""
    vocab = Vocab()
    docs = (Doc(vocab, words=s.tokens, ents=s.tags) for s in sentences)
    DocBin(docs=docs).to_disk(file)


def _tags(doc: Doc) -> tuple[str, ...]:
    return tuple(f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else "O" for t in doc)
