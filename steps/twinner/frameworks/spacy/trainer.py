"""spaCy behind the outline: its config, readers, batcher, optimizer and updates, in a loop over epochs of our own.

spaCy's stock loop counts steps and evaluates between epochs, so it has no scores of an epoch to give, nor can it go on
where it was stopped.
"""

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import spacy
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import subdivide_batch
from spacy.util import registry, resolve_dot_names
from spacy.vocab import Vocab
from thinc.api import Model, NumpyOps, fix_random_seed, get_current_ops, set_current_ops
from threadpoolctl import threadpool_limits

from twinner.corpus import Sentence
from twinner.errors import BadInput
from twinner.evaluation.scores import dev_scores
from twinner.frameworks.contract import Epoch, Prediction, check_reloaded, sample_of
from twinner.frameworks.spacy.checkpoint import Checkpoint, State
from twinner.frameworks.spacy.config import training_config

DATA = "data/spacy"  # where the logged corpora are, for the logged config to find


@contextmanager
def fast_products() -> Iterator[None]:
    """Leave products of matrices to NumPy's library, on one thread: twice the words a second of thinc's own.

    More threads lose more than they give with matrices of this size. What is not thinc's usual choice for a
    processor (a GPU, Apple's library) stays.
    """
    usual = get_current_ops()
    if type(usual) is NumpyOps:
        set_current_ops(NumpyOps(use_blis=False))
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        set_current_ops(usual)


class SpacyTrainer:
    """Trains the pipeline of a spaCy config; the parameters win over what the config says."""

    framework = "spacy"
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
        log_text: bool = True,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """The parameters of `spacy_train`; lang: the language of the corpus, such as `de`.

        init: a local folder with a spaCy model. checkpoint: where the state after each epoch is kept; what is in it
        is gone on with.
        Errors: BadInput for a config that is none, or has no NER, and vectors or a model that can't be loaded.
        """
        self.versions = {"spacy": spacy.__version__}
        self._seed = seed
        self._epochs = epochs
        self._patience = patience
        self._init = init
        self._log_text = log_text
        self._checkpoint = checkpoint
        self._work = Path(tempfile.mkdtemp(prefix="twinner-spacy-"))
        self._corpora = {split: self._work / f"{split}.spacy" for split in ("train", "dev")}
        overrides = {
            "system.seed": seed,
            "nlp.lang": lang,
            "training.seed": seed,
            "training.dropout": drop_rate,
            "training.max_epochs": epochs,
            "training.max_steps": 0,
            "training.optimizer.learn_rate": lr,
            "training.batcher.size": _batch_sizes(batch_size),
        }
        try:
            self._config = training_config(overrides, self._corpora, config, vectors, init)
        except BaseException:
            self.close()
            raise
        self._nlp: Language | None = None
        self._steps = 0
        self._sample: tuple[Sentence, ...] = ()

    @fast_products()
    def train(self, train: Sequence[Sentence], dev: Sequence[Sentence], on_epoch: Callable[[Epoch], None]) -> int:
        """Train epoch by epoch; the model of the best one by `dev_f1` (the first of equals) is the one that is kept.

        Errors: BadInput for labels that a model to train on from does not know, and for a checkpoint of another config.
        """
        self._sample = sample_of(train, dev)
        for split, sentences in (("train", train), ("dev", dev)):
            write_corpus(sentences, self._corpora[split])
        fix_random_seed(self._seed)
        nlp = self._nlp = init_nlp(self._config)
        labels = {label for sentence in train for _, _, label in sentence.entities}
        _check_labels(nlp, labels)
        loop = _Loop(nlp, self._seed)
        config = _text(nlp, self._work, self._init)
        epochs: list[Epoch] = []
        best, best_f1, best_weights = 0, -1.0, {}
        if self._checkpoint:
            self._checkpoint.claim()
            if state := self._checkpoint.load():
                if state.config != config:
                    raise BadInput("the config is not the one of the run to go on with", "give back what it was")
                epochs, best, best_weights = list(state.epochs), state.best, dict(state.best_weights)
                best_f1 = epochs[best - 1].scores["dev_f1"]
                loop.go_on(len(epochs), state)
        gold = [sentence.tags for sentence in dev]
        for number in range(len(epochs) + 1, self._epochs + 1):
            if self._patience and number - 1 - best >= self._patience:
                break
            began = time.perf_counter()
            loss = loop.epoch(number)
            updated = time.perf_counter()
            with nlp.use_params(loop.optimizer.averages or {}):
                scores = dev_scores(gold, [p.tags for p in self.predict(dev)], labels)
                if scores["dev_f1"] > best_f1:
                    best, best_f1, best_weights = number, scores["dev_f1"], _weights(nlp)
            now = time.perf_counter()
            epochs.append(Epoch(number, loss, now - began, updated - began, scores))
            if self._checkpoint:
                state = State(config, tuple(epochs), best, _weights(nlp), best_weights, loop.optimizer_state())
                self._checkpoint.save(state)
            on_epoch(epochs[-1])
        _set_weights(nlp, best_weights)
        self._steps = loop.steps_of_last_epoch
        return best

    def save(self, folder: Path) -> None:
        """Write the filled config, and the corpora that it names in spaCy's format; the model is logged whole.

        `spacy train config.cfg` trains the same in that folder. spaCy counts patience in steps and evaluates after so
        many, so these two are given it by the epoch.
        """
        nlp = self._trained
        config = nlp.config.copy()
        config["paths"] |= {split: f"{DATA}/{split}.spacy" for split in self._corpora}
        config["training"] |= {"eval_frequency": self._steps, "patience": self._patience * self._steps}
        nlp.config = config
        config.to_disk(folder / "config.cfg")
        if self._log_text:
            (folder / DATA).mkdir(parents=True, exist_ok=True)
            for split, file in self._corpora.items():
                shutil.copyfile(file, folder / DATA / f"{split}.spacy")
        nlp.to_disk(self._work / "model")

    @fast_products()
    def load(self, folder: Path) -> None:
        """Load the model back; raises RuntimeError if it predicts otherwise than the one that was trained."""
        trained = self.predict(self._sample)
        self._nlp = spacy.load(self._work / "model")
        check_reloaded(self._sample, trained, self.predict(self._sample))

    @fast_products()
    def predict(self, sentences: Sequence[Sentence]) -> list[Prediction]:
        """Predict given tokens. Greedy NER gives no confidence."""
        nlp = self._trained
        docs = (Doc(nlp.vocab, words=sentence.tokens) for sentence in sentences)
        return [Prediction(_tags(doc)) for doc in nlp.pipe(docs)]

    def pipeline(self) -> Language:
        """The loaded pipeline, tokenizer included."""
        return self._trained

    def tokens(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The tokens that the pipeline splits raw texts into."""
        docs = map(self._trained.make_doc, texts)
        return [tuple(token.text for token in doc if not token.is_space) for doc in docs]

    def close(self) -> None:
        """Remove the work folder."""
        shutil.rmtree(self._work, ignore_errors=True)

    @property
    def _trained(self) -> Language:
        if self._nlp is None:
            raise RuntimeError("train comes first")
        return self._nlp


class _Loop:
    """The updates, an epoch at a time.

    What an epoch does follows from the weights, the optimizer, the seed and the epoch's number: it is seeded anew, and
    so is its order of the sentences, so a training that goes on needs no more than those.
    """

    def __init__(self, nlp: Language, seed: int) -> None:
        """Read the examples and make the optimizer and the batcher as the pipeline's config says."""
        config = nlp.config.interpolate()
        settings = registry.resolve(config["training"], schema=ConfigSchemaTraining)
        (read,) = resolve_dot_names(config, [settings["train_corpus"]])
        self.optimizer = settings["optimizer"]
        self.steps_of_last_epoch = 0
        self._nlp = nlp
        self._seed = seed
        self._settings = settings
        self._examples = list(read(nlp))
        self._step = 0
        self._trained = [pipe for name, pipe in _trainable(nlp) if name not in settings["frozen_components"]]
        # Of other components who knows; and what annotates writes into the examples.
        known = {nlp.get_pipe_meta(name).factory for name in nlp.pipe_names} <= {"tok2vec", "ner"}
        self._leave_examples_alone = known and not settings["annotating_components"]

    def epoch(self, number: int) -> float:
        """Update the model by every example once; the loss of the NER, summed up."""
        settings = self._settings
        losses: dict[str, float] = {}
        for batch in self._batches(number):
            if settings["before_update"]:
                settings["before_update"](self._nlp, {"step": self._step, "epoch": number - 1})
            for part in subdivide_batch(batch, settings["accumulate_gradient"]):
                self._update(part, losses)
            for pipe in self._trained:
                pipe.finish_update(self.optimizer)
            self._count()
        return float(losses["ner"])

    def go_on(self, epochs: int, state: State) -> None:
        """Stand where the training stood after so many epochs."""
        for number in range(1, epochs + 1):  # schedules of rates and sizes can only be run through
            for _ in self._batches(number):
                self._count()
        _set_weights(self._nlp, state.weights)
        keys = {place: key for key, place in _places(self._nlp).items()}
        for name, value in state.optimizer.items():
            by_key = {(keys[place], param): kept for (place, param), kept in value.items()}
            if name == "averages" and self.optimizer.averages is None:
                continue
            getattr(self.optimizer, name).update(by_key)

    def optimizer_state(self) -> dict[str, Any]:
        """What the optimizer has gathered, each value under (place of the layer in the pipeline, parameter)."""
        places = _places(self._nlp)
        return {
            name: {(places[key], param): kept for (key, param), kept in (getattr(self.optimizer, name) or {}).items()}
            for name in ("mom1", "mom2", "averages", "nr_update", "last_seen")
        }

    def _update(self, batch: list[Example], losses: dict[str, float]) -> None:
        """Do as `nlp.update`, which copies the examples and so aligns them anew each time: here they are left as is."""
        settings = self._settings
        if self._leave_examples_alone:
            for pipe in self._trained:
                pipe.update(batch, drop=settings["dropout"], losses=losses)
        else:
            self._nlp.update(
                batch,
                drop=settings["dropout"],
                losses=losses,
                sgd=False,
                exclude=settings["frozen_components"],
                annotates=settings["annotating_components"],
            )

    def _batches(self, number: int) -> Iterator[list[Example]]:
        fix_random_seed(random.Random(f"{self._seed} {number}").getrandbits(32))
        self.steps_of_last_epoch = 0
        order = random.sample(self._examples, len(self._examples))
        yield from self._settings["batcher"](order)

    def _count(self) -> None:
        self.optimizer.step_schedules()
        self._step += 1
        self.steps_of_last_epoch += 1


def _trainable(nlp: Language) -> list[tuple[str, Any]]:
    return [(name, pipe) for name, pipe in nlp.pipeline if getattr(pipe, "is_trainable", False)]


def _layers(nlp: Language) -> Iterator[tuple[tuple[str, int], Model]]:
    """The layers of all components by their place, which is the same in another process."""
    for name, pipe in _trainable(nlp):
        for number, layer in enumerate(pipe.model.walk()):
            yield (name, number), layer


def _places(nlp: Language) -> dict[int, Any]:
    """Where what has an id, by which the optimizer knows it, stands in the pipeline."""
    places: dict[int, Any] = {}
    for place, layer in _layers(nlp):
        places.setdefault(layer.id, place)
        places |= {shim.id: (*place, number) for number, shim in enumerate(layer.shims)}
    return places


def _weights(nlp: Language) -> dict[str, Any]:
    """The weights of each component; and the labels that the NER has not met yet, which spaCy does not save."""
    unseen = {place: set(layer.attrs["unseen_classes"]) for place, layer in _layers(nlp) if _counts_classes(layer)}
    return {"models": {name: pipe.model.to_bytes() for name, pipe in _trainable(nlp)}, "unseen": unseen}


def _set_weights(nlp: Language, weights: Mapping[str, Any]) -> None:
    for name, pipe in _trainable(nlp):
        pipe.model.from_bytes(weights["models"][name])
    for place, layer in _layers(nlp):
        if _counts_classes(layer):
            layer.attrs["unseen_classes"] = set(weights["unseen"][place])


def _counts_classes(layer: Model) -> bool:
    return "unseen_classes" in layer.attrs


def _text(nlp: Language, *folders: Path | str) -> str:
    """The config as text without these folders, which are others each time."""
    text = str(nlp.config.to_str())
    for folder in filter(None, folders):
        text = text.replace(str(folder), "")
    return text


def _check_labels(nlp: Language, labels: set[str]) -> None:
    """Refuse labels that an NER which does not start from nothing can't learn any more."""
    known = nlp.get_pipe("ner").labels
    if unknown := sorted(labels.difference(known)):
        raise BadInput(
            f"the corpus has the labels {', '.join(unknown)}, which the model to train on from lacks",
            f"give a corpus with its labels ({', '.join(known)}), or train from nothing",
        )


def _batch_sizes(stop: int) -> dict[str, object]:
    return {"@schedules": "compounding.v1", "start": min(100, stop), "stop": stop, "compound": 1.001}


def write_corpus(sentences: Sequence[Sentence], file: Path) -> None:
    """Write sentences as spaCy's binary corpus; without spaces, so that the reader keeps our tokens."""
    vocab = Vocab()
    docs = (Doc(vocab, words=s.tokens, ents=s.tags) for s in sentences)
    DocBin(docs=docs).to_disk(file)


def _tags(doc: Doc) -> tuple[str, ...]:
    return tuple(f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else "O" for t in doc)
