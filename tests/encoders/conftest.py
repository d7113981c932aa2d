"""A hub with a model, for the tests of what is fetched from it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from hub_server import HubServer, Model
from onnx import TensorProto, helper, numpy_helper
from twinner.encoders.hub import hub_folder
from twinner.errors import BadInput

MAIN = "a" * 40
WORDPIECES = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\nUlm\n##er\n"


def encoder(size: int = 1000) -> onnx.ModelProto:
    """Make an ONNX model that looks up a vector for each id."""
    weights = numpy_helper.from_array(np.arange(size * 4, dtype="float32").reshape(size, 4), "weights")
    node = helper.make_node("Gather", ["weights", "input_ids"], ["last_hidden_state"])
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", 4])
    return helper.make_model(helper.make_graph([node], "encoder", [ids], [states], [weights]))


ENCODER = encoder().SerializeToString()
FILES = {
    "config.json": b'{"model_type": "bert", "max_position_embeddings": 512}',
    "tokenizer_config.json": b'{"do_lower_case": false}',
    "vocab.txt": WORDPIECES,
    "onnx/model.onnx": ENCODER,
    "model.safetensors": b"the weights in another format" * 1000,
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Iterator[HubServer]:
    """A hub with the model `org/model`, and no pauses between requests."""
    server = HubServer()
    server.models["org/model"] = Model(FILES)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield server
    server.stop()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The folder of the cache with what came from the hub."""
    return tmp_path / "cache" / "models" / "hf"


def error_for(name: str, *known: str) -> str:
    with pytest.raises(BadInput) as caught:
        hub_folder(name, known)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without(*names: str) -> dict[str, bytes]:
    return {name: content for name, content in FILES.items() if name not in names}


def stored(content: bytes) -> str:
    """The path of a large file in the hub's store."""
    return f"/{hashlib.sha256(content).hexdigest()}"
