"""A small encoder with random weights, exported as BERT is, with a WordPiece vocabulary."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", ",", "-", "##s", "##er")
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def write_encoder(
    folder: Path,
    words: Sequence[str],
    dimension: int = 8,
    layers: int = 2,
    spelled_out: bool = False,
    seed: int = 0,
    rows: int = 0,
) -> Path:
    """Write an export to a new folder, and return it.

    spelled_out: whether layer normalizations are made of elementary nodes, as older exporters write them. rows: of the
    table of pieces, at least.
    """
    vocabulary = [*PIECES, *words]
    (folder / "assets").mkdir(parents=True)
    (folder / "assets" / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "max_position_embeddings": 16}))
    onnx.save(_model(max(rows, len(vocabulary)), dimension, layers, spelled_out, seed), folder / "model.onnx")
    return folder


def _model(words: int, dimension: int, layers: int, spelled_out: bool, seed: int) -> onnx.ModelProto:
    rng = np.random.default_rng(seed)
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []

    def constant(value: Any) -> str:
        weights.append(numpy_helper.from_array(np.asarray(value), f"w{len(weights)}"))
        return weights[-1].name

    def random(*shape: int) -> str:
        return constant(rng.normal(size=shape).astype(np.float32))

    def add(kind: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [f"n{len(nodes)}"], **attributes))
        return f"n{len(nodes) - 1}"

    def normalized(value: str) -> str:
        scale, bias = random(dimension), random(dimension)
        if not spelled_out:
            return add("LayerNormalization", value, scale, bias)
        centred = add("Sub", value, add("ReduceMean", value, axes=[-1]))
        variance = add("ReduceMean", add("Pow", centred, constant(np.float32(2))), axes=[-1])
        deviation = add("Sqrt", add("Add", variance, constant(np.float32(1e-5))))
        return add("Add", add("Mul", add("Div", centred, deviation), scale), bias)

    types = add("Gather", random(2, dimension), "token_type_ids")
    state = normalized(add("Add", types, add("Gather", random(words, dimension), "input_ids")))
    mask = add("Unsqueeze", add("Cast", "attention_mask", to=TensorProto.FLOAT), constant([-1]))
    for _ in range(layers):
        seen = add("ReduceSum", add("Mul", state, mask), constant([1]))  # what other words say
        around = add("Div", seen, add("ReduceSum", mask, constant([1])))
        state = normalized(add("Add", state, add("MatMul", around, random(dimension, dimension))))
        state = normalized(add("Add", state, add("MatMul", state, random(dimension, dimension))))
    nodes[-1].output[0] = "last_hidden_state"
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "pieces"]) for name in INPUTS]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "pieces", dimension])
    graph = helper.make_graph(nodes, "tiny", inputs, [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model
