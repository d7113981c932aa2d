"""Word dropout: hide rare words in training, as unseen words will be hidden from the model.

The hash embedding of a word that training has not met is the sum of rows that belong to other words. A model that meets
such sums in training learns to go by the affixes, the shape and the context instead. A word that occurs n times is
hidden with probability a / (a + n), as Kiperwasser and Goldberg (2016) do: https://aclanthology.org/Q16-1023
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from spacy.attrs import NORM, ORTH
from spacy.training import Example

SECTION = "twinner"  # of the config; spaCy leaves it alone
SETTING = "hide_rare_words"  # a of the formula; 0, the default, hides none


class RareWords:
    """Counts the words of the training data, and hides some of them anew in each epoch."""

    def __init__(self, a: float) -> None:
        """a: of the formula above."""
        self._a = a
        self._counts: Counter[int] = Counter()  # by norm
        self._norms: dict[int, int] = {}  # by word

    def count(self, example: Example) -> None:
        """Count the words of an example of the training data."""
        if not self._a:
            return
        words, norms = example.predicted.to_array([ORTH, NORM]).T.tolist()
        self._norms.update(zip(words, norms, strict=True))
        self._counts.update(norms)

    def hide(self, examples: Iterable[Example], seed: int) -> Iterator[Example]:
        """Yield the counted examples; hidden words have a random norm, the others their own."""
        if not self._a:
            yield from examples
            return
        known = sorted(self._norms)
        words = np.array(known, np.uint64)
        norms = np.array([self._norms[word] for word in known], np.uint64)
        counts = np.array([self._counts[norm] for norm in norms.tolist()])
        hidden = self._a / (self._a + counts)
        random = np.random.default_rng(seed)
        for example in examples:
            places = np.searchsorted(words, example.predicted.to_array(ORTH))
            values = norms[places]
            chosen = random.random(len(values)) < hidden[places]
            values[chosen] = random.integers(1 << 63, size=int(chosen.sum()), dtype=np.uint64)
            example.predicted.from_array([NORM], values.reshape(-1, 1))
            yield example
