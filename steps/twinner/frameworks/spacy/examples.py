"""The training examples of a pipeline, in another order in each epoch."""

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import registry, resolve_dot_names
from thinc.api import fix_random_seed

BUFFERED = 4  # files of streamed examples in memory at a time


class PreparedExample(Example):  # type: ignore[misc]
    """An example whose tokens and annotations do not change, so that they are aligned once, not at every update."""

    def __init__(self, predicted: Doc, reference: Doc) -> None:
        super().__init__(predicted, reference)
        self._ner: tuple[list[Span], list[str | None]] | None = None
        self._whole: list[Span] | None = None

    def get_aligned_ents_and_ner(self) -> tuple[list[Span], list[str | None]]:
        """Return the entities and the BILUO tags of the predicted tokens."""
        if self._ner is None:
            self._ner = super().get_aligned_ents_and_ner()
        return self._ner

    def get_aligned_spans_x2y(self, x_spans: list[Span], allow_overlap: bool = False) -> list[Span]:
        """Return the spans of the reference; spaCy asks again and again for the whole of it."""
        if len(x_spans) != 1 or len(x_spans[0]) != len(self):
            spans: list[Span] = super().get_aligned_spans_x2y(x_spans, allow_overlap)
            return spans
        if self._whole is None:
            self._whole = super().get_aligned_spans_x2y(x_spans, allow_overlap)
        return self._whole


class KeptExamples:
    """The training examples, read once and kept in memory."""

    def __init__(self, nlp: Language, prepare: bool, see: Callable[[Example], None]) -> None:
        """Read the examples from where the config says; prepare: they will not change. see: gets each of them once."""
        config = nlp.config.interpolate()
        (read,) = resolve_dot_names(config, [config["training"]["train_corpus"]])
        self._examples: list[Example] = list(read(nlp))
        if prepare:
            self._examples = [PreparedExample(each.predicted, each.reference) for each in self._examples]
        self._places = range(len(self._examples))
        for example in self._examples:
            see(example)

    def epoch(self, seed: int, number: int) -> Iterator[Example]:
        """Seed everything for an epoch, and return the examples in its order."""
        fix_random_seed(epoch_seed(seed, number))
        order = random.sample(self._places, len(self._places))
        return (self._examples[place] for place in order)

    def lengths(self, seed: int, number: int) -> Iterator[range]:
        """Yield a range as long as each example in words, in the order of an epoch."""
        order = random.Random(epoch_seed(seed, number)).sample(self._places, len(self._places))
        yield from (range(len(self._examples[place])) for place in order)


class StreamedExamples:
    """Training examples that are read anew each epoch: its order is that of files and, within a few files, of examples.

    Memory is bounded by the size of `BUFFERED` files.
    """

    def __init__(self, nlp: Language, files: Sequence[Path], see: Callable[[Example], None]) -> None:
        """files: parts of the training corpus in spaCy's format, for the config's reader. see: gets each example."""
        self._nlp = nlp
        self._files = files
        self._lengths: list[list[int]] = []
        for file in files:
            self._lengths.append([])
            for example in self._read(file):
                see(example)
                self._lengths[-1].append(len(example))

    def epoch(self, seed: int, number: int) -> Iterator[Example]:
        """Seed everything for an epoch, and return the examples in its order."""
        fix_random_seed(epoch_seed(seed, number))
        return self._read_in_order(seed, number)

    def lengths(self, seed: int, number: int) -> Iterator[range]:
        """Yield a range as long as each example in words, in the order of an epoch."""
        for files, order in self._orders(seed, number):
            lengths = [length for file in files for length in self._lengths[file]]
            yield from (range(lengths[place]) for place in order)

    def _read_in_order(self, seed: int, number: int) -> Iterator[Example]:
        for files, order in self._orders(seed, number):
            examples = [example for file in files for example in self._read(self._files[file])]
            yield from (examples[place] for place in order)

    def _orders(self, seed: int, number: int) -> Iterator[tuple[list[int], list[int]]]:
        order = random.Random(epoch_seed(seed, number))  # not the shared one, which the updates use as well
        files = order.sample(range(len(self._files)), len(self._files))
        for start in range(0, len(files), BUFFERED):
            buffered = files[start : start + BUFFERED]
            size = sum(len(self._lengths[file]) for file in buffered)
            yield buffered, order.sample(range(size), size)

    def _read(self, file: Path) -> Iterator[Example]:
        name = self._nlp.config["training"]["train_corpus"].removeprefix("corpora.")
        section = self._nlp.config.interpolate()["corpora"][name] | {"path": str(file)}
        yield from registry.resolve({"reader": section})["reader"](self._nlp)


def epoch_seed(seed: int, number: int) -> int:
    """Return the seed of an epoch of a training."""
    return random.Random(f"{seed} {number}").getrandbits(32)
