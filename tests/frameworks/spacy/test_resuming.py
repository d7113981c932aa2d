"""Trainings that go on from a checkpoint, or can't."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from spacy.util import registry
from thinc.api import Model, Shim
from twinner.corpus import Corpus, Sentence
from twinner.errors import BadInput
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy.checkpoint import Checkpoint
from twinner.frameworks.spacy.config import OUR_CONFIG

from .conftest import changed_config, curves, ignore, train, trainer_with

pytestmark = pytest.mark.usefixtures("temporary")


@pytest.mark.parametrize("config", ["", "small"])
def test_resumes_from_a_checkpoint(config: str, corpus: Corpus, checkpoint: Checkpoint) -> None:
    whole = train(corpus, epochs=5, config=config)

    def stop_after_two(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(corpus, epochs=5, on_epoch=stop_after_two, checkpoint=checkpoint, config=config)
    best, epochs, predicted = train(corpus, epochs=5, checkpoint=checkpoint, config=config)
    state = checkpoint.load()
    assert state is not None
    assert curves(state.epochs) == curves(whole[1])
    assert (best, curves(epochs), predicted) == (whole[0], curves(whole[1])[2:], whole[2])


def test_rejects_the_checkpoint_of_another_config(corpus: Corpus, checkpoint: Checkpoint, tmp_path: Path) -> None:
    config = changed_config(tmp_path / "mine.cfg", "hidden_width = 64", "hidden_width = 32")
    train(corpus, size=5, epochs=1, config=config, checkpoint=checkpoint)
    changed_config(tmp_path / "mine.cfg", "hidden_width = 64", "hidden_width = 48")
    with pytest.raises(BadInput) as caught:
        train(corpus, size=5, epochs=2, config=config, checkpoint=checkpoint)
    assert str(caught.value) == "the config differs from the resumed run's; restore it"


def test_rejects_weights_of_another_pipeline(corpus: Corpus, checkpoint: Checkpoint) -> None:
    train(corpus, size=60, epochs=1, checkpoint=checkpoint)
    one_label = tuple(Sentence.from_tokens(["Ulm", "ruht"], ["B-LOC", "O"]) for _ in range(3))
    with trainer_with(epochs=1, checkpoint=checkpoint) as trainer, pytest.raises(BadInput) as caught:
        trainer.train(one_label, corpus.dev, ignore)
    assert str(caught.value) == "the checkpoint's weights do not fit the pipeline; start a new run"


def test_training_survives_a_failing_checkpoint(
    corpus: Corpus, checkpoint: Checkpoint, recwarn: pytest.WarningsRecorder
) -> None:
    def lose_the_folder(epoch: Epoch) -> None:
        shutil.rmtree(checkpoint.folder, ignore_errors=True)

    whole, cut = train(corpus, epochs=3), train(corpus, epochs=3, on_epoch=lose_the_folder, checkpoint=checkpoint)
    assert (whole[0], curves(whole[1]), whole[2]) == (cut[0], curves(cut[1]), cut[2])
    problem = f"can't write checkpoints to {checkpoint.folder} (No such file or directory)"
    # The same text each time, so that it is shown once.
    assert {str(warning.message) for warning in recwarn if "checkpoints" in str(warning.message)} == {
        f"{problem}; training continues, but resuming it would repeat epochs"
    }


class ScaleShim(Shim):
    """A layer's part in another library: it multiplies by a factor, which each update raises by 1."""

    def finish_update(self, optimizer: Any) -> None:
        self._model += 1

    def to_bytes(self) -> bytes:
        return str(self._model).encode()

    def from_bytes(self, data: bytes) -> "ScaleShim":
        self._model = int(data)
        return self


@registry.architectures("tests.ScaledTok2Vec.v1")
def scaled_tok2vec(tok2vec: Any) -> Any:
    def forward(model: Any, docs: Any, is_train: bool) -> Any:
        return model.layers[0](docs, is_train)

    def initialize(model: Any, X: Any = None, Y: Any = None) -> None:
        model.layers[0].initialize(X, Y)

    dims = {"nO": tok2vec.get_dim("nO")}
    return Model("scaled", forward, init=initialize, layers=[tok2vec], shims=[ScaleShim(1)], dims=dims)


def test_layers_of_another_library_mean_no_checkpoints(
    corpus: Corpus, checkpoint: Checkpoint, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    wrapped = OUR_CONFIG.read_text(encoding="utf-8").replace(
        "components.tok2vec.model", "components.tok2vec.model.tok2vec"
    )
    wrapper = '[components.tok2vec.model]\n@architectures = "tests.ScaledTok2Vec.v1"\n\n'
    wrapped = wrapped.replace("[components.tok2vec.model.tok2vec]", f"{wrapper}[components.tok2vec.model.tok2vec]", 1)
    (tmp_path / "shim.cfg").write_text(wrapped, encoding="utf-8")
    with trainer_with(config=str(tmp_path / "shim.cfg"), epochs=2, lr=1e-12, checkpoint=checkpoint) as trainer:
        assert trainer.train(corpus.train[:5], corpus.dev, ignore) == 1
        layers = trainer.pipeline().get_pipe("tok2vec").model.walk()
        assert [shim._model for layer in layers for shim in layer.shims] == [2]  # as after the first epoch, the best
    assert checkpoint.load() is None
    [message] = [str(warning.message) for warning in recwarn if "checkpoints" in str(warning.message)]
    assert message.startswith("no checkpoints: the pipeline has layers of another library than thinc")
