"""Vectors of a corpus's sentences in a file, computed once and read as they are needed."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from twinner.encoders.embedding_cache import Embeddings, digest_of
from twinner.encoders.run import Encoder, Vectors
from twinner.encoders.runtime import onnxruntime

VERSION = 1  # bump it to invalidate cached vectors
PART = 256  # sentences that are in memory at once

Tokens = tuple[str, ...]


class VectorFile(Mapping[Tokens, Vectors]):
    """The vectors of sentences, by their tokens: (tokens, dimension) each."""

    def __init__(self, file: Path, sentences: Sequence[Tokens]) -> None:
        """file: the vectors of all tokens of these sentences, in order, as NumPy saves an array."""
        self._vectors = np.load(file, mmap_mode="r")
        self._spans: dict[Tokens, tuple[int, int]] = {}
        start = 0
        for sentence in sentences:
            self._spans[sentence] = (start, start := start + len(sentence))

    def __getitem__(self, sentence: Tokens) -> Vectors:
        """Read the vectors of a sentence."""
        start, end = self._spans[sentence]
        return self._vectors[start:end].astype(np.float32)

    def __iter__(self) -> Iterator[Tokens]:
        """Iterate over the sentences."""
        return iter(self._spans)

    def __len__(self) -> int:
        """Return the number of sentences."""
        return len(self._spans)


def vector_file(encoder: Encoder, sentences: Iterable[Tokens], embeddings: Embeddings) -> VectorFile:
    """Return the vectors of sentences, which are computed if they are not among these embeddings.

    The file has two bytes for each of a token's dimensions.
    """
    unique = sorted(set(sentences))
    key = digest_of(VERSION, onnxruntime.__version__, encoder.digest, unique)

    shape = (sum(map(len, unique)), encoder.dimension)

    def compute(folder: Path) -> None:
        rows = np.lib.format.open_memmap(folder / "vectors.npy", mode="w+", dtype=np.float16, shape=shape)
        place = 0
        with tqdm(total=len(unique), unit="sentence", desc="embedding") as bar:
            for at in range(0, len(unique), PART):
                for vectors in encoder.vectors(unique[at : at + PART]):
                    rows[place : place + len(vectors)] = vectors
                    place += len(vectors)
                bar.update(len(unique[at : at + PART]))
        rows.flush()

    return VectorFile(embeddings.get(key, compute, size=2 * math.prod(shape)) / "vectors.npy", unique)
