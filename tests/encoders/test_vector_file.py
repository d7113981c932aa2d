from pathlib import Path

import numpy as np
from tiny_encoder import write_encoder
from twinner.encoders.embedding_cache import EmbeddingCache, Embeddings
from twinner.encoders.run import Encoder
from twinner.encoders.vector_file import vector_file

SENTENCES = [("ada", "lives"), ("in", "Ulm", "."), ("ada", "lives")]


def test_has_the_vectors_of_the_encoder(tmp_path: Path) -> None:
    encoder = Encoder(write_encoder(tmp_path / "encoder", ["ada", "lives", "ulm"]))
    vectors = vector_file(encoder, SENTENCES, Embeddings(None, tmp_path / "scratch"))
    assert set(vectors) == set(SENTENCES)
    for sentence, expected in zip(SENTENCES, encoder.vectors(SENTENCES), strict=True):
        np.testing.assert_array_equal(vectors[sentence], expected)
    assert ("never", "seen") not in vectors


def test_sentences_are_encoded_once_for_each_encoder(tmp_path: Path) -> None:
    def files(seed: int, sentences: list[tuple[str, ...]]) -> set[str]:
        encoder = Encoder(write_encoder(tmp_path / f"{seed}-{len(list(tmp_path.iterdir()))}", ["ada"], seed=seed))
        embeddings = Embeddings(EmbeddingCache(tmp_path / "cache"), tmp_path / "scratch")
        vector_file(encoder, sentences, embeddings)
        embeddings.close()
        return {path.parent.name for path in (tmp_path / "cache").glob("*/vectors.npy")}

    (first,) = files(0, SENTENCES)
    assert files(0, SENTENCES[::-1]) == {first}
    assert len(files(1, SENTENCES)) == 2
    assert len(files(1, SENTENCES[:1])) == 3
