"""Trainings whose updates two processes share."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from contextlib import closing
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from spacy.training.initialize import init_nlp
from spacy.util import registry
from thinc.api import NumpyOps
from twinner.corpus import Corpus
from twinner.errors import Failure
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy import loop, trainer
from twinner.frameworks.spacy.checkpoint import Checkpoint
from twinner.frameworks.spacy.config import OUR_CONFIG
from twinner.frameworks.spacy.examples import epoch_seed
from twinner.frameworks.spacy.loop import TrainingLoop
from twinner.frameworks.spacy.weights import UNSEEN

from .conftest import curves, train, trainer_with

pytestmark = [
    pytest.mark.usefixtures("temporary"),
    pytest.mark.skipif(sys.platform != "linux", reason="there, one process trains"),
]


@pytest.fixture
def halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two processes share the updates of every training."""
    monkeypatch.setattr(trainer, "HALVED_WORDS", 0)


def step(
    corpus: Corpus, in_halves: bool, unseen: Sequence[int] = ()
) -> tuple[float, dict[str, NDArray[Any]], set[int]]:
    """Train for an epoch of one batch; return its loss, the state after it, and the classes of `unseen` not met."""
    with trainer_with(config="small") as training:
        training._write_corpora(corpus.train[:15], corpus.dev)
        nlp = init_nlp(training._config)
        model = nlp.get_pipe("ner").model
        model.attrs[UNSEEN].update(unseen)
        upper = model.get_ref("upper")  # all 0 at first, so that only its own weights have a gradient
        upper.set_param("W", np.random.default_rng(0).normal(size=upper.get_param("W").shape).astype("f"))
        with closing(TrainingLoop(nlp, 0, corpus.dev, training.predict, in_halves=in_halves)) as updates:
            loss = updates.run_epoch(1)
            assert (updates.steps_of_last_epoch, updates.in_halves) == (1, in_halves)
            return loss, updates.state(), model.attrs[UNSEEN]


def test_the_gradients_of_the_halves_are_those_of_the_whole_batch(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NumpyOps, "get_dropout_mask", lambda _, shape, rate: np.ones(shape, "f"))
    whole, expected, _ = step(corpus, in_halves=False)
    halves, state, _ = step(corpus, in_halves=True)
    assert halves == pytest.approx(whole, rel=1e-5)
    assert state.keys() == expected.keys()
    # The first moments of Adam are a tenth of the gradients. spaCy's gradient of the lower layer's weights takes the
    # last token of a batch for each missing one, and so depends on the order of the sentences.
    lower = "mom1/ner/2/W"
    moments = [name for name in expected if name.startswith("mom1/") and name != lower]
    assert len(moments) > 20
    for name in moments:
        assert np.abs(expected[name]).max() > 0
        atol = 1e-4 * float(np.abs(expected[name]).max())
        np.testing.assert_allclose(state[name], expected[name], rtol=0, atol=atol, err_msg=name)
    for name in [name for name in expected if name.startswith("nr_update/")]:
        assert state[name] == expected[name] == 1


def test_each_half_has_its_own_dropout(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = step(corpus, in_halves=True)[0]
    monkeypatch.setattr(loop, "epoch_seed", lambda seed, number: epoch_seed(seed, abs(number)))  # one for both
    assert step(corpus, in_halves=True)[0] != loss


def test_halves_share_the_classes_that_they_have_met(corpus: Corpus) -> None:
    unseen = step(corpus, in_halves=False, unseen=range(10))[2]
    assert 0 < len(unseen) < 10
    assert step(corpus, in_halves=True, unseen=range(10))[2] == unseen


@pytest.mark.usefixtures("halved")
def test_repeats_to_the_digit_on_one_core_and_resumes(
    corpus: Corpus, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(corpus, epochs=3)
    assert "0 training words or more: two processes share each update\n" in capsys.readouterr().out
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        again = train(corpus, epochs=3)
    finally:
        os.sched_setaffinity(0, cores)
    assert (whole[0], curves(whole[1]), whole[2]) == (again[0], curves(again[1]), again[2])

    def stop_after_two(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(corpus, epochs=3, on_epoch=stop_after_two, checkpoint=checkpoint)
    assert active_children() == []
    best, epochs, predicted = train(corpus, epochs=3, checkpoint=checkpoint)
    assert (best, curves(epochs), predicted) == (whole[0], curves(whole[1])[2:], whole[2])


@pytest.mark.usefixtures("halved")
def test_learns_as_well_as_in_one_process(corpus: Corpus) -> None:
    _, epochs, _ = train(corpus, size=110, epochs=8)
    assert max(epoch.scores["dev_f1"] for epoch in epochs) > 0.9


@pytest.mark.usefixtures("halved")
def test_a_streamed_corpus_repeats(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "STREAMED_WORDS", 0)
    monkeypatch.setattr(trainer, "PART", 5)
    assert curves(train(corpus)[1]) == curves(train(corpus)[1])


@pytest.mark.usefixtures("halved")
def test_the_death_of_the_second_process_is_told(corpus: Corpus, checkpoint: Checkpoint) -> None:
    def kill(epoch: Epoch) -> None:
        (second,) = active_children()
        second.kill()

    with trainer_with(epochs=3, checkpoint=checkpoint) as training, pytest.raises(Failure) as caught:
        training.train(corpus.train[:60], corpus.dev, kill)
    assert caught.value.__notes__ == ["resume=a-run goes on after the last whole epoch"]
    assert str(caught.value) == "the second process of the training has ended (killed, as when memory runs out)"


def test_the_second_process_ends_with_a_killed_training(small_corpus: Path, tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import multiprocessing, time
        from twinner.corpus import read_corpus
        from twinner.frameworks.spacy import trainer

        trainer.HALVED_WORDS = 0
        corpus = read_corpus({str(small_corpus)!r})
        training = trainer.SpacyTrainer("xx", 0.2, 99, 0.001, 100, patience=0, seed=0)

        def tell(epoch):
            print("second", multiprocessing.active_children()[0].pid, flush=True)
            time.sleep(99)

        training.train(corpus.train, corpus.dev, tell)
    """)
    steps = Path(trainer.__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(steps), "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as first:
        assert first.stdout is not None
        second = psutil.Process(next(int(line.split()[1]) for line in first.stdout if line.startswith("second")))
        first.send_signal(signal.SIGKILL)
        first.wait()
        second.wait(30)


@pytest.mark.usefixtures("halved")
def test_a_pipeline_that_changes_between_steps_is_trained_by_one_process(corpus: Corpus, tmp_path: Path) -> None:
    seen: list[int] = []

    @registry.callbacks("halves_test.Count.v1")
    def make() -> Any:
        return lambda nlp, arguments: seen.append(arguments["step"])

    config = tmp_path / "mine.cfg"
    callback = '[training.before_update]\n@callbacks = "halves_test.Count.v1"\n'
    config.write_text(f"{OUR_CONFIG.read_text(encoding='utf-8')}\n{callback}", encoding="utf-8")
    with trainer_with(config=str(config), epochs=1) as training:
        training.train(corpus.train[:30], corpus.dev, lambda _: seen.append(len(active_children())))
    assert seen == [*range(len(seen) - 1), 0]
    assert len(seen) > 1
