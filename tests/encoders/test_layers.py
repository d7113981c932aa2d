from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from tiny_encoder import write_encoder
from twinner.encoders.layers import cut_layers, layer_outputs
from twinner.errors import BadInput

FEEDS = {
    "input_ids": np.array([[2, 9, 10, 3]]),
    "attention_mask": np.ones((1, 4), np.int64),
    "token_type_ids": np.zeros((1, 4), np.int64),
}


@pytest.fixture(params=[False, True], ids=["one node", "spelled out"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_encoder(tmp_path / "encoder", ["ada", "lives"], layers=3, spelled_out=request.param) / "model.onnx"


@pytest.mark.parametrize("layers", [(2,), (0,), (3,), (1, 2), (2, 1), (1, 3), (3, 0)], ids=str)
def test_the_output_is_that_of_the_layers(layers: tuple[int, ...], model: Path, tmp_path: Path) -> None:
    cut_layers(model, layers, tmp_path / "cut.onnx")
    whole = onnx.load(model)
    names = layer_outputs(whole)
    assert len(names) == 4
    for name in names[:-1]:
        whole.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    by_layer: Any = ReferenceEvaluator(whole).run([names[layer] for layer in layers], FEEDS)
    (vectors,) = ReferenceEvaluator(onnx.load(tmp_path / "cut.onnx")).run(["last_hidden_state"], FEEDS)
    np.testing.assert_array_equal(vectors, np.concatenate(by_layer, axis=-1))


def test_what_stands_behind_the_last_layer_is_removed(model: Path, tmp_path: Path) -> None:
    cut_layers(model, [1], tmp_path / "cut.onnx")
    cut, whole = onnx.load(tmp_path / "cut.onnx"), onnx.load(model)
    assert len(cut.graph.initializer) < len(whole.graph.initializer) / 2
    assert [value.name for value in cut.graph.input] == [value.name for value in whole.graph.input]
    assert [value.name for value in cut.graph.output] == ["last_hidden_state"]


def test_rejects_a_layer_that_is_not_there(model: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"the encoder has no layer 7; give layers from 0 to 3"):
        cut_layers(model, [1, 7], tmp_path / "cut.onnx")


def test_rejects_a_graph_without_layers(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    output = helper.make_tensor_value_info("last_hidden_state", onnx.TensorProto.FLOAT, [1])
    node = helper.make_node("Relu", ["x"], ["last_hidden_state"])
    onnx.save(helper.make_model(helper.make_graph([node], "g", [value], [output])), tmp_path / "model.onnx")
    with pytest.raises(BadInput, match="the layers of this encoder can't be told apart; use it without layers"):
        cut_layers(tmp_path / "model.onnx", [1], tmp_path / "cut.onnx")
