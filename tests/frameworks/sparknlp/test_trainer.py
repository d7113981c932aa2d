import os
import shutil
import string
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession
from spark_cache import read_only, spark_cache  # type: ignore[import-not-found]  # noqa: F401
from sparknlp.annotator import NerDLModel
from sparknlp.base import LightPipeline
from twinner.corpus import Sentence
from twinner.encoders.find import find_encoder
from twinner.errors import BadInput
from twinner.frameworks.contract import Epoch, Prediction
from twinner.frameworks.sparknlp.approach import tensorflow_settings
from twinner.frameworks.sparknlp.text_entities import TextEntities
from twinner.frameworks.sparknlp.trainer import SparkNlpTrainer
from twinner.spark.session import is_running

from .conftest import SmallTask, Trained

STEPS = Path(__file__).parents[3] / "steps"


def scores(model: Trained) -> list[dict[str, float]]:
    return [{name: round(score, 4) for name, score in epoch.scores.items()} for epoch in model.epochs]


def best_f1(model: Trained) -> float:
    return max(epoch.scores["dev_token_f1"] for epoch in model.epochs)


def test_learns_and_reports_each_epoch_before_the_next_ends(trained: Trained) -> None:
    assert [epoch.number for epoch in trained.epochs] == [1, 2, 3]
    assert trained.epochs[-1].loss < trained.epochs[0].loss
    assert best_f1(trained) > 0.8
    assert {"dev_token_f1_PER", "dev_token_f1_LOC", "dev/token_macro_f1"} <= trained.epochs[0].scores.keys()
    times = [when for when, _ in trained.callbacks]
    for epoch, earlier, later in zip(trained.epochs[1:], times, times[1:], strict=False):
        assert later - earlier > epoch.seconds / 2
    assert trained.ended > times[-1]


def token_f1(gold: Sequence[Sentence], predicted: Sequence[Prediction]) -> float:
    """Compute the micro F1 over tokens, without O."""
    hits = spurious = missed = 0
    for sentence, prediction in zip(gold, predicted, strict=True):
        for gold_tag, predicted_tag in zip(sentence.tags, prediction.tags, strict=True):
            hits += gold_tag == predicted_tag != "O"
            spurious += gold_tag != predicted_tag != "O"
            missed += predicted_tag != gold_tag != "O"
    return 2 * hits / (2 * hits + spurious + missed)


def test_keeps_the_best_epoch(trained: Trained, task: SmallTask) -> None:
    logged = trained.epochs[trained.best - 1].scores["dev_token_f1"]
    assert logged == pytest.approx(token_f1(task.dev, trained.predictions), abs=1e-6)
    assert logged == best_f1(trained)


def test_keeps_an_earlier_epoch_if_it_is_the_best(task: SmallTask) -> None:
    other = {"PER": "LOC", "LOC": "PER", "": ""}
    worse_the_more_is_learnt = [
        Sentence.from_tokens(sentence.tokens, [tag[:2] + other[tag[2:]] for tag in sentence.tags])
        for sentence in task.dev
    ]
    long = task.fit(epochs=4, dev=worse_the_more_is_learnt)
    assert 0 < long.best < 4
    ended_there = task.fit(epochs=long.best, dev=worse_the_more_is_learnt)
    assert long.predictions == ended_there.predictions
    assert long.predictions != task.fit(epochs=4).predictions


def test_scores_depend_on_the_seed_only(trained: Trained, task: SmallTask) -> None:
    again, other = task.fit(), task.fit(seed=1)
    assert scores(again) == scores(trained)
    assert [float(f"{e.loss:.5g}") for e in again.epochs] == [float(f"{e.loss:.5g}") for e in trained.epochs]
    assert [p.tags for p in again.predictions] == [p.tags for p in trained.predictions]
    assert [epoch.loss for epoch in other.epochs] != [epoch.loss for epoch in trained.epochs]
    assert scores(other) != scores(trained)


def test_training_does_not_depend_on_earlier_use_of_the_session(task: SmallTask, spark: SparkSession) -> None:
    # Scala's hash set orders some of these by insertion.
    characters = [Sentence.from_tokens([character], ["O"]) for character in string.ascii_lowercase + "()'\"+,-./&=$:"]
    losses = []
    for state in (1, 2, 3):
        getattr(getattr(spark._jvm.scala.util, "Random$"), "MODULE$").setSeed(state)
        trainer = SparkNlpTrainer(epochs=1, batch_size=16, embeddings="minilm")
        epochs: list[Epoch] = []
        trainer.train([*task.train, *characters], task.dev, epochs.append)
        trainer.close()
        losses.append(epochs[0].loss)
    assert len(set(losses)) == 1


def test_drop_rate_is_the_share_dropped(task: SmallTask) -> None:
    little, nearly_all = task.fit(drop_rate=0.05), task.fit(drop_rate=0.95)
    assert best_f1(little) > best_f1(nearly_all) + 0.3


def test_gives_the_confidence_of_every_tag(trained: Trained, task: SmallTask) -> None:
    for sentence, prediction in zip(task.dev, trained.predictions, strict=True):
        assert prediction.confidence is not None
        assert prediction.scores is not None
        assert len(prediction.tags) == len(prediction.confidence) == len(prediction.scores) == len(sentence.tokens)
        for tag, confidence, by_tag in zip(prediction.tags, prediction.confidence, prediction.scores, strict=True):
            assert by_tag.keys() == {"O", "B-PER", "B-LOC", "I-LOC"}
            assert by_tag[tag] == confidence
            assert 0.95 < sum(by_tag.values()) < 1.001  # the rest goes to the graph's unused tags


def test_without_confidence_the_tags_are_the_same(trained: Trained, task: SmallTask) -> None:
    assert trained.trainer.predict(task.dev, confidence=False) == [
        Prediction(predicted.tags) for predicted in trained.predictions
    ]
    (entities,) = TextEntities(trained.trainer.pipeline())(["Dr. Anna wohnt in Ulm."])
    assert all(0 < entity["score"] < 1 for entity in entities)  # the pipeline has it all the same
    assert entities


@pytest.mark.parametrize(
    "tokens",
    [["Anna"], ["Anna", "wohnt", "in", "Ulm", "."] * 120, ["😀", "Anna", "👩‍⚕️", "in", "Ulm"], ["unbekannt", "Ωmega"]],
    ids=["one token", "600 tokens", "emoji", "never seen"],
)
def test_predicts_a_tag_per_token_for_any_sentence(trained: Trained, tokens: list[str]) -> None:
    (prediction,) = trained.trainer.predict([Sentence.from_tokens(tokens, ["O"] * len(tokens))])
    assert len(prediction.tags) == len(tokens)
    assert all(tag in ("O", "B-PER", "B-LOC", "I-LOC") for tag in prediction.tags)


def test_predicts_nothing_for_no_sentences(trained: Trained) -> None:
    assert trained.trainer.predict([]) == []


def test_saves_the_model_and_the_log(trained: Trained) -> None:
    assert sorted(path.name for path in trained.folder.iterdir()) == ["ner.log", "ner_model"]


def test_a_finished_training_is_loaded_instead_of_trained_again(
    trained: Trained, task: SmallTask, tmp_path: Path
) -> None:
    trainer = SparkNlpTrainer(epochs=len(trained.epochs), batch_size=16, finished=trained.folder)
    epochs: list[Epoch] = []
    assert trainer.train(task.train, task.dev, epochs.append) == trained.best
    assert epochs == trained.epochs
    assert trainer.predict(task.dev) == trained.predictions
    trainer.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ner.log", "ner_model"]
    trainer.close()


def test_load_rejects_a_model_with_other_predictions(task: SmallTask, trained: Trained, tmp_path: Path) -> None:
    right = NerDLModel.load((trained.folder / "ner_model").as_uri())
    wrong = NerDLModel.load((task.fit(epochs=1, seed=3).folder / "ner_model").as_uri())
    wrong.setStorageRef(right.getStorageRef())  # else Spark NLP rejects it for its embeddings
    wrong.save((tmp_path / "ner_model").as_uri())
    with pytest.raises(RuntimeError, match=r"the reloaded model tags \d+ of 100 sentences unlike the saved one"):
        trained.trainer.load(tmp_path)


def test_pipeline_finds_entities_with_offsets_into_raw_text(trained: Trained, tmp_path: Path) -> None:
    trained.trainer.pipeline().write().overwrite().save((tmp_path / "pipeline").as_uri())
    pipeline = PipelineModel.load((tmp_path / "pipeline").as_uri())
    texts = ["Dr. Karl und Nora fuhren nach Oslo.", "", "😀😀 In Köln traf Max niemanden.", "Heute regnet es."]
    found = TextEntities(pipeline)(texts)
    spans = [
        [(entity["label"], text[entity["start"] : entity["end"]]) for entity in entities]
        for text, entities in zip(texts, found, strict=True)
    ]
    assert [[(label, words) for label, words in entities if words.isalpha()] for entities in spans] == [
        [("PER", "Karl"), ("PER", "Nora"), ("LOC", "Oslo")],
        [],
        [("LOC", "Köln"), ("PER", "Max")],
        [],
    ]
    assert TextEntities(pipeline)([]) == []
    (tokens,) = LightPipeline(pipeline).annotate(texts[:1])
    assert tokens["token"] == ["Dr.", "Karl", "und", "Nora", "fuhren", "nach", "Oslo", "."]


def test_labels_may_contain_spaces(task: SmallTask) -> None:
    def renamed(sentence: Sentence) -> Sentence:
        return Sentence.from_tokens(sentence.tokens, [tag.replace("LOC", "big city") for tag in sentence.tags])

    trainer = SparkNlpTrainer(epochs=1, batch_size=16)
    train, dev = [renamed(s) for s in task.train], [renamed(s) for s in task.dev]
    epochs: list[Epoch] = []
    assert trainer.train(train, dev, epochs.append) == 1
    assert "dev_token_f1_big city" in epochs[0].scores
    trainer.close()


def test_rejects_a_corpus_that_fits_no_graph(task: SmallTask) -> None:
    tokens = [chr(0x4E00 + i) for i in range(300)]
    trainer = SparkNlpTrainer()
    with pytest.raises(BadInput, match="has 300 different characters"):
        trainer.train([Sentence.from_tokens(tokens, ["B-X", *["O"] * 299])], task.dev, print)
    trainer.close()


def test_rejects_a_missing_folder_of_embeddings() -> None:
    with pytest.raises(BadInput, match=r"embeddings=\./elmo: there is no such folder"):
        SparkNlpTrainer(embeddings="./elmo")


def test_cached_embeddings_give_the_same_model(trained: Trained, task: SmallTask) -> None:
    uncached = task.fit(embedding_cache=False)
    for other in (trained, task.fit()):
        assert scores(uncached) == scores(other)
        assert [epoch.loss for epoch in uncached.epochs] == pytest.approx([e.loss for e in other.epochs], rel=1e-5)
        assert uncached.predictions == other.predictions


def test_trains_on_minilm_and_predicts_o_beyond_its_limit(task: SmallTask, recwarn: pytest.WarningsRecorder) -> None:
    model = task.fit(embeddings="minilm", epochs=2)
    assert best_f1(model) > 0.5
    long = Sentence.from_tokens(["Anna"] * 700, ["B-PER"] * 700)
    (prediction,) = model.trainer.predict([long])
    assert len(prediction.tags) == 700
    assert set(prediction.tags[-150:]) == {"O"}
    assert "beyond the maximum sentence length" in str(recwarn.pop(UserWarning).message)
    assert TextEntities(model.trainer.pipeline())(["Dr. Anna wohnt in Ulm."])


def test_counts_truncated_tokens_of_dev_as_o(task: SmallTask, tmp_path: Path) -> None:
    short = tmp_path / "short"
    shutil.copytree(find_encoder("minilm", ["bert"]).folder, short)
    (short / "config.json").write_text('{"model_type": "bert", "max_position_embeddings": 32}')
    long = Sentence.from_tokens(
        ["Anna", "wohnt", "in", "New", "York", "."] * 8, ["B-PER", "O", "O", "B-LOC", "I-LOC", "O"] * 8
    )
    dev = [*task.dev, *[long] * 5]
    with pytest.warns(UserWarning, match=r"^125 tokens are beyond the maximum sentence length of the embeddings"):
        model = task.fit(embeddings=str(short), epochs=2, dev=dev)
    assert {prediction.tags[-1] for prediction in model.predictions[-5:]} == {"O"}
    assert all(prediction.scores and not prediction.scores[-18] for prediction in model.predictions[-5:])
    assert model.epochs[model.best - 1].scores["dev_token_f1"] == pytest.approx(
        token_f1(dev, model.predictions), abs=1e-6
    )


RETRAIN = """
import gc, sys
from pathlib import Path
from twinner.corpus import Sentence
from twinner.frameworks.sparknlp.trainer import SparkNlpTrainer
from twinner.spark.session import is_running

tags = ("B-PER", "O", "O", "B-LOC", "O")
tokens = [(name, "wohnt", "in", place, ".") for name in ("Anna", "Max") for place in ("Ulm", "Rom")]
train = [Sentence.from_tokens(words, tags) for words in tokens]
predictions = []
for number, master in enumerate(sys.argv[1:]):
    trainer = SparkNlpTrainer(epochs=1, spark_master=master, driver_memory="700m")
    trainer.train(train * 5, train, lambda epoch: None)
    folder = Path(f"model {number}")
    trainer.save(folder)
    trainer.load(folder)
    predictions.append(trainer.predict(train))
    pipeline = trainer.pipeline()
    assert is_running()
    trainer.close()
    assert not is_running()
    gc.collect()
print(all(predicted == predictions[0] for predicted in predictions), [path.name for path in sorted(Path().glob("*/*"))])
"""


def retrain(masters: Sequence[str], folder: Path, cache: Path, prefix: Sequence[str | Path] = ()) -> str:
    """Train, in a new process, with a session for each of these masters in turn; return what it prints."""
    folder.mkdir()
    done = subprocess.run(
        [*prefix, sys.executable, "-c", RETRAIN, *masters],
        cwd=folder,
        env=os.environ | {"TWINNER_CACHE": str(cache), "TMPDIR": str(folder.parent), "PYTHONPATH": str(STEPS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.parent.glob("twinner-*")) == []
    return done.stdout + done.stderr


def test_a_new_session_with_more_cores_gives_the_same_model(tmp_path: Path, spark_cache: Path) -> None:  # noqa: F811
    printed = retrain(["local[1]", "local[2]"], tmp_path / "folder", spark_cache)
    assert printed == "True ['ner.log', 'ner_model', 'ner.log', 'ner_model']\n"


def test_trains_with_a_read_only_cache(tmp_path: Path, spark_cache: Path) -> None:  # noqa: F811
    printed = retrain(["local[1]"], tmp_path / "folder", spark_cache, read_only(spark_cache))
    assert printed.startswith("True ['ner.log', 'ner_model']\n")
    assert printed.count("embeddings are not kept for later runs: ") == 1


def test_splits_raw_text_like_the_training_data(trained: Trained, task: SmallTask) -> None:
    assert trained.trainer.tokens([sentence.text for sentence in task.dev]) == [s.tokens for s in task.dev]
    assert trained.trainer.tokens(["Dr. Anna wohnt in Ulm. Heute regnet es.", ""]) == [
        ("Dr.", "Anna", "wohnt", "in", "Ulm", ".", "Heute", "regnet", "es", "."),
        (),
    ]


def test_pipeline_splits_sentences(trained: Trained) -> None:
    text = "Dr. Karl und Nora fuhren nach Oslo. In Köln traf Max niemanden."
    (entities,) = TextEntities(trained.trainer.pipeline())([text])
    assert [(e["label"], text[e["start"] : e["end"]]) for e in entities] == [
        ("PER", "Karl"),
        ("PER", "Nora"),
        ("LOC", "Oslo"),
        ("LOC", "Köln"),
        ("PER", "Max"),
    ]


def test_close_keeps_a_session_that_others_started(task: SmallTask, trained: Trained) -> None:
    SparkNlpTrainer().close()
    assert is_running()


def test_tensorflow_uses_as_many_cores_as_spark(spark: SparkSession) -> None:
    assert spark.sparkContext.master == "local[2]"
    config = spark._jvm.org.tensorflow.proto.framework.ConfigProto.parseFrom(bytes(tensorflow_settings(spark)))
    assert config.getInterOpParallelismThreads() == 2
    assert config.getIntraOpParallelismThreads() == 1


def test_versions_include_java(trained: Trained) -> None:
    versions = trained.trainer.versions
    assert versions["spark-nlp"] == "5.5.3"
    assert versions["java"].startswith("17.")
