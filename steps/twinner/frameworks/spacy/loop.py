"""The training loop, an epoch at a time, over spaCy's readers, batcher, optimizer and updates.

spaCy's own loop counts steps: it evaluates between epochs, not after each, and can't resume.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.training import Example
from spacy.training.loop import subdivide_batch
from spacy.util import registry
from thinc.api import fix_random_seed, get_current_ops

from twinner.corpus import Sentence
from twinner.errors import BadInput
from twinner.frameworks.contract import Prediction
from twinner.frameworks.spacy.config import LINEAR_DECAY
from twinner.frameworks.spacy.examples import KeptExamples, StreamedExamples, epoch_seed
from twinner.frameworks.spacy.halves import Halves, can_share_updates
from twinner.frameworks.spacy.rare_words import SECTION, SETTING, RareWords
from twinner.frameworks.spacy.weights import (
    has_shims,
    optimizer_keys,
    set_weights,
    shapes,
    to_numpy,
    trainable,
    weights_of,
)

MOMENTS = ("mom1", "mom2", "averages")  # arrays of the optimizer, by layer and parameter
COUNTS = ("nr_update", "last_seen")  # whole numbers of the optimizer, by layer and parameter


class TrainingLoop:
    """The updates of a training, an epoch at a time.

    Each epoch is seeded anew, also for the order of its sentences, so it follows from the weights, the optimizer's
    state, the seed and its number alone: these are all that a resumed training needs.
    """

    def __init__(
        self,
        nlp: Language,
        seed: int,
        dev: Sequence[Sentence],
        predict: Callable[[Sequence[Sentence]], list[Prediction]],
        files: Sequence[Path] = (),
        in_halves: bool = False,
    ) -> None:
        """Make the training examples, the optimizer and the batcher as the pipeline's config says.

        dev, predict: the sentences for `predict_dev`, and what predicts them. files: the training corpus in parts, in
        spaCy's format, to be read anew each epoch, a few at a time; without files the examples are read once, from
        where the config says. in_halves: let two processes share the work, if the pipeline allows it.
        """
        config = nlp.config.interpolate()
        training = config["training"]
        # Other components, and annotating ones, may change the examples.
        known = {nlp.get_pipe_meta(name).factory for name in nlp.pipe_names} <= {"tok2vec", "ner"}
        self._reuse_examples = known and not training["annotating_components"]
        self._rare_words = RareWords(config.get(SECTION, {}).get(SETTING, 0.0))
        see = self._rare_words.count
        self._examples = StreamedExamples(nlp, files, see) if files else KeptExamples(nlp, self._reuse_examples, see)
        self._seed = seed
        self._end_learning_rate_with_training(nlp)
        settings = registry.resolve(nlp.config.interpolate()["training"], schema=ConfigSchemaTraining)
        self.steps_of_last_epoch = 0
        self._nlp = nlp
        self._settings = settings
        self._optimizer = settings["optimizer"]
        self._step = 0
        self._dev, self._predict_sentences = dev, predict
        self._updated = [pipe for name, pipe in trainable(nlp) if name not in settings["frozen_components"]]
        changes = settings["before_update"] or has_shims(nlp) or not self._reuse_examples
        self.in_halves = in_halves and not changes and can_share_updates()
        self._halves: Halves | None = None

    def run_epoch(self, number: int) -> float:
        """Update the model with every example once; return the summed loss of the NER. number: from 1."""
        if self.in_halves and not self._halves:  # not earlier: `restore` replaces the weights
            tasks: dict[str, Callable[..., Any]] = {"train": self._train, "predict": self._predict}
            self._halves = Halves([pipe.model for pipe in self._updated], self._optimizer, tasks)
        return sum(self._halves.both("train", number)) if self._halves else self._train(number)

    def predict_dev(self) -> list[Prediction]:
        """Predict the sentences of dev, with the running means of the weights."""
        if not self._halves:
            return self._predict()
        predicted = [Prediction((), ())] * len(self._dev)
        predicted[::2], predicted[1::2] = self._halves.both("predict")
        return predicted

    def close(self) -> None:
        """End the second process, if there is one."""
        if self._halves:
            self._halves.close()

    def _train(self, number: int) -> float:
        settings = self._settings
        losses: dict[str, float] = {}
        for batch in self._batches(number):
            if settings["before_update"]:
                settings["before_update"](self._nlp, {"step": self._step, "epoch": number - 1})
            for part in subdivide_batch(batch, settings["accumulate_gradient"]):
                if own := self._halves.own(part) if self._halves else part:
                    self._update(own, losses)
            if self._halves:
                self._halves.finish_update()
            else:
                for pipe in self._updated:
                    pipe.finish_update(self._optimizer)
            self._count_step()
        return float(losses.get("ner", 0.0))

    def _predict(self) -> list[Prediction]:
        own = self._dev[self._halves.rank :: 2] if self._halves else self._dev
        with self.averaged_weights():
            return self._predict_sentences(own)

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Use the running means of the weights within the block, if the optimizer keeps them."""
        return self._nlp.use_params(self._optimizer.averages or {})

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the weights and the optimizer's state, as named arrays for `restore`."""
        state = {f"weights/{name}": weights for name, weights in weights_of(self._nlp).items()}
        keys = optimizer_keys(self._nlp)
        for group in (*MOMENTS, *COUNTS):
            values = getattr(self._optimizer, group) or {}
            state |= {f"{group}/{name}": to_numpy(values[key]) for name, key in keys.items() if key in values}
        return state

    def restore(self, epochs: int, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue after this number of epochs, from what `state` returned then.

        Raises BadInput if the state does not fit the pipeline.
        """
        for number in range(1, epochs + 1):  # schedules of rates and batch sizes can only be stepped through
            self.steps_of_last_epoch = 0
            for _ in self._settings["batcher"](self._examples.lengths(self._seed, number)):
                self._count_step()
        groups = {
            group: {name.partition("/")[2]: array for name, array in state.items() if name.startswith(f"{group}/")}
            for group in ("weights", *MOMENTS, *COUNTS)
        }
        keys = optimizer_keys(self._nlp)
        known = all(groups[group].keys() <= keys.keys() for group in (*MOMENTS, *COUNTS))
        if not known or shapes(groups["weights"]) != shapes(weights_of(self._nlp)):
            raise BadInput("the checkpoint's weights do not fit the pipeline", "start a new run")
        set_weights(self._nlp, groups["weights"])
        ops = get_current_ops()
        for group in MOMENTS:
            if (values := getattr(self._optimizer, group)) is not None:  # an optimizer may keep no averages
                values.update({keys[name]: ops.asarray(array) for name, array in groups[group].items()})
        for group in COUNTS:
            getattr(self._optimizer, group).update({keys[name]: int(array) for name, array in groups[group].items()})

    def _update(self, batch: list[Example], losses: dict[str, float]) -> None:
        """Update like `nlp.update`, which copies the examples, and so aligns their tokens again, at every step."""
        settings = self._settings
        if self._reuse_examples:
            for pipe in self._updated:
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
        self.steps_of_last_epoch = 0
        examples = self._examples.epoch(self._seed, number)
        if self._halves and self._halves.rank:  # other dropout than in the other half
            fix_random_seed(epoch_seed(self._seed, -number))
        yield from self._settings["batcher"](self._rare_words.hide(examples, epoch_seed(self._seed, number)))

    def _end_learning_rate_with_training(self, nlp: Language) -> None:
        """Let a linear decay of the learning rate reach 0 with the last update, in the pipeline's config.

        The number of updates follows from the order of the examples, whose lengths fill the batches.
        """
        config = nlp.config
        training = config["training"]
        rate = training["optimizer"].get("learn_rate")
        if not (isinstance(rate, dict) and rate.get("@schedules") == LINEAR_DECAY):
            return
        batcher = registry.resolve({"batcher": config.interpolate()["training"]["batcher"]})["batcher"]
        epochs = range(1, training["max_epochs"] + 1)
        rate["total_steps"] = sum(1 for n in epochs for _ in batcher(self._examples.lengths(self._seed, n)))
        nlp.config = config

    def _count_step(self) -> None:
        self._optimizer.step_schedules()
        self._step += 1
        self.steps_of_last_epoch += 1
