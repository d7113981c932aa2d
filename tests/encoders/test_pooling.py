from pathlib import Path

import numpy as np
import pytest
from tiny_encoder import PIECES, write_encoder
from twinner.encoders.export import MODEL
from twinner.encoders.find import find_encoder
from twinner.encoders.pieces import vocabulary
from twinner.encoders.pooling import pool_words
from twinner.encoders.run import ARCHITECTURES, Encoder


def outputs(folder: Path, ids: list[int]) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Return the vectors of all pieces: (pieces, dimension)."""
    return Encoder(folder)._run(ids)


def test_every_piece_has_the_mean_of_its_word(tmp_path: Path) -> None:
    plain = write_encoder(tmp_path / "plain", ["ada", "babb"])
    pooled = write_encoder(tmp_path / "pooled", ["ada", "babb"])
    pool_words(plain / MODEL, vocabulary(plain), pooled / MODEL)
    ids = {piece: id for id, piece in enumerate(vocabulary(plain))}
    pieces = [ids[piece] for piece in ("ada", "babb", "##er", "##s", "babb", ".", "ada", "##s")]
    before, after = outputs(plain, pieces), outputs(pooled, pieces)
    words = [[0], [1], [2, 3, 4], [5], [6], [7, 8], [9]]  # with [CLS] and [SEP]
    for word in words:
        assert after[word] == pytest.approx(np.tile(before[word].mean(axis=0), (len(word), 1)), abs=1e-5)


def test_a_word_of_one_piece_keeps_its_vector(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", ["ada"])
    ids = [len(PIECES)] * 3
    before = outputs(folder, ids)
    pool_words(folder / MODEL, vocabulary(folder), folder / MODEL)
    assert outputs(folder, ids) == pytest.approx(before, abs=1e-6)


def test_minilm_is_read_word_by_word() -> None:
    """Every piece of a word has the same vector."""
    found = find_encoder("minilm", ARCHITECTURES)
    ids = {piece: id for id, piece in enumerate(vocabulary(found.folder))}
    vectors = outputs(found.folder, [ids["green"], ids["##land"], ids["runs"]])
    assert vectors[1] == pytest.approx(vectors[2], abs=1e-6)
    assert vectors[2] != pytest.approx(vectors[3], abs=0.1)
