"""Corpora that are read from disk again in each epoch."""

from pathlib import Path

import pytest
import spacy
from spacy.training import Corpus as SpacyCorpus
from spacy.training.initialize import init_nlp
from spacy.util import load_config
from twinner.corpus import Corpus
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy import trainer
from twinner.frameworks.spacy.checkpoint import Checkpoint
from twinner.frameworks.spacy.examples import StreamedExamples

from .conftest import curves, ignore, train, trainer_with

pytestmark = pytest.mark.usefixtures("temporary")


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stream every corpus, from files so small that it takes several buffers."""
    monkeypatch.setattr(trainer, "STREAMED_WORDS", 0)
    monkeypatch.setattr(trainer, "PART", 5)


@pytest.mark.usefixtures("streamed")
def test_streamed_training_repeats_and_resumes(
    corpus: Corpus, checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, again, other = train(corpus), train(corpus), train(corpus, seed=1)
    words = sum(len(sentence.tokens) for sentence in corpus.train[:60])
    assert f"{words:,} training words are more than 0: read from disk again in each epoch\n" in capsys.readouterr().out
    assert (curves(whole[1]), whole[2]) == (curves(again[1]), again[2])
    assert curves(whole[1]) != curves(other[1])

    def stop(epoch: Epoch) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(corpus, on_epoch=stop, checkpoint=checkpoint)
    _, epochs, predicted = train(corpus, checkpoint=checkpoint)
    assert (curves(epochs), predicted) == (curves(whole[1])[1:], whole[2])


@pytest.mark.usefixtures("streamed")
def test_streamed_epochs_hold_every_example_once_in_another_order(corpus: Corpus, tmp_path: Path) -> None:
    with trainer_with() as training:
        parts = training._write_corpora(corpus.train[:52], corpus.dev)
        assert len(parts) == 11
        nlp = init_nlp(training._config)
        examples = StreamedExamples(nlp, parts, lambda _: None)
        first, again, second = ([e.text for e in examples.epoch(0, number)] for number in (1, 1, 2))
        lengths = [len(length) for length in examples.lengths(0, 2)]
    assert first == again != second
    assert sorted(first) == sorted(second) == sorted(" ".join(s.tokens) + " " for s in corpus.train[:52])
    assert lengths == [len(text.split()) for text in second]


@pytest.mark.usefixtures("streamed")
def test_spacy_trains_the_logged_parts_of_a_streamed_corpus(corpus: Corpus, tmp_path: Path) -> None:
    with trainer_with(epochs=1) as training:
        training.train(corpus.train[:12], corpus.dev, ignore)
        training.save(tmp_path)
    config = load_config(tmp_path / "config.cfg")
    assert config["paths"]["train"] == "data/spacy/train"
    examples = list(SpacyCorpus(tmp_path / "data/spacy/train")(spacy.blank("xx")))
    assert [[token.text for token in each.reference] for each in examples] == [
        list(s.tokens) for s in corpus.train[:12]
    ]
