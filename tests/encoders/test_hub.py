"""What is made of a model of the hub: the best export it has, with a vocabulary that Spark NLP reads."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from hub_server import HubServer, Model
from onnx import numpy_helper
from twinner.encoders.hub import hub_folder

from .conftest import ENCODER, FILES, encoder, error_for, files_in, stored, without


def test_prefers_full_precision_and_takes_what_there_is(hub: HubServer) -> None:
    small = encoder(600).SerializeToString()
    hub.models["org/both"] = Model(FILES | {"onnx/model_quantized.onnx": small, "model.onnx": small})
    assert (hub_folder("org/both").folder / "model.onnx").read_bytes() == ENCODER
    hub.models["org/small"] = Model(without("onnx/model.onnx") | {"onnx/model_quantized.onnx": small})
    assert (hub_folder("org/small").folder / "model.onnx").read_bytes() == small


def test_joins_weights_that_are_in_a_file_of_their_own(hub: HubServer, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    onnx.save(encoder(), made / "model.onnx", save_as_external_data=True, location="model.onnx_data")
    parts = {f"onnx/{name}": content for name, content in files_in(made).items()}
    assert set(parts) == {"onnx/model.onnx", "onnx/model.onnx_data"}
    hub.models["org/split"] = Model(FILES | parts)
    folder = hub_folder("org/split").folder
    assert "model.onnx_data" not in files_in(folder)
    (weights,) = onnx.load(folder / "model.onnx").graph.initializer
    assert numpy_helper.to_array(weights).tolist() == np.arange(4000).reshape(1000, 4).tolist()
    del parts["onnx/model.onnx_data"]
    hub.models["org/half"] = Model(FILES | parts)
    assert "its weights are in the file 'model.onnx_data', which it has not" in error_for("org/half")


@pytest.mark.parametrize(
    ("kind", "name", "asset"),
    [
        ("xlm-roberta", "sentencepiece.bpe.model", "sentencepiece.bpe.model"),
        ("camembert", "sentencepiece.bpe.model", "sentencepiece.bpe.model"),
        ("albert", "spiece.model", "spiece.model"),
        ("deberta-v2", "spm.model", "spm.model"),
        ("bert", "sentencepiece.bpe.model", "sentencepiece.bpe.model"),  # as in multilingual-e5-small
    ],
)
def test_places_a_sentencepiece_vocabulary_where_spark_nlp_reads_it(
    hub: HubServer, kind: str, name: str, asset: str
) -> None:
    config = json.dumps({"model_type": kind}).encode()
    hub.models["org/model"] = Model(without("vocab.txt") | {"config.json": config, name: b"pieces"})
    assert (hub_folder("org/model").folder / "assets" / asset).read_bytes() == b"pieces"


def test_writes_a_byte_pair_vocabulary_by_id(hub: HubServer) -> None:
    config = b'{"model_type": "roberta"}'
    files = {"config.json": config, "vocab.json": b'{"b": 1, "a": 0, "\xc4\xa0c": 2}', "merges.txt": b"a b\n"}
    hub.models["org/model"] = Model(without("vocab.txt") | files)
    folder = hub_folder("org/model").folder
    assert (folder / "assets" / "vocab.txt").read_text(encoding="utf-8") == "a\nb\nĠc\n"
    assert (folder / "assets" / "merges.txt").read_bytes() == b"a b\n"
    hub.models["org/other"] = Model(without("vocab.txt") | {"config.json": config})
    assert "it has no vocab.json and merges.txt; " in error_for("org/other")


def test_takes_wordpieces_out_of_a_tokenizer_json(hub: HubServer) -> None:
    vocabulary = {"Ulm": 3, "[UNK]": 1, "[PAD]": 0, "##er": 2}
    tokenizer = {"model": {"type": "WordPiece", "vocab": vocabulary}, "added_tokens": [{"id": 4, "content": "[X]"}]}
    files = without("vocab.txt") | {"tokenizer.json": json.dumps(tokenizer).encode()}
    hub.models["org/model"] = Model(files)
    folder = hub_folder("org/model").folder
    assert (folder / "assets" / "vocab.txt").read_text(encoding="utf-8") == "[PAD]\n[UNK]\n##er\nUlm\n[X]\n"
    assert (folder / "tokenizer.json").read_bytes() == files["tokenizer.json"]


@pytest.mark.parametrize(
    "tokenizer",
    [
        {"model": {"type": "Unigram", "vocab": [["a", -1.0]]}},
        {"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}},  # no token has the id 1
        {"model": {"type": "WordPiece", "vocab": {"a": 0}, "continuing_subword_prefix": "@@"}},
    ],
    ids=["unigram", "gap", "prefix"],
)
def test_refuses_another_tokenizer_json(hub: HubServer, tokenizer: object) -> None:
    hub.models["org/model"] = Model(without("vocab.txt") | {"tokenizer.json": json.dumps(tokenizer).encode()})
    assert error_for("org/model") == (
        "embeddings=hf:org/model: it has no WordPiece or SentencePiece vocabulary (vocab.txt, sentencepiece.bpe.model)"
        ", only a tokenizer.json, which Spark NLP can't read"
        "; use another model, or a folder with the export and its assets/"
    )
    assert stored(ENCODER) not in hub.fetched()


def test_refuses_what_is_no_encoder_for_us_before_the_large_file(hub: HubServer, cache: Path) -> None:
    hub.models["org/bare"] = Model(without("onnx/model.onnx"))
    assert error_for("org/bare") == (
        "embeddings=hf:org/bare: it has no ONNX file (as onnx/model.onnx, model.onnx, onnx/model_O1.onnx, …); "
        "use a model that has one, or a folder made by `optimum-cli export onnx --model org/bare FOLDER`"
    )
    message = "its model_type 'bert' is not known; use one of albert, xlm-roberta"
    assert error_for("org/model", "xlm-roberta", "albert") == f"embeddings=hf:org/model: {message}"
    hub.models["org/words"] = Model(without("vocab.txt"))
    assert "it has no WordPiece or SentencePiece vocabulary (vocab.txt" in error_for("org/words")
    hub.models["org/list"] = Model(FILES | {"config.json": b"[]"})
    assert "its config.json is not a JSON object" in error_for("org/list")
    hub.models["org/other"] = Model(without("config.json"))
    assert "it has no config.json" in error_for("org/other")
    assert stored(ENCODER) not in hub.fetched()
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    hub_folder("org/model")
    assert message in error_for("org/model", "xlm-roberta", "albert")  # from the cache too


def test_refuses_an_onnx_file_that_is_none(hub: HubServer) -> None:
    hub.models["org/model"] = Model(FILES | {"onnx/model.onnx": b"\xff" * 3000})
    assert error_for("org/model") == "embeddings=hf:org/model: its ONNX file can't be read; use another model"
