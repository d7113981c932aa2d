import string
from pathlib import Path

import pytest
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession
from sparknlp.annotator import NerDLModel
from sparknlp.base import LightPipeline
from twinner.corpus import Sentence
from twinner.errors import BadInput
from twinner.frameworks.contract import Epoch
from twinner.frameworks.sparknlp.text_entities import text_entities
from twinner.frameworks.sparknlp.trainer import SparkNlpTrainer, _tensorflow_settings
from twinner.spark.session import is_running

from .conftest import SmallTask, Trained


def scores(model: Trained) -> list[dict[str, float]]:
    return [{name: round(score, 4) for name, score in epoch.scores.items()} for epoch in model.epochs]


def best_f1(model: Trained) -> float:
    return max(epoch.scores["dev_token_f1"] for epoch in model.epochs)


def test_it_learns_and_tells_each_epoch_before_the_next_ends(trained: Trained) -> None:
    assert [epoch.number for epoch in trained.epochs] == [1, 2, 3]
    assert trained.epochs[-1].loss < trained.epochs[0].loss
    assert best_f1(trained) > 0.8
    assert {"dev_token_f1_PER", "dev_token_f1_LOC", "dev_token_macro_f1"} <= trained.epochs[0].scores.keys()
    times = [when for when, _ in trained.told]
    for epoch, earlier, later in zip(trained.epochs[1:], times, times[1:], strict=False):
        assert later - earlier > epoch.seconds / 2
    assert trained.over > times[-1]


def test_the_best_epoch_is_kept(trained: Trained, task: SmallTask) -> None:
    logged = trained.epochs[trained.best - 1].scores
    hits = spurious = missed = 0
    for sentence, prediction in zip(task.dev, trained.predictions, strict=True):
        for gold, predicted in zip(sentence.tags, prediction.tags, strict=True):
            hits += gold == predicted != "O"
            spurious += gold != predicted != "O"
            missed += predicted != gold != "O"
    assert 2 * hits / (2 * hits + spurious + missed) == pytest.approx(logged["dev_token_f1"], abs=1e-6)
    assert logged["dev_token_f1"] == best_f1(trained)


def test_an_earlier_epoch_is_kept_where_it_is_the_best(task: SmallTask) -> None:
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


def test_equal_seeds_give_equal_scores_and_another_seed_others(trained: Trained, task: SmallTask) -> None:
    again, other = task.fit(), task.fit(seed=1)
    assert scores(again) == scores(trained)
    assert [float(f"{e.loss:.5g}") for e in again.epochs] == [float(f"{e.loss:.5g}") for e in trained.epochs]
    assert [p.tags for p in again.predictions] == [p.tags for p in trained.predictions]
    assert [epoch.loss for epoch in other.epochs] != [epoch.loss for epoch in trained.epochs]
    assert scores(other) != scores(trained)


def test_what_went_before_in_a_session_does_not_change_a_training(task: SmallTask, spark: SparkSession) -> None:
    # Scala's set gives some of these another place for having met them in another order.
    characters = [Sentence.from_tokens([character], ["O"]) for character in string.ascii_lowercase + "()'\"+,-./&=$:"]
    losses = []
    for state in (1, 2, 3):
        getattr(getattr(spark._jvm.scala.util, "Random$"), "MODULE$").setSeed(state)
        trainer = SparkNlpTrainer(epochs=1, batch_size=16, embeddings="minilm")
        told: list[Epoch] = []
        trainer.train([*task.train, *characters], task.dev, told.append)
        trainer.close()
        losses.append(told[0].loss)
    assert len(set(losses)) == 1


def test_dropping_nearly_everything_is_worse_than_dropping_little(task: SmallTask) -> None:
    little, nearly_all = task.fit(drop_rate=0.05), task.fit(drop_rate=0.95)
    assert best_f1(little) > best_f1(nearly_all) + 0.3


def test_every_token_has_the_confidence_of_every_tag(trained: Trained, task: SmallTask) -> None:
    for sentence, prediction in zip(task.dev, trained.predictions, strict=True):
        assert prediction.confidence is not None
        assert prediction.scores is not None
        assert len(prediction.tags) == len(prediction.confidence) == len(prediction.scores) == len(sentence.tokens)
        for tag, confidence, by_tag in zip(prediction.tags, prediction.confidence, prediction.scores, strict=True):
            assert by_tag.keys() == {"O", "B-PER", "B-LOC", "I-LOC"}
            assert by_tag[tag] == confidence
            assert 0.95 < sum(by_tag.values()) < 1.001  # the graph has room for more tags, which get the rest


@pytest.mark.parametrize(
    "tokens",
    [["Anna"], ["Anna", "wohnt", "in", "Ulm", "."] * 120, ["😀", "Anna", "👩‍⚕️", "in", "Ulm"], ["unbekannt", "Ωmega"]],
    ids=["one token", "600 tokens", "emoji", "never seen"],
)
def test_sentences_of_any_kind_get_a_tag_for_each_token(trained: Trained, tokens: list[str]) -> None:
    (prediction,) = trained.trainer.predict([Sentence.from_tokens(tokens, ["O"] * len(tokens))])
    assert len(prediction.tags) == len(tokens)
    assert all(tag in ("O", "B-PER", "B-LOC", "I-LOC") for tag in prediction.tags)


def test_no_sentences_have_no_predictions(trained: Trained) -> None:
    assert trained.trainer.predict([]) == []


def test_what_is_saved_are_the_model_and_the_log(trained: Trained) -> None:
    assert sorted(path.name for path in trained.folder.iterdir()) == ["ner.log", "ner_model"]


def test_a_model_that_predicts_otherwise_than_the_trained_one_is_refused(
    task: SmallTask, trained: Trained, tmp_path: Path
) -> None:
    right = NerDLModel.load((trained.folder / "ner_model").as_uri())
    wrong = NerDLModel.load((task.fit(epochs=1, seed=3).folder / "ner_model").as_uri())
    wrong.setStorageRef(right.getStorageRef())  # else Spark NLP itself refuses it, for want of its embeddings
    wrong.save((tmp_path / "ner_model").as_uri())
    with pytest.raises(RuntimeError, match="the model that was loaded back predicts"):
        trained.trainer.load(tmp_path)


def test_the_pipeline_finds_entities_in_raw_text_with_offsets_into_it(trained: Trained, tmp_path: Path) -> None:
    trained.trainer.pipeline().write().overwrite().save((tmp_path / "pipeline").as_uri())
    pipeline = PipelineModel.load((tmp_path / "pipeline").as_uri())
    texts = ["Dr. Karl und Nora fuhren nach Oslo.", "", "😀😀 In Köln traf Max niemanden.", "Heute regnet es."]
    found = text_entities(pipeline, texts)
    for text, entities in zip(texts, found, strict=True):
        for entity in entities:
            assert text[entity["start"] : entity["end"]] == entity["text"]
    assert [[(e["label"], e["text"]) for e in entities if e["text"].isalpha()] for entities in found] == [
        [("PER", "Karl"), ("PER", "Nora"), ("LOC", "Oslo")],
        [],
        [("LOC", "Köln"), ("PER", "Max")],
        [],
    ]
    assert text_entities(pipeline, []) == []
    (tokens,) = LightPipeline(pipeline).annotate(texts[:1])
    assert tokens["token"] == ["Dr.", "Karl", "und", "Nora", "fuhren", "nach", "Oslo", "."]


def test_labels_may_have_blanks(task: SmallTask) -> None:
    def renamed(sentence: Sentence) -> Sentence:
        return Sentence.from_tokens(sentence.tokens, [tag.replace("LOC", "big city") for tag in sentence.tags])

    trainer = SparkNlpTrainer(epochs=1, batch_size=16)
    train, dev = [renamed(s) for s in task.train], [renamed(s) for s in task.dev]
    told: list[Epoch] = []
    assert trainer.train(train, dev, told.append) == 1
    assert "dev_token_f1_big city" in told[0].scores
    trainer.close()


def test_a_corpus_that_fits_no_graph_is_refused_before_anything_is_trained(task: SmallTask) -> None:
    tokens = [chr(0x4E00 + i) for i in range(300)]
    trainer = SparkNlpTrainer()
    with pytest.raises(BadInput, match="has 300 different characters"):
        trainer.train([Sentence.from_tokens(tokens, ["B-X", *["O"] * 299])], task.dev, print)
    trainer.close()


def test_a_folder_that_is_not_there_is_bad_input_before_spark_starts() -> None:
    with pytest.raises(BadInput, match=r"embeddings=\./elmo: there is no such folder"):
        SparkNlpTrainer(embeddings="./elmo")


def test_kept_embeddings_change_nothing_and_are_found_again(trained: Trained, task: SmallTask) -> None:
    uncached, kept = task.fit(embedding_cache=False), trained
    again = task.fit()
    for other in (kept, again):
        assert scores(uncached) == scores(other)
        assert [epoch.loss for epoch in uncached.epochs] == pytest.approx([e.loss for e in other.epochs], rel=1e-5)
        assert uncached.predictions == other.predictions


def test_contextual_embeddings_train_and_cut_sentences_lose_no_token(
    task: SmallTask, recwarn: pytest.WarningsRecorder
) -> None:
    model = task.fit(embeddings="minilm", epochs=2)
    assert best_f1(model) > 0.5
    long = Sentence.from_tokens(["Anna"] * 700, ["B-PER"] * 700)
    (prediction,) = model.trainer.predict([long])
    assert len(prediction.tags) == 700
    assert set(prediction.tags[-150:]) == {"O"}
    assert "tokens have no embedding" in str(recwarn.pop(UserWarning).message)
    assert text_entities(model.trainer.pipeline(), ["Dr. Anna wohnt in Ulm."])


def test_raw_text_is_split_as_the_training_data_is(trained: Trained, task: SmallTask) -> None:
    assert trained.trainer.tokens([sentence.text for sentence in task.dev]) == [s.tokens for s in task.dev]
    assert trained.trainer.tokens(["Dr. Anna wohnt in Ulm. Heute regnet es.", ""]) == [
        ("Dr.", "Anna", "wohnt", "in", "Ulm", ".", "Heute", "regnet", "es", "."),
        (),
    ]


def test_each_sentence_of_a_text_is_read_for_itself(trained: Trained) -> None:
    text = "Dr. Karl und Nora fuhren nach Oslo. In Köln traf Max niemanden."
    (entities,) = text_entities(trained.trainer.pipeline(), [text])
    assert [(e["label"], text[e["start"] : e["end"]]) for e in entities] == [
        ("PER", "Karl"),
        ("PER", "Nora"),
        ("LOC", "Oslo"),
        ("LOC", "Köln"),
        ("PER", "Max"),
    ]


def test_closing_leaves_a_session_that_others_started(task: SmallTask, trained: Trained) -> None:
    SparkNlpTrainer().close()
    assert is_running()


def test_a_training_uses_as_many_cores_as_spark_has_here(spark: SparkSession) -> None:
    assert spark.sparkContext.master == "local[2]"
    config = spark._jvm.org.tensorflow.proto.framework.ConfigProto.parseFrom(bytes(_tensorflow_settings(spark)))
    assert config.getInterOpParallelismThreads() == 2
    assert config.getIntraOpParallelismThreads() == 1


def test_the_versions_name_java(trained: Trained) -> None:
    versions = trained.trainer.versions
    assert versions["spark-nlp"] == "5.5.3"
    assert versions["java"].startswith("17.")
