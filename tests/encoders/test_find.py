import shutil
from pathlib import Path

import onnx
import pytest
from tiny_encoder import write_encoder
from twinner.encoders.find import find_encoder
from twinner.encoders.run import ARCHITECTURES, Encoder
from twinner.errors import BadInput


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_encoder(tmp_path / "encoder", ["ada"])


def test_a_folder_without_layers_is_used_as_it_is(folder: Path) -> None:
    found = find_encoder(str(folder), ARCHITECTURES)
    assert found.folder == folder
    name, digest = found.description.rsplit(" ", 1)
    assert name == str(folder)
    assert Encoder(folder).digest.startswith(digest)


def test_layers_are_cut_once(folder: Path) -> None:
    found = find_encoder(f"{folder}:1+2", ARCHITECTURES)
    assert found.description.startswith(f"{folder}:1+2 ")
    assert Encoder(found.folder).dimension == 16
    (found.folder / "marker").touch()
    assert find_encoder(f"{folder}:1+2", ARCHITECTURES).folder == found.folder
    assert (found.folder / "marker").exists()


def test_another_encoder_in_the_same_folder_is_not_mistaken(folder: Path) -> None:
    before = find_encoder(f"{folder}:1", ARCHITECTURES)
    shutil.rmtree(folder)
    write_encoder(folder, ["ada"], seed=1)
    after = find_encoder(f"{folder}:1", ARCHITECTURES)
    assert before.description != after.description
    assert Encoder(before.folder).digest != Encoder(after.folder).digest


def test_weights_in_files_of_their_own_come_along(folder: Path) -> None:
    plain = Encoder(find_encoder(f"{folder}:2+1", ARCHITECTURES).folder).vectors([["ada"]])[0]
    model = onnx.load(folder / "model.onnx")
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    found = find_encoder(f"{folder}:2+1", ARCHITECTURES)
    assert (Encoder(found.folder).vectors([["ada"]])[0] == plain).all()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("{folder}:9", "embeddings={folder}:9: the encoder has no layer 9; give layers from 0 to 2"),
        ("other", "embeddings=other: there is no such encoder; use minilm, e5, hf:ORG/MODEL, or a folder"),
        ("word2vec", "embeddings=word2vec: there is no such encoder; use minilm, e5, hf:ORG/MODEL, or a folder"),
    ],
)
def test_rejects_what_can_not_be_had(name: str, problem: str, folder: Path) -> None:
    with pytest.raises(BadInput) as caught:
        find_encoder(name.format(folder=folder), ARCHITECTURES)
    assert str(caught.value).startswith(problem.format(folder=folder))


def test_rejects_an_architecture_that_can_not_be_run(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(BadInput, match="model_type 't5' is not known; use an encoder of one of bert, "):
        find_encoder(str(folder), ARCHITECTURES)
