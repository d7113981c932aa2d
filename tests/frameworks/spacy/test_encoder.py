import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import numpy as np
import pytest
import spacy
from hub_server import HubServer, Model
from spacy.tokens import Doc
from spacy_train import spacy_train
from tiny_encoder import write_encoder
from twinner.corpus import Corpus, read_corpus
from twinner.encoders.run import Encoder
from twinner.errors import BadInput
from twinner.frameworks.spacy import encoder as module
from twinner.frameworks.spacy.config import OUR_CONFIG, training_config
from twinner.frameworks.spacy.encoder import encoder_of, encoder_vectors, known_vectors
from twinner.frameworks.spacy.trainer import SpacyTrainer
from twinner.serving import REQUIREMENTS

QUICK: dict[str, Any] = {"epochs": 2, "lr": 0.005, "batch_size": 100}
TEXTS = ["In Bad Aibling traf Béla niemanden .", "", "Dora wohnt in Rom ."]


@pytest.fixture(scope="session")
def corpus(small_corpus: Path) -> Corpus:
    return read_corpus(str(small_corpus))


@pytest.fixture(scope="session")
def encoder_folder(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = sorted({token.lower() for sentence in corpus.train for token in sentence.tokens})
    return write_encoder(tmp_path_factory.mktemp("encoder") / "model", words)


def layer(encoder_folder: Path) -> Any:
    made = encoder_vectors(str(encoder_folder))
    made.initialize()
    return made


def docs(*sentences: list[str]) -> list[Doc]:
    vocab = spacy.blank("xx").vocab
    return [Doc(vocab, words=words) for words in sentences]


def test_gives_the_vectors_of_the_encoder(encoder_folder: Path) -> None:
    sentences = [["Ivo", "wohnt"], ["Köln"], ["Ivo", "wohnt"]]
    vectors = layer(encoder_folder).predict(docs(*sentences))
    for given, expected in zip(vectors, Encoder(encoder_folder).vectors(sentences), strict=True):
        np.testing.assert_array_equal(given, expected)


def test_a_saved_layer_has_all_of_the_encoder(encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = layer(encoder_folder)
    monkeypatch.setattr(module, "_encoders", {})  # as in another process
    loaded = encoder_vectors("a name that can't be found").from_bytes(saved.to_bytes())
    assert loaded.get_dim("nO") == 8
    (vectors,) = loaded.predict(docs(["Ivo", "wohnt"]))
    np.testing.assert_array_equal(vectors, Encoder(encoder_folder).vectors([["Ivo", "wohnt"]])[0])


def test_known_vectors_are_not_computed(encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("tok2vec", config={"model": layer_config(encoder_folder)})
    nlp.initialize()
    monkeypatch.setattr(Encoder, "vectors", lambda self, sentences: pytest.fail("computed"))
    ones = np.ones((2, 8), dtype=np.float32)
    with known_vectors(nlp, {("Ivo", "wohnt"): ones}):
        (found,) = module._layers(nlp)
        np.testing.assert_array_equal(found.predict(docs(["Ivo", "wohnt"]))[0], ones)
    with pytest.raises(pytest.fail.Exception):
        found.predict(docs(["Ivo", "wohnt"]))


def layer_config(encoder_folder: Path) -> dict[str, Any]:
    embed = {"@architectures": "spacy.MultiHashEmbed.v2", "width": 16, "attrs": ["NORM"], "rows": [100]}
    return {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": {
            "@architectures": "twinner.WithEncoder.v1",
            "encoder": str(encoder_folder),
            "width": 16,
            "embed": embed | {"include_static_vectors": False},
        },
        "encode": {
            "@architectures": "spacy.MaxoutWindowEncoder.v2",
            "width": 16,
            "depth": 1,
            "window_size": 1,
            "maxout_pieces": 2,
        },
    }


def test_a_config_can_name_the_layer(corpus: Corpus, encoder_folder: Path, tmp_path: Path) -> None:
    config = spacy.util.load_config(OUR_CONFIG)
    config["components"]["tok2vec"]["model"] = layer_config(encoder_folder)
    config["components"]["ner"]["model"]["tok2vec"]["width"] = 16
    config.to_disk(tmp_path / "mine.cfg")
    assert train(corpus, config=str(tmp_path / "mine.cfg"))[0] is not None


def train(corpus: Corpus, **parameters: Any) -> tuple[Encoder | None, list[tuple[str, ...]], list[float]]:
    """Train; return the encoder of the saved and loaded model, its predictions on test, and the losses."""
    settings = {"lang": "xx", "drop_rate": 0.2, "patience": 0, "seed": 0, **QUICK, **parameters}
    losses: list[float] = []
    with closing(SpacyTrainer(**settings)) as trainer, TemporaryDirectory() as folder:
        trainer.train(corpus.train, corpus.dev, lambda epoch: losses.append(epoch.loss))
        trainer.save(Path(folder))
        trainer.load(Path(folder))
        tags = [prediction.tags for prediction in trainer.predict(corpus.test)]
        return encoder_of(trainer.pipeline()), tags, losses


def test_equal_trainings_give_equal_digits(corpus: Corpus, encoder_folder: Path) -> None:
    first, *results = train(corpus, embeddings=str(encoder_folder))  # computes the vectors
    second, *again = train(corpus, embeddings=str(encoder_folder))  # reads them
    assert first is not None
    assert second is not None
    assert first.digest == second.digest
    assert results == again
    assert train(corpus)[2] != results[1]


LOAD_ELSEWHERE = """
import json, shutil, sys
import mlflow, pandas
shutil.rmtree(sys.argv[2])  # the encoder's folder
texts = json.loads(sys.argv[3])
nlp = mlflow.spacy.load_model(sys.argv[1])
native = [[entity.text for entity in doc.ents] for doc in nlp.pipe(texts)]
served = mlflow.pyfunc.load_model(sys.argv[1]).predict(pandas.DataFrame({"text": texts}))["entities"]
print(json.dumps([native, [[entity["text"] for entity in row] for row in served]]))
"""


def test_the_logged_model_is_whole(small_corpus: Path, encoder_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(encoder_folder, tmp_path / "encoder")
    exported = tmp_path / "exported"
    result = spacy_train(
        corpus=str(small_corpus), embeddings=f"{copy}:1+2", export=str(exported), **QUICK | {"epochs": 4}
    )
    params = mlflow.MlflowClient().get_run(result.run_id).data.params
    assert params["embeddings_version"].startswith(f"{copy}:1+2 ")
    requirements = (exported / "model" / "requirements.txt").read_text()
    assert {line.split("==")[0] for line in requirements.split()} == {
        *REQUIREMENTS,
        *("spacy", "threadpoolctl", "onnxruntime", "sentencepiece", "tokenizers"),
    }
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ELSEWHERE, str(exported / "model"), str(copy), json.dumps(TEXTS)],
        env=environment | {"TWINNER_CACHE": str(tmp_path / "nothing")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    native, served = json.loads(done.stdout)
    assert native == served == [["Bad Aibling", "Béla"], [], ["Dora", "Rom"]]


def test_an_earlier_model_keeps_its_encoder(corpus: Corpus, encoder_folder: Path, tmp_path: Path) -> None:
    settings = {"lang": "xx", "drop_rate": 0.2, "patience": 0, "seed": 0, **QUICK}
    with closing(SpacyTrainer(**settings, embeddings=str(encoder_folder))) as trainer:
        trainer.train(corpus.train, corpus.dev, lambda epoch: None)
        trainer.pipeline().to_disk(tmp_path / "earlier")
    encoder, _, losses = train(corpus, init=str(tmp_path / "earlier"))
    assert encoder is not None
    assert encoder.digest == Encoder(encoder_folder).digest
    assert losses[0] < train(corpus, embeddings=str(encoder_folder))[2][0]


def test_an_encoder_of_the_hub_is_recorded_with_its_revision(
    corpus: Corpus, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = HubServer()
    names = {"model.onnx": "onnx/model.onnx", "assets/vocab.txt": "vocab.txt", "config.json": "config.json"}
    files = {place: (encoder_folder / name).read_bytes() for name, place in names.items()}
    server.models["org/tiny"] = Model(files)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    settings = {"lang": "xx", "drop_rate": 0.2, "patience": 0, "seed": 0, **QUICK}
    with closing(SpacyTrainer(**settings, embeddings="hf:org/tiny:1+2")) as trainer:
        assert trainer.versions["embeddings"] == f"hf:org/tiny:1+2 {'a' * 40}"
        config = trainer._config["components"]["tok2vec"]["model"]["embed"]
        assert config["encoder"] == f"hf:org/tiny@{'a' * 40}:1+2"
        server.stop()  # from here on the cache serves
        trainer.train(corpus.train, corpus.dev, lambda epoch: None)
        encoder = encoder_of(trainer.pipeline())
        assert encoder is not None
        assert encoder.dimension == 16


@pytest.mark.parametrize(
    ("embeddings", "problem"),
    [
        ("minilms", "embeddings=minilms: there is no such encoder; use minilm, e5, hf:ORG/MODEL, or a folder"),
        ("{folder}:5", "embeddings={folder}:5: the encoder has no layer 5; give layers from 0 to 2"),
    ],
)
def test_rejects_an_encoder_that_can_not_be_had(embeddings: str, problem: str, encoder_folder: Path) -> None:
    with pytest.raises(BadInput) as caught:
        SpacyTrainer("xx", 0.2, 1, 0.001, 100, 0, 0, embeddings=embeddings.format(folder=encoder_folder))
    assert str(caught.value).startswith(problem.format(folder=encoder_folder))


def test_rejects_a_config_without_a_place_for_the_encoder(tmp_path: Path) -> None:
    text = '[nlp]\nlang = "xx"\npipeline = ["ner"]\n\n[components]\n\n[components.ner]\nfactory = "ner"\n'
    (tmp_path / "mine.cfg").write_text(text)
    paths = {"train": tmp_path / "train.spacy", "dev": tmp_path / "dev.spacy"}
    with pytest.raises(BadInput, match=r"embeddings needs a component tok2vec .* name twinner\.WithEncoder\.v1 where"):
        training_config({}, paths, config=str(tmp_path / "mine.cfg"), embeddings="minilm")


def test_rejects_init_with_embeddings(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="embeddings and init are both given; leave embeddings empty"):
        training_config({}, {}, init=str(tmp_path), embeddings="minilm")
