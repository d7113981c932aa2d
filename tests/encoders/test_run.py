from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from tiny_encoder import PIECES, write_encoder
from twinner.encoders.run import Encoder
from twinner.errors import BadInput

WORDS = ["ada", "lives", "in", "ulm"]
START, END = PIECES.index("[CLS]"), PIECES.index("[SEP]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_encoder(tmp_path / "encoder", WORDS)


def outputs(folder: Path, *pieces: int) -> np.ndarray:
    """Run the whole encoder with ONNX's own evaluator."""
    ids = np.array([[START, *pieces, END]])
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    output: Any = ReferenceEvaluator(onnx.load(folder / "model.onnx")).run(["last_hidden_state"], feeds)
    return np.asarray(output[0])[0, 1:-1].astype(np.float16).astype(np.float32)


def test_a_token_has_the_vector_of_its_first_piece(folder: Path) -> None:
    (vectors,) = Encoder(folder).vectors([["Ada", "lives", "inser", "."]])
    first = len(PIECES)
    ids = [first, first + 1, first + 2, PIECES.index("##s"), PIECES.index("##er"), PIECES.index(".")]
    np.testing.assert_allclose(vectors, outputs(folder, *ids)[[0, 1, 2, 5]], atol=2e-3)


def test_a_token_without_a_piece_has_zeros(folder: Path) -> None:
    encoder = Encoder(folder)
    (vectors,) = encoder.vectors([["Ada", " ", "lives"]])
    assert not vectors[1].any()
    np.testing.assert_array_equal(vectors[[0, 2]], encoder.vectors([["Ada", "lives"]])[0])


def test_a_sentence_has_the_same_vectors_in_any_company(folder: Path) -> None:
    encoder = Encoder(folder)
    sentences = [["Ada", "lives"], ["in", "Ulm", "."], [], ["Ada"] * 9]
    together = encoder.vectors(sentences)
    assert [array.shape for array in together] == [(len(sentence), 8) for sentence in sentences]
    for sentence, vectors in zip(sentences, together, strict=True):
        np.testing.assert_array_equal(encoder.vectors([sentence])[0], vectors)


def test_a_long_sentence_is_split_at_tokens(folder: Path) -> None:
    encoder = Encoder(folder)  # of 16 pieces, 2 of them at the ends
    tokens = ["ada"] * 13 + ["ins", "ulm"]  # the last window begins before `ins`, which has two pieces
    (vectors,) = encoder.vectors([tokens])
    np.testing.assert_array_equal(vectors, np.concatenate(encoder.vectors([tokens[:13], tokens[13:]])))


def test_a_token_longer_than_the_encoder_takes_is_cut(folder: Path) -> None:
    (vectors,) = Encoder(folder).vectors([["in" + "s" * 40, "ulm"]])
    assert vectors.all()


def test_the_digest_is_of_the_files(folder: Path, tmp_path: Path) -> None:
    same = write_encoder(tmp_path / "same", WORDS)
    other = write_encoder(tmp_path / "other", WORDS, seed=1)
    assert Encoder(folder).digest == Encoder(same).digest != Encoder(other).digest


def test_rejects_a_file_that_is_no_model(folder: Path) -> None:
    (folder / "model.onnx").write_text("no model")
    with pytest.raises(BadInput, match="ONNX Runtime can't load the encoder") as caught:
        Encoder(folder)
    assert "\n" not in str(caught.value)
