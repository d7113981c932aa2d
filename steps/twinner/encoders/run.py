"""Token vectors of an exported encoder through ONNX Runtime."""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twinner.encoders.export import MODEL, OUTPUT, digest_of_files, max_pieces
from twinner.encoders.pieces import pieces_of
from twinner.encoders.runtime import onnxruntime
from twinner.errors import BadInput

ARCHITECTURES = frozenset({"bert", "distilbert", "electra", "xlm-roberta"})  # the values of `model_type` it can run

Vectors = NDArray[np.float32]  # (tokens, dimension)


class Encoder:
    """An encoder that gives each token the vector of its first piece.

    A sentence's vectors do not depend on what else is encoded: each is run by itself, on one thread. A sentence that
    is too long for the encoder is split into windows at token borders.
    dimension: of a token's vector. digest: of the export's files.
    """

    def __init__(self, folder: Path) -> None:
        """folder: of an export. Errors: BadInput for a vocabulary or a model that can't be read."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # sentences are short: they run side by side instead
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(folder / MODEL), options, ["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has an error for each of its states
            reason = " ".join(str(error).split())[:200]
            raise BadInput(f"ONNX Runtime can't load the encoder ({reason})", "export it again", folder) from error
        self.digest = digest_of_files(folder)
        self._inputs = {value.name for value in self._session.get_inputs()}
        pieces, self._start, self._end = pieces_of(folder)
        self._pieces = functools.lru_cache(maxsize=100_000)(pieces)
        self._max_pieces = max_pieces(folder) - 2
        self.dimension = self._run([]).shape[1]

    def vectors(self, sentences: Sequence[Sequence[str]]) -> list[Vectors]:
        """Return the vectors of n sentences of tokens; zeros for tokens without a piece, such as spaces.

        They are rounded to 16 bits, so that vectors are the same whether they were kept in a file or not.
        """
        if len(sentences) == 1:
            return [self._encode(sentences[0])]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return list(pool.map(self._encode, sentences))

    def _encode(self, tokens: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(tokens), self.dimension), dtype=np.float32)
        for places, pieces in self._windows(tokens):
            output = self._run(pieces)
            for token, piece in places.items():
                vectors[token] = output[1 + piece]
        return vectors.astype(np.float16).astype(np.float32)

    def _windows(self, tokens: Sequence[str]) -> Iterator[tuple[Mapping[int, int], Sequence[int]]]:
        """Yield where the first pieces of tokens are among the pieces of a window, and these pieces."""
        places: dict[int, int] = {}
        window: list[int] = []
        for number, token in enumerate(tokens):
            pieces = self._pieces(token)[: self._max_pieces]
            if len(window) + len(pieces) > self._max_pieces:
                yield places, window
                places, window = {}, []
            if pieces:
                places[number] = len(window)
                window += pieces
        if places:
            yield places, window

    def _run(self, pieces: Sequence[int]) -> Vectors:
        """Return the output for each piece of one sentence, and for the two that begin and end it."""
        ids = np.array([[self._start, *pieces, self._end]], dtype=np.int64)
        feeds: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        (output,) = self._session.run([OUTPUT], {name: feeds[name] for name in self._inputs})
        return np.asarray(output[0])
