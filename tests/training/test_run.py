import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import mlflow
import pyarrow.parquet as pq
import pytest
from mlflow.entities import Run
from spacy.tokens import Doc
from threadpoolctl import threadpool_info
from twinner.corpus import entities_of, read_corpus
from twinner.evaluation.calibration import Calibration
from twinner.training.result import Result

EPOCHS = 3
EPOCH_METRICS = {
    "ner.losses",
    "epoch_seconds",
    *(f"dev_{name}" for name in ("precision", "recall", "f1")),
    *(f"dev_token_{name}" for name in ("precision", "recall", "f1", "f1_LOC", "f1_PER")),
    *(f"dev/{name}" for name in ("f1_LOC", "f1_PER", "token_macro_f1")),
}
COST_METRICS = {
    "training_time",
    "test_time",
    "train_words_per_second",
    "test_words_per_second",
    "peak_memory_mb",
}
FINAL_METRICS = {
    *(f"test_{name}" for name in ("precision", "recall", "f1", "f1_LOC", "f1_PER", "partial_f1", "type_f1")),
    *(f"{tag}_{score}" for tag in ("B-LOC", "I-LOC", "B-PER", "O") for score in ("precision", "recall", "f1-score")),
    *(f"{tag}_support" for tag in ("B-LOC", "I-LOC", "B-PER", "O")),
    "accuracy",
    "macro avg_f1-score",
    "weighted avg_f1-score",
    "best_dev_precision",
    "best_dev_recall",
    "best_dev_f1",
    "best_epoch",
    "test/seen_in_train",
    "test/tokenized_otherwise",
    *COST_METRICS,
}


@pytest.fixture
def run(spacy_run: Result, tracked: mlflow.MlflowClient) -> Run:
    return tracked.get_run(spacy_run.run_id)


def artifacts(client: mlflow.MlflowClient, run_id: str) -> set[str]:
    return {file.path for file in client.list_artifacts(run_id)}


def artifact(run_id: str, path: str) -> Path:
    return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path))


def model_folder(run_id: str) -> Path:
    return Path(mlflow.artifacts.download_artifacts(f"runs:/{run_id}/model"))


def epoch_history(client: mlflow.MlflowClient, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Return (step, value) pairs of every epoch metric except times."""
    return {
        name: [(metric.step, metric.value) for metric in client.get_metric_history(run_id, name)]
        for name in EPOCH_METRICS - {"epoch_seconds"}
    }


def test_logs_each_epoch_at_its_step(run: Run, tracked: mlflow.MlflowClient, spacy_run: Result) -> None:
    for name in EPOCH_METRICS:
        history = tracked.get_metric_history(run.info.run_id, name)
        assert [metric.step for metric in history] == [1, 2, 3], name
    f1 = [metric.value for metric in tracked.get_metric_history(run.info.run_id, "dev_f1")]
    assert f1 == [epoch.scores["dev_f1"] for epoch in spacy_run.epochs]
    assert run.data.metrics["best_epoch"] == f1.index(max(f1)) + 1
    assert run.data.metrics["best_dev_f1"] == max(f1)


def test_returns_dev_and_test_scores(spacy_run: Result, run: Run) -> None:
    best = spacy_run.epochs[int(run.data.metrics["best_epoch"]) - 1]
    assert spacy_run.dev_scores == best.scores
    assert spacy_run.test_scores.items() <= spacy_run.metrics.items()
    for name in ("precision", "recall", "f1"):
        assert run.data.metrics[f"best_dev_{name}"] == best.scores[f"dev_{name}"]
        assert run.data.metrics[f"test_{name}"] == spacy_run.test_scores[f"test_{name}"]


def test_logs_final_metrics(run: Run, spacy_run: Result) -> None:
    assert run.data.metrics.keys() >= FINAL_METRICS
    assert {name: run.data.metrics[name] for name in spacy_run.metrics} == spacy_run.metrics
    assert all(run.data.metrics[name] > 0 for name in COST_METRICS)
    assert 50 < run.data.metrics["peak_memory_mb"] < 100_000
    assert run.data.metrics["training_time"] >= sum(epoch.update_seconds for epoch in spacy_run.epochs)


def test_words_per_second_exclude_evaluation(run: Run, spacy_run: Result, small_corpus: Path) -> None:
    words = sum(len(sentence.tokens) for sentence in read_corpus(str(small_corpus)).train)
    expected = words * EPOCHS / sum(epoch.update_seconds for epoch in spacy_run.epochs)
    assert run.data.metrics["train_words_per_second"] == pytest.approx(expected)


def test_logs_parameters_and_sizes_as_params(run: Run, small_corpus: Path) -> None:
    expected = {"corpus": str(small_corpus), "epochs": "3", "drop_rate": "0.2", "lr": "0.005", "batch_size": "100"}
    expected |= {"lang": "auto", "seed": "0", "patience": "0", "limit": "0", "log_text": "yes", "init": "", "test": ""}
    expected |= {"dev_fraction": "0.1", "test_fraction": "0.1", "model_name": "small-ner", "resume": "", "vectors": ""}
    expected |= {"training_size": "110", "dev_size": "20", "test_size": "20", "config": ""}
    assert {name: run.data.params[name] for name in expected} == expected
    assert {"export", "spacy_version", "python_version", "mlflow_version"} <= run.data.params.keys()


def test_tags_identify_step_framework_and_corpus(run: Run, small_corpus: Path) -> None:
    corpus = read_corpus(str(small_corpus))
    expected = {
        "twinner.step": "spacy_train",
        "twinner.framework": "spacy",
        "twinner.corpus": str(small_corpus),
        "twinner.lang": "xx",
        "twinner.corpus_digest": corpus.digest,
        "twinner.test_digest": corpus.test_digest,
        "twinner.registered": "small-ner",
    }
    assert {name: run.data.tags[name] for name in expected} == expected
    assert run.info.status == "FINISHED"
    assert "twinner.error" not in run.data.tags


def test_logs_what_it_was_computed_with(run: Run) -> None:
    machine = json.loads(artifact(run.info.run_id, "machine.json").read_text(encoding="utf-8"))
    kernel = next(library["architecture"] for library in threadpool_info() if library["user_api"] == "blas")
    assert machine["processor"]["BLAS"] == f"{kernel}, 1 threads"  # as the training limits them
    assert machine["processor"]["microarchitecture"] in run.data.tags["twinner.processor"]
    assert machine["environment"]["spacy"] == run.data.params["spacy_version"]
    assert run.data.tags["twinner.blas"] == f"{machine['environment']['BLAS']}: {machine['processor']['BLAS']}"


def test_logs_splits_as_datasets(run: Run, small_corpus: Path) -> None:
    inputs = {item.tags[0].value: item.dataset for item in cast(Any, run.inputs).dataset_inputs}
    assert inputs.keys() == {"train", "dev", "test"}
    for split, dataset in inputs.items():
        assert dataset.name == f"{small_corpus.name}-{split}"
        assert json.loads(dataset.source)["uri"] == (small_corpus / f"{split}.conll").as_uri()
    assert len({dataset.digest for dataset in inputs.values()}) == 3
    assert inputs["test"].digest == run.data.tags["twinner.test_digest"]


def test_logs_artifacts(run: Run, tracked: mlflow.MlflowClient) -> None:
    assert artifacts(tracked, run.info.run_id) == {
        "data",
        "classification_report.txt",
        "entity_report.json",
        "model_card.md",
        "inference.parquet",
        "precrecf1.jpg",
        "macromicroavg.jpg",
        "loss.jpg",
        "confusion.png",
        "errors.html",
        "config.cfg",
        "calibration.json",
        "machine.json",
    }
    assert {"MLmodel", "model.spacy", "code"} <= {f.name for f in model_folder(run.info.run_id).iterdir()}
    for picture, start in (("loss.jpg", b"\xff\xd8"), ("confusion.png", b"\x89PNG")):
        assert artifact(run.info.run_id, picture).read_bytes().startswith(start)


def test_logged_data_equals_corpus(run: Run, small_corpus: Path) -> None:
    logged, original = read_corpus(str(artifact(run.info.run_id, "data"))), read_corpus(str(small_corpus))
    assert (logged.digest, logged.test_digest) == (original.digest, original.test_digest)


def test_inference_has_one_row_per_test_token(run: Run, small_corpus: Path) -> None:
    rows = pq.read_table(artifact(run.info.run_id, "inference.parquet")).to_pylist()
    test = read_corpus(str(small_corpus)).test
    assert [(row["sentence"], row["position"], row["token"], row["ground_truth"]) for row in rows] == [
        (number, position, token, tag)
        for number, sentence in enumerate(test)
        for position, (token, tag) in enumerate(zip(sentence.tokens, sentence.tags, strict=True))
    ]
    correct = sum(row["ground_truth"] == row["prediction"] for row in rows)
    assert run.data.metrics["accuracy"] == pytest.approx(correct / len(rows))
    assert all(0 < row["confidence"] <= 1 for row in rows)
    assert [row["scores"] for row in rows if row["scores"]] == []


def test_calibration_is_that_of_the_predictions(run: Run) -> None:
    rows = pq.read_table(artifact(run.info.run_id, "inference.parquet")).to_pylist()
    found = Calibration.from_json(artifact(run.info.run_id, "calibration.json").read_text(encoding="utf-8"))
    assert sum(one.count for one in found.bins) == sum(row["prediction"].startswith("B-") for row in rows)
    assert run.data.metrics["test_ece"] == pytest.approx(found.error)


def test_logged_model_reproduces_test_f1(run: Run, small_corpus: Path) -> None:
    nlp = mlflow.spacy.load_model(f"runs:/{run.info.run_id}/model")
    hits = predicted = gold = 0
    for sentence in read_corpus(str(small_corpus)).test:
        doc = nlp(Doc(nlp.vocab, words=sentence.tokens))
        found = {(e.start, e.end, e.label_) for e in doc.ents}
        hits += len(found & set(sentence.entities))
        predicted += len(found)
        gold += len(sentence.entities)
    assert run.data.metrics["test_f1"] == pytest.approx(2 * hits / (predicted + gold))
    assert run.data.metrics["test_f1"] > 0.8


def test_registers_model(run: Run, tracked: mlflow.MlflowClient) -> None:
    [version] = tracked.search_model_versions("name='small-ner'")
    assert version.run_id == run.info.run_id
    assert mlflow.spacy.load_model(f"models:/small-ner/{version.version}").pipe_names == ["tok2vec", "ner"]


def test_log_text_no_omits_text(
    textless_run: Result, tracked: mlflow.MlflowClient, run: Run, small_corpus: Path
) -> None:
    left_out = artifacts(tracked, run.info.run_id) - artifacts(tracked, textless_run.run_id)
    assert left_out == {"data", "errors.html"}
    table = pq.read_table(artifact(textless_run.run_id, "inference.parquet"))
    assert table.column("token").null_count == table.num_rows
    text = [artifact(textless_run.run_id, name).read_text() for name in ("entity_report.json", "config.cfg")]
    assert [name for name in ("Anna", "Aibling", "wohnt") if any(name in content for content in text)] == []
    assert (model_folder(run.info.run_id) / "input_example.json").exists()
    assert not list(model_folder(textless_run.run_id).glob("*example*"))
    assert mlflow.pyfunc.load_model(f"runs:/{textless_run.run_id}/model").input_example is None


def test_equal_trainings_log_equal_metrics(run: Run, textless_run: Result, tracked: mlflow.MlflowClient) -> None:
    assert epoch_history(tracked, textless_run.run_id) == epoch_history(tracked, run.info.run_id)
    scores = {name: value for name, value in run.data.metrics.items() if name not in {*COST_METRICS, "epoch_seconds"}}
    other = tracked.get_run(textless_run.run_id).data.metrics
    assert {name: other[name] for name in scores} == scores
    assert artifact(textless_run.run_id, "classification_report.txt").read_text() == (
        artifact(run.info.run_id, "classification_report.txt").read_text()
    )


def test_prints_a_summary(
    train_small: Callable[..., Result], capsys: pytest.CaptureFixture[str], tracked: mlflow.MlflowClient
) -> None:
    result = train_small(epochs=1, limit=40)
    out = capsys.readouterr().out
    assert "labels: LOC, PER" in out
    run = tracked.get_run(result.run_id)
    for expected in (
        f"runs:/{result.run_id}/model",
        result.run_id,
        run.info.experiment_id,
        "40 train, 20 dev, 20 test",
        "weighted avg",
        f"test F1    {result.metrics['test_f1']:.4f}",
        "mlflow ui --backend-store-uri sqlite:///",
    ):
        assert expected in out
    assert run.data.params["training_size"] == "40"


def test_entity_report_lists_test_entities(run: Run, small_corpus: Path) -> None:
    report: dict[str, Any] = json.loads(artifact(run.info.run_id, "entity_report.json").read_text())
    places = [(e["sentence"], e["start"], e["end"], e["label"]) for e in report["entities"]]
    test = read_corpus(str(small_corpus)).test
    assert places == [(number, *entity) for number, s in enumerate(test) for entity in entities_of(s.tags)]
    found = sum(entity["found"] for entity in report["entities"])
    assert run.data.metrics["test_recall"] == pytest.approx(found / len(places))
