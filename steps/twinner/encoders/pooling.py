"""Give each piece of a word the mean of the word's pieces, so that a token's first piece stands for all of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from twinner.encoders.export import OUTPUT
from twinner.encoders.masks import IDS
from twinner.encoders.pieces import CONTINUATION


def pool_words(source: Path, vocabulary: Sequence[str], target: Path) -> None:
    """Write an encoder whose output has, for every piece, the mean over the pieces of its word.

    source, target: ONNX files. vocabulary: WordPiece's pieces, in the order of their ids.
    """
    model = onnx.load(source)
    graph = model.graph
    of_pieces = f"{OUTPUT}_of_pieces"
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [of_pieces if name == OUTPUT else name for name in names]
    starts = np.array([not piece.startswith(CONTINUATION) for piece in vocabulary], np.float32)
    constants = {"starts_word": starts, "pieces": np.array(1), "row": np.array([1]), "column": np.array([2])}
    graph.initializer.extend(numpy_helper.from_array(value, f"pool_{name}") for name, value in constants.items())
    # Two pieces belong to one word if as many words have started before them.
    steps = [
        ("Gather", ["pool_starts_word", IDS], "pool_starts"),
        ("CumSum", ["pool_starts", "pool_pieces"], "pool_word"),
        ("Unsqueeze", ["pool_word", "pool_column"], "pool_words_in_columns"),
        ("Unsqueeze", ["pool_word", "pool_row"], "pool_words_in_rows"),
        ("Equal", ["pool_words_in_columns", "pool_words_in_rows"], "pool_is_same_word"),
    ]
    graph.node.extend(helper.make_node(kind, inputs, [output]) for kind, inputs, output in steps)
    graph.node.append(helper.make_node("Cast", ["pool_is_same_word"], ["pool_same_word"], to=TensorProto.FLOAT))
    steps = [
        ("ReduceSum", ["pool_same_word", "pool_column"], "pool_count"),
        ("Div", ["pool_same_word", "pool_count"], "pool_weights"),
        ("MatMul", ["pool_weights", of_pieces], OUTPUT),
    ]
    graph.node.extend(helper.make_node(kind, inputs, [output]) for kind, inputs, output in steps)
    onnx.checker.check_model(model)
    onnx.save(model, target)
