"""Take token vectors from chosen layers of an encoder, and drop what an ONNX graph computes behind them.

The last layer of an encoder serves the task that it was trained for; layers in the middle know more of the words.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper
from onnx.utils import Extractor

from twinner.encoders.export import OUTPUT
from twinner.errors import BadInput

FUSED = ("LayerNormalization", "SkipLayerNormalization", "EmbedLayerNormalization")


def cut_layers(source: Path, layers: Sequence[int], target: Path) -> None:
    """Write an encoder whose output is the given layers' vectors, side by side; it ends behind the last of them.

    source, target: ONNX files. layers: counted from 1; 0 is the layer of the input embeddings. The output has the
    shape (sentences, pieces, dimension of a layer x number of layers).
    Errors: BadInput for a layer that the encoder lacks, and for a graph whose layers can't be told apart.
    """
    model = onnx.load(source)
    outputs = layer_outputs(model)
    if not outputs:
        raise BadInput("the layers of this encoder can't be told apart", "use it without layers", source)
    if missing := [layer for layer in layers if layer >= len(outputs)]:
        last = len(outputs) - 1
        raise BadInput(f"the encoder has no layer {missing[0]}", f"give layers from 0 to {last}", source)
    onnx.save(_with_output(model, [outputs[layer] for layer in layers]), target)


def layer_outputs(model: ModelProto) -> list[str]:
    """Return the names of the outputs of the embeddings and of each layer; empty if they can't be found.

    In BERT and its kin a layer normalization ends the embeddings, and two are in each layer: the second one ends it.
    """
    normalized = list(_normalizations(model.graph))
    if len(normalized) < 3 or len(normalized) % 2 == 0 or normalized[-1] not in _final_values(model.graph):
        return []
    return normalized[::2]


def _normalizations(graph: GraphProto) -> Iterator[str]:
    """Yield the outputs of all layer normalizations in order, in one node or spelled out as (x / d) * weight + bias."""
    made_by = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type in FUSED:
            yield node.output[0]
        elif node.op_type == "Add":
            scaled = _input_made_by(node, "Mul", made_by)
            if scaled is not None and _input_made_by(scaled, "Div", made_by) is not None and _has_vector(node, graph):
                yield node.output[0]


def _input_made_by(node: NodeProto, kind: str, made_by: dict[str, NodeProto]) -> NodeProto | None:
    return next((made_by[name] for name in node.input if name in made_by and made_by[name].op_type == kind), None)


def _has_vector(node: NodeProto, graph: GraphProto) -> bool:
    """Whether a node takes a weight of one dimension, such as a bias."""
    vectors = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 1}
    return any(name in vectors for name in node.input)


def _final_values(graph: GraphProto) -> set[str]:
    """The outputs of a graph, and what they are mere copies of."""
    final = {output.name for output in graph.output}
    for node in reversed(graph.node):
        if node.op_type in ("Identity", "Cast") and node.output[0] in final:
            final.add(node.input[0])
    return final


def _with_output(model: ModelProto, names: Sequence[str]) -> ModelProto:
    inputs = [value.name for value in model.graph.input]
    model.graph.value_info.extend(_value(name) for name in set(names))  # the extractor asks for types
    cut = Extractor(model).extract_model(inputs, list(dict.fromkeys(names)))
    graph = cut.graph
    if list(names) == [OUTPUT]:
        return cut
    node = helper.make_node("Concat", list(names), [OUTPUT], axis=-1)
    if OUTPUT in names:  # is a layer's output itself: rename that
        for other in graph.node:
            for place, name in enumerate(other.output):
                if name == OUTPUT:
                    other.output[place] = f"{OUTPUT}_of_layer"
        node.input[:] = [f"{OUTPUT}_of_layer" if name == OUTPUT else name for name in names]
    graph.node.append(node)
    del graph.output[:]
    graph.output.append(_value(OUTPUT))
    onnx.checker.check_model(cut)
    return cut


def _value(name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "pieces", None])
