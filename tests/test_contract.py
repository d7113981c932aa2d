"""What stands in the store after `mlflow run .`, for both frameworks: metrics, params, tags, datasets and artifacts."""

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

LABELS = ("DIAGNOSIS", "DRUG", "DURATION", "FORM", "FREQUENCY", "ROUTE", "STRENGTH")  # of the demo corpus
TOKEN_SCORES = ("precision", "recall", "f1-score", "support")

# What a training run records, as the contract has it.
EPOCH_METRICS = (
    *("ner.losses", "dev_token_precision", "dev_token_recall", "dev_token_f1", "epoch_seconds"),
    *(f"dev_token_f1_{label}" for label in LABELS),
)
DEV_METRICS = ("dev_precision", "dev_recall", "dev_f1")  # every epoch with spaCy, once with Spark NLP
FINAL_METRICS = (
    *("test_precision", "test_recall", "test_f1", "test_partial_f1"),
    *(f"test_f1_{label}" for label in LABELS),
    "accuracy",
    *(f"{average} avg_{score}" for average in ("macro", "weighted") for score in TOKEN_SCORES),
    *("training_time", "test_time", "train_words_per_second", "test_words_per_second", "peak_memory_mb", "best_epoch"),
)
SIZES = {"training_size": "300", "dev_size": "100", "test_size": "100"}  # of the small corpus, in sentences
VERSIONS = {"spacy": ("spacy", "mlflow"), "sparknlp": ("spark-nlp", "pyspark", "mlflow")}
ARTIFACTS = {
    *("data", "classification_report.txt", "entity_report.json", "inference.parquet"),
    *("precrecf1.jpg", "macromicroavg.jpg", "loss.jpg", "confusion.png", "errors.html"),
}
OWN_ARTIFACTS = {"spacy": {"config.cfg"}, "sparknlp": {"ner_model", "ner.log"}}

ASK_THE_MODEL = """
import json, sys
import mlflow, pandas
uri = sys.argv[1]
flavors = sorted(mlflow.models.get_model_info(uri).flavors)
answer = mlflow.pyfunc.load_model(uri).predict(pandas.DataFrame({"text": ["Morgens 5 mg Melatonin .", "Nichts ."]}))
entities = [[dict(entity) for entity in row] for row in answer["entities"]]
print(json.dumps({"flavors": flavors, "entities": entities}, default=int))
"""


@dataclass(frozen=True)
class Compared:
    """What `mlflow run .` left: a user, the corpus, and the four runs."""

    user: User
    corpus: Path
    parent: Run
    trainings: dict[str, Run]
    report: Run


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, spark_cache: Path) -> Compared:  # noqa: F811
    """Both trainings and the report, run once by `main` on a small corpus."""
    user = User(tmp_path_factory.mktemp("compared"), spark_cache)
    corpus = small_corpus(user.folder / "a corpus of mine")
    user.mlflow_run(PROJECT, "main", {"epochs": "2", "corpus": str(corpus)})
    by_step = {run.data.tags["twinner.step"]: run for run in user.runs()}
    assert by_step.keys() == {"main", "spacy_train", "sparknlp_train", "report"}
    trainings = {"spacy": by_step["spacy_train"], "sparknlp": by_step["sparknlp_train"]}
    return Compared(user, corpus, by_step["main"], trainings, by_step["report"])


frameworks = pytest.mark.parametrize("framework", ["spacy", "sparknlp"])


def test_main_makes_one_parent_with_three_children_all_finished(compared: Compared) -> None:
    runs = compared.user.runs()
    assert len(runs) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert "mlflow.parentRunId" not in compared.parent.data.tags
    for child in (*compared.trainings.values(), compared.report):
        assert child.data.tags["mlflow.parentRunId"] == compared.parent.info.run_id


def test_mains_report_names_both_frameworks(compared: Compared, tmp_path: Path) -> None:
    page = compared.user.artifact(compared.report, "report.html", tmp_path).read_text(encoding="utf-8")
    assert "2 training runs: 2 finished" in page
    for name in ("spaCy", "Spark NLP", *(run.info.run_name for run in compared.trainings.values())):
        assert name in page


@frameworks
def test_every_epoch_has_its_metrics_at_its_step(compared: Compared, framework: str) -> None:
    run = compared.trainings[framework]
    best = int(run.data.metrics["best_epoch"])
    assert best in (1, 2)
    steps = {name: [1, 2] for name in EPOCH_METRICS}
    steps |= dict.fromkeys(DEV_METRICS, [1, 2] if framework == "spacy" else [best])
    history = {name: compared.user.client.get_metric_history(run.info.run_id, name) for name in steps}
    assert {name: [point.step for point in points] for name, points in history.items()} == steps


@frameworks
def test_the_final_metrics_of_the_contract_are_there(compared: Compared, framework: str) -> None:
    gold = (compared.corpus / "test.conll").read_text(encoding="utf-8").split("\n")
    tags = {line.split("\t")[1] for line in gold if line}
    expected = {*FINAL_METRICS, *(f"{tag}_{score}" for tag in tags for score in TOKEN_SCORES)}
    metrics = compared.trainings[framework].data.metrics
    assert expected - metrics.keys() == set()
    tokens = sum(1 for line in gold if line)
    assert metrics["weighted avg_support"] == tokens
    assert sum(metrics[f"{tag}_support"] for tag in tags) == tokens
    assert all(0 <= metrics[name] <= 1 for name in expected if name.endswith(("f1", "f1-score", "precision", "recall")))
    assert all(metrics[name] > 0 for name in FINAL_METRICS[-6:])


@frameworks
def test_params_hold_the_settings_the_sizes_and_the_versions(compared: Compared, framework: str) -> None:
    run = compared.trainings[framework]
    params = run.data.params
    entry_points = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    assert entry_points[f"{framework}_train"]["parameters"].keys() - params.keys() == set()
    assert params["epochs"] == "2"
    assert str(compared.corpus) in params["corpus"]  # MLflow writes it quoted
    assert {name: params[name] for name in SIZES} == SIZES
    for package in VERSIONS[framework]:
        assert params[f"{package}_version"] == version(package)


@frameworks
def test_tags_and_datasets_say_what_was_trained_on_what(compared: Compared, framework: str) -> None:
    run = compared.trainings[framework]
    tags = run.data.tags
    assert tags["twinner.step"] == f"{framework}_train"
    assert tags["twinner.framework"] == framework
    assert compared.corpus.name in tags["twinner.corpus"]
    assert tags["twinner.corpus_digest"]
    assert tags["twinner.test_digest"]
    assert "twinner.error" not in tags
    assert run.inputs
    datasets = {
        next(tag.value for tag in given.tags if tag.key == "mlflow.data.context"): given.dataset
        for given in run.inputs.dataset_inputs
    }
    assert datasets.keys() == {"train", "dev", "test"}
    assert len({dataset.digest for dataset in datasets.values()}) == 3
    for split, dataset in datasets.items():
        assert f"{split}.conll" in dataset.source


def test_both_trainings_were_given_the_same_data(compared: Compared) -> None:
    spacy, sparknlp = (run.data.tags for run in compared.trainings.values())
    for digest in ("twinner.corpus_digest", "twinner.test_digest"):
        assert spacy[digest] == sparknlp[digest]


@frameworks
def test_the_artifacts_of_the_contract_are_there(compared: Compared, framework: str, tmp_path: Path) -> None:
    run = compared.trainings[framework]
    there = {item.path for item in compared.user.client.list_artifacts(run.info.run_id)}
    assert (ARTIFACTS | OWN_ARTIFACTS[framework]) - there == set()
    folder = compared.user.artifact(run, "", tmp_path)
    assert not [file for file in folder.rglob("*") if file.is_file() and not file.stat().st_size and file.suffix]
    for split, sentences in SIZES.items():
        name = {"training_size": "train"}.get(split, split.removesuffix("_size"))
        text = (folder / "data" / f"{name}.conll").read_text(encoding="utf-8")
        assert text.rstrip("\n").count("\n\n") + 1 == int(sentences)


def test_inference_has_the_same_tokens_and_truth_in_the_same_order(compared: Compared, tmp_path: Path) -> None:
    tables: dict[str, Any] = {}
    for framework, run in compared.trainings.items():
        folder = tmp_path / framework
        folder.mkdir()
        tables[framework] = pq.read_table(compared.user.artifact(run, "inference.parquet", folder))
    given = ["sentence", "position", "token", "ground_truth"]
    assert tables["spacy"].select(given).equals(tables["sparknlp"].select(given))
    lines = (compared.corpus / "test.conll").read_text(encoding="utf-8").split("\n")
    pairs = zip(*(tables["spacy"][name].to_pylist() for name in given[2:]), strict=True)
    assert [f"{token}\t{tag}" for token, tag in pairs] == [line for line in lines if line]
    assert tables["sparknlp"]["prediction"].null_count == 0
    assert set(tables["spacy"].column_names) == {*given, "prediction", "confidence", "scores"}


@frameworks
def test_the_logged_model_is_native_and_answers_as_pyfunc(compared: Compared, framework: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK_THE_MODEL, f"runs:/{compared.trainings[framework].info.run_id}/model"],
        cwd=tmp_path,  # where the project is not
        env=user_environment(compared.user.cache, MLFLOW_TRACKING_URI=compared.user.store),
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
