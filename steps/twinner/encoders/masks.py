"""Make an XLM-RoBERTa export independent of the inputs that Spark NLP fills wrongly or not at all.

Its annotator gives a mask that hides `<s>`, whose id is 0, and shows `<pad>`; and it gives no types, which exports of
BERT with XLM-RoBERTa's vocabulary (multilingual-e5-small) ask for.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

PAD = 1  # the id of `<pad>`
IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"


def derive_masks(source: Path, target: Path) -> None:
    """Write an encoder that takes its mask from the ids of the pieces, and its types, if it has any, as 0.

    source, target: ONNX files. The inputs become the ids and a mask that is not used.
    """
    model = onnx.load(source)
    graph = model.graph
    constants = {"masks_pad": PAD, "masks_zero": 0, "masks_one": 1}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()
    )
    derived = [
        helper.make_node("Equal", [IDS, "masks_pad"], ["masks_is_pad"]),
        helper.make_node("Where", ["masks_is_pad", "masks_zero", "masks_one"], [f"derived_{MASK}"]),
        helper.make_node("Mul", [IDS, "masks_zero"], [f"derived_{TYPES}"]),
    ]
    for node in graph.node:
        _rename_inputs(node)
    nodes = [*derived, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    others = [value for value in graph.input if value.name not in (IDS, MASK, TYPES)]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "pieces"]) for name in (IDS, MASK)]
    del graph.input[:]
    graph.input.extend([*inputs, *others])
    onnx.save(model, target)


def _rename_inputs(node: NodeProto) -> None:
    for place, name in enumerate(node.input):
        if name in (MASK, TYPES):
            node.input[place] = f"derived_{name}"
