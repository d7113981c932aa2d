from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from tiny_encoder import write_encoder
from twinner.encoders.layers import cut_layers
from twinner.encoders.masks import derive_masks

IDS = [0, 9, 10, 2]


def test_the_mask_follows_from_the_ids(tmp_path: Path) -> None:
    model = write_encoder(tmp_path / "encoder", ["ada", "lives"]) / "model.onnx"
    derive_masks(model, tmp_path / "derived.onnx")
    right = {"input_ids": [IDS], "attention_mask": [[1] * 4], "token_type_ids": [[0] * 4]}
    expected: Any = onnxruntime.InferenceSession(model).run(None, right)
    padded = [[*IDS, 1, 1]]
    wrong = [[int(id != 0) for id in padded[0]]]  # as Spark NLP masks
    session = onnxruntime.InferenceSession(tmp_path / "derived.onnx")
    found: Any = session.run(None, {"input_ids": padded, "attention_mask": wrong})
    np.testing.assert_allclose(found[0][0, :4], expected[0][0], rtol=1e-4)


def test_an_encoder_cut_before_has_its_layers_still(tmp_path: Path) -> None:
    model = write_encoder(tmp_path / "encoder", ["ada", "lives"]) / "model.onnx"
    cut_layers(model, [1, 2], tmp_path / "cut.onnx")
    derive_masks(tmp_path / "cut.onnx", tmp_path / "cut.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "cut.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "cut.onnx")
    assert session.get_inputs()[0].name == "input_ids"
    found: Any = session.run(None, {"input_ids": [IDS], "attention_mask": [IDS]})
    assert found[0].shape == (1, 4, 16)
