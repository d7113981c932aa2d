from pathlib import Path

import pytest
from twinner.encoders.names import EncoderName, parse_name
from twinner.errors import BadInput


@pytest.mark.parametrize(
    ("name", "source", "layers"),
    [
        ("minilm", "minilm", ()),
        ("minilm:4", "minilm", (4,)),
        ("e5:3+6", "e5", (3, 6)),
        ("e5:6+0", "e5", (6, 0)),
        ("hf:org/model", "hf:org/model", ()),
        ("hf:org/model@main:2", "hf:org/model@main", (2,)),
        ("/a:b/model", "/a:b/model", ()),
        ("/a/model:12", "/a/model", (12,)),
        ("bert_base_cased", "bert_base_cased", ()),
    ],
)
def test_splits_a_name(name: str, source: str, layers: tuple[int, ...]) -> None:
    assert parse_name(name) == EncoderName(source, layers)
    assert str(parse_name(name)) == name


def test_a_folder_may_end_like_layers(tmp_path: Path) -> None:
    (tmp_path / "model:3").mkdir()
    assert parse_name(f"{tmp_path}/model:3") == EncoderName(f"{tmp_path}/model:3")
    assert parse_name(f"{tmp_path}/model:3:4") == EncoderName(f"{tmp_path}/model:3", (4,))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("minilm:", "embeddings=minilm:: '' names no layers; write them as in minilm:3+6"),
        ("minilm:last", "embeddings=minilm:last: 'last' names no layers; write them as in minilm:3+6"),
        ("minilm:3,6", "embeddings=minilm:3,6: '3,6' names no layers; write them as in minilm:3+6"),
        ("minilm:-1", "embeddings=minilm:-1: '-1' names no layers; write them as in minilm:3+6"),
        ("hf:org/model:3+", "embeddings=hf:org/model:3+: '3+' names no layers; write them as in minilm:3+6"),
        ("minilm:3+3", "embeddings=minilm:3+3: a layer is named twice; name each layer once"),
    ],
)
def test_rejects_wrong_layers(name: str, problem: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_name(name)
    assert str(caught.value) == problem
