"""Check what `mlflow run .` logs for both frameworks: metrics, params, tags, datasets and artifacts."""

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from mlflow.entities import Run
from spark_cache import spark_cache  # type: ignore[import-not-found]  # noqa: F401
from users import PROJECT, User, small_corpus, user_environment  # type: ignore[import-not-found]

LABELS = ("DIAGNOSIS", "DRUG", "DURATION", "FORM", "FREQUENCY", "ROUTE", "STRENGTH")  # in the demo corpus
TOKEN_SCORES = ("precision", "recall", "f1-score", "support")

EPOCH_METRICS = (
    *("ner.losses", "dev_token_precision", "dev_token_recall", "dev_token_f1", "epoch_seconds"),
    *(f"dev_token_f1_{label}" for label in LABELS),
)
DEV_METRICS = ("dev_precision", "dev_recall", "dev_f1")  # logged every epoch by spaCy, once by Spark NLP
FINAL_METRICS = (
    *("test_precision", "test_recall", "test_f1", "test_partial_f1"),
    *(f"test_f1_{label}" for label in LABELS),
    "accuracy",
    *(f"{average} avg_{score}" for average in ("macro", "weighted") for score in TOKEN_SCORES),
    *("training_time", "test_time", "train_words_per_second", "test_words_per_second", "peak_memory_mb", "best_epoch"),
)
SIZES = {"training_size": "300", "dev_size": "100", "test_size": "100"}  # sentences in the small corpus
VERSIONS = {"spacy": ("spacy", "mlflow"), "sparknlp": ("spark-nlp", "pyspark", "mlflow")}
ARTIFACTS = {
    *("data", "classification_report.txt", "entity_report.json", "inference.parquet"),
    *("precrecf1.jpg", "macromicroavg.jpg", "loss.jpg", "confusion.png", "errors.html"),
}
FRAMEWORK_ARTIFACTS = {"spacy": {"config.cfg"}, "sparknlp": {"ner_model", "ner.log"}}

LOAD_AND_PREDICT = """
import json, sys
import mlflow, pandas
uri = sys.argv[1]
flavors = sorted(mlflow.models.get_model_info(uri).flavors)
answer = mlflow.pyfunc.load_model(uri).predict(pandas.DataFrame({"text": ["Morgens 5 mg Melatonin .", "Nichts ."]}))
entities = [[dict(entity) for entity in row] for row in answer["entities"]]
print(json.dumps({"flavors": flavors, "entities": entities}, default=int))
"""


@dataclass(frozen=True)
class Comparison:
    """The four runs of one `mlflow run .`, with its user and corpus."""

    user: User
    corpus: Path
    parent: Run
    trainings: dict[str, Run]
    report: Run


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory, spark_cache: Path) -> Comparison:  # noqa: F811
    """Run `main` once on a small corpus: both trainings and the report."""
    user = User(tmp_path_factory.mktemp("comparison"), spark_cache)
    corpus = small_corpus(user.folder / "a corpus of mine")
    user.mlflow_run(PROJECT, "main", {"epochs": "2", "corpus": str(corpus)})
    by_step = {run.data.tags["twinner.step"]: run for run in user.runs()}
    assert by_step.keys() == {"main", "spacy_train", "sparknlp_train", "report"}
    trainings = {"spacy": by_step["spacy_train"], "sparknlp": by_step["sparknlp_train"]}
    return Comparison(user, corpus, by_step["main"], trainings, by_step["report"])


frameworks = pytest.mark.parametrize("framework", ["spacy", "sparknlp"])


@pytest.mark.slow
def test_main_creates_a_parent_with_three_finished_children(comparison: Comparison) -> None:
    runs = comparison.user.runs()
    assert len(runs) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert "mlflow.parentRunId" not in comparison.parent.data.tags
    for child in (*comparison.trainings.values(), comparison.report):
        assert child.data.tags["mlflow.parentRunId"] == comparison.parent.info.run_id


def test_report_names_both_frameworks(comparison: Comparison, tmp_path: Path) -> None:
    page = comparison.user.artifact(comparison.report, "report.html", tmp_path).read_text(encoding="utf-8")
    assert "2 training runs: 2 finished" in page
    for name in ("spaCy", "Spark NLP", *(run.info.run_name for run in comparison.trainings.values())):
        assert name in page


@frameworks
def test_epoch_metrics_are_logged_at_their_step(comparison: Comparison, framework: str) -> None:
    run = comparison.trainings[framework]
    best = int(run.data.metrics["best_epoch"])
    assert best in (1, 2)
    steps = {name: [1, 2] for name in EPOCH_METRICS}
    steps |= dict.fromkeys(DEV_METRICS, [1, 2] if framework == "spacy" else [best])
    history = {name: comparison.user.client.get_metric_history(run.info.run_id, name) for name in steps}
    assert {name: [point.step for point in points] for name, points in history.items()} == steps


@frameworks
def test_final_metrics_are_complete(comparison: Comparison, framework: str) -> None:
    gold = (comparison.corpus / "test.conll").read_text(encoding="utf-8").split("\n")
    tags = {line.split("\t")[1] for line in gold if line}
    expected = {*FINAL_METRICS, *(f"{tag}_{score}" for tag in tags for score in TOKEN_SCORES)}
    metrics = comparison.trainings[framework].data.metrics
    assert expected - metrics.keys() == set()
    tokens = sum(1 for line in gold if line)
    assert metrics["weighted avg_support"] == tokens
    assert sum(metrics[f"{tag}_support"] for tag in tags) == tokens
    assert all(0 <= metrics[name] <= 1 for name in expected if name.endswith(("f1", "f1-score", "precision", "recall")))
    assert all(metrics[name] > 0 for name in FINAL_METRICS[-6:])


@frameworks
def test_params_hold_settings_sizes_and_versions(comparison: Comparison, framework: str) -> None:
    run = comparison.trainings[framework]
    params = run.data.params
    entry_points = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    assert entry_points[f"{framework}_train"]["parameters"].keys() - params.keys() == set()
    assert params["epochs"] == "2"
    assert str(comparison.corpus) in params["corpus"]  # MLflow writes it quoted
    assert {name: params[name] for name in SIZES} == SIZES
    for package in VERSIONS[framework]:
        assert params[f"{package}_version"] == version(package)


@frameworks
def test_tags_and_datasets_identify_the_training(comparison: Comparison, framework: str) -> None:
    run = comparison.trainings[framework]
    tags = run.data.tags
    assert tags["twinner.step"] == f"{framework}_train"
    assert tags["twinner.framework"] == framework
    assert comparison.corpus.name in tags["twinner.corpus"]
    assert tags["twinner.corpus_digest"]
    assert tags["twinner.test_digest"]
    assert "twinner.error" not in tags
    assert run.inputs
    datasets = {
        next(tag.value for tag in dataset_input.tags if tag.key == "mlflow.data.context"): dataset_input.dataset
        for dataset_input in run.inputs.dataset_inputs
    }
    assert datasets.keys() == {"train", "dev", "test"}
    assert len({dataset.digest for dataset in datasets.values()}) == 3
    for split, dataset in datasets.items():
        assert f"{split}.conll" in dataset.source


def test_both_trainings_use_the_same_data(comparison: Comparison) -> None:
    spacy, sparknlp = (run.data.tags for run in comparison.trainings.values())
    for digest in ("twinner.corpus_digest", "twinner.test_digest"):
        assert spacy[digest] == sparknlp[digest]


@frameworks
def test_artifacts_are_complete(comparison: Comparison, framework: str, tmp_path: Path) -> None:
    run = comparison.trainings[framework]
    logged = {item.path for item in comparison.user.client.list_artifacts(run.info.run_id)}
    assert (ARTIFACTS | FRAMEWORK_ARTIFACTS[framework]) - logged == set()
    folder = comparison.user.artifact(run, "", tmp_path)
    assert not [file for file in folder.rglob("*") if file.is_file() and not file.stat().st_size and file.suffix]
    for split, sentences in SIZES.items():
        name = {"training_size": "train"}.get(split, split.removesuffix("_size"))
        text = (folder / "data" / f"{name}.conll").read_text(encoding="utf-8")
        assert text.rstrip("\n").count("\n\n") + 1 == int(sentences)


def test_inference_tables_align(comparison: Comparison, tmp_path: Path) -> None:
    tables: dict[str, Any] = {}
    for framework, run in comparison.trainings.items():
        folder = tmp_path / framework
        folder.mkdir()
        tables[framework] = pq.read_table(comparison.user.artifact(run, "inference.parquet", folder))
    shared = ["sentence", "position", "token", "ground_truth"]
    assert tables["spacy"].select(shared).equals(tables["sparknlp"].select(shared))
    lines = (comparison.corpus / "test.conll").read_text(encoding="utf-8").split("\n")
    pairs = zip(*(tables["spacy"][name].to_pylist() for name in shared[2:]), strict=True)
    assert [f"{token}\t{tag}" for token, tag in pairs] == [line for line in lines if line]
    assert tables["sparknlp"]["prediction"].null_count == 0
    assert set(tables["spacy"].column_names) == {*shared, "prediction", "confidence", "scores"}


@frameworks
def test_logged_model_loads_outside_the_project(comparison: Comparison, framework: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD_AND_PREDICT, f"runs:/{comparison.trainings[framework].info.run_id}/model"],
        cwd=tmp_path,
        env=user_environment(comparison.user.cache, MLFLOW_TRACKING_URI=comparison.user.store),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["flavors"] == ["python_function", {"spacy": "spacy", "sparknlp": "spark"}[framework]]
    assert len(answer["entities"]) == 2
    for entity in answer["entities"][0]:
        assert "Morgens 5 mg Melatonin ."[entity["start"] : entity["end"]] == entity["text"]
        assert entity["label"] in LABELS
