"""Run the set-ups of docs/tracking.md: local stores, servers with a database, artifacts in S3.

In each, training, report and loading the model are processes of their own, as a user's are.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from servers import PASSWORD, Database, S3Server, basic_auth, mlflow_server
from spark_cache import spark_cache  # type: ignore[import-not-found]  # noqa: F401
from users import PROJECT, small_corpus, user_environment  # type: ignore[import-not-found]

pytestmark = pytest.mark.slow

# Texts of the corpus, so that a model that has learned anything finds something. A served Spark NLP model starts
# Spark with the jars that its native form needs.
LOAD = """
import sys
import mlflow, pandas
texts = ["Morgens 5 mg Melatonin .", "Verdacht auf Migräne , Ramipril 5 mg 1-0-0 oral .", "Nichts ."]
for uri in sys.argv[1:]:
    served = mlflow.pyfunc.load_model(uri).predict(pandas.DataFrame({"text": texts}))["entities"]
    served = [[(entity["start"], entity["end"], entity["label"]) for entity in row] for row in served]
    if "spacy" in mlflow.models.get_model_info(uri).flavors:
        docs = mlflow.spacy.load_model(uri).pipe(texts)
        native = [[(e.start_char, e.end_char, e.label_) for e in doc.ents] for doc in docs]
    else:
        from sparknlp.base import LightPipeline
        rows = LightPipeline(mlflow.spark.load_model(uri)).fullAnnotate(texts)
        native = [[(e.begin, e.end + 1, e.metadata["entity"]) for e in row["entities"]] for row in rows]
    assert served == native, (served, native)
    assert any(served), "the model finds nothing"
"""


@dataclass(frozen=True)
class Setup:
    """Where a user's runs go.

    Attributes:
        uri: of the store, for the client
        environment: what else the client needs
        frameworks: those that train there; Spark NLP, for the sake of time, only where files take a way of their own
        artifacts: how the URI of a run's artifacts begins
        kept: the folder on this machine that the artifacts must end up in
    """

    folder: Path
    uri: str
    frameworks: tuple[str, ...]
    artifacts: str
    kept: Path
    environment: dict[str, str]

    def run(self, cache: Path, *command: str) -> str:
        """Run a command as a user of this set-up and return all that it printed."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=user_environment(
                cache, MLFLOW_TRACKING_URI=self.uri, MLFLOW_EXPERIMENT_NAME="ward 7", **self.environment
            ),
            capture_output=True,
            text=True,
            timeout=600,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0, f"{' '.join(command)}\n{printed[-6000:]}"
        return printed


@contextmanager
def sqlite(folder: Path) -> Iterator[Setup]:
    yield Setup(folder, f"sqlite:///{folder}/runs.db", ("spacy",), f"{folder}/mlruns/", folder / "mlruns", {})


@contextmanager
def folder_of_files(folder: Path) -> Iterator[Setup]:
    uri = (folder / "runs").as_uri()
    yield Setup(folder, uri, ("spacy",), uri, folder / "runs", {"MLFLOW_ALLOW_FILE_STORE": "true"})


@contextmanager
def database(folder: Path, server: Database) -> Iterator[Setup]:
    """The client opens the database itself and keeps the artifacts on its disk."""
    uri = server.new_database("direct")
    yield Setup(folder, uri, ("spacy",), f"{folder}/mlruns/", folder / "mlruns", {})


@contextmanager
def database_server(folder: Path, server: Database) -> Iterator[Setup]:
    """A server over a database keeps the artifacts on its disk and asks for a password."""
    admin = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "admin-" + PASSWORD}
    auth = basic_auth(folder, admin["MLFLOW_TRACKING_PASSWORD"])
    with mlflow_server(folder / "server", server.uri(), "--app-name", "basic-auth", **auth) as tracker:
        kept = folder / "server/artifacts"
        yield Setup(folder, tracker.uri, ("spacy", "sparknlp"), "mlflow-artifacts:/", kept, admin)


@contextmanager
def s3_direct(folder: Path, server: Database, s3: S3Server) -> Iterator[Setup]:
    """The client sends artifacts to S3 itself; the server has no keys."""
    root = f"s3://{s3.bucket}/direct"
    options = ["--no-serve-artifacts", "--default-artifact-root", root]
    with mlflow_server(folder / "server", server.new_database("s3_direct"), *options) as tracker:
        kept = s3.objects / s3.bucket / "direct"
        yield Setup(folder, tracker.uri, ("spacy", "sparknlp"), root, kept, s3.access)


@contextmanager
def s3_served(folder: Path, server: Database, s3: S3Server) -> Iterator[Setup]:
    """The server passes artifacts on to S3; the client has no keys."""
    destination = f"s3://{s3.bucket}/served"
    store = server.new_database("s3_served")
    with mlflow_server(folder / "server", store, artifacts=destination, **s3.access) as tracker:
        kept = s3.objects / s3.bucket / "served"
        yield Setup(folder, tracker.uri, ("spacy", "sparknlp"), "mlflow-artifacts:/", kept, {})


SETUPS: dict[str, Callable[[Path, pytest.FixtureRequest], AbstractContextManager[Setup]]] = {
    "sqlite": lambda folder, _: sqlite(folder),
    "file": lambda folder, _: folder_of_files(folder),
    "mariadb": lambda folder, request: database(folder, request.getfixturevalue("maria")),
    "postgresql": lambda folder, request: database(folder, request.getfixturevalue("postgresql")),
    "mariadb-server": lambda folder, request: database_server(folder, request.getfixturevalue("maria")),
    "postgresql-server-s3": lambda folder, request: s3_direct(
        folder, request.getfixturevalue("postgresql"), request.getfixturevalue("s3")
    ),
    "mariadb-server-to-s3": lambda folder, request: s3_served(
        folder, request.getfixturevalue("maria"), request.getfixturevalue("s3")
    ),
}


@pytest.mark.parametrize("name", SETUPS)
def test_trains_reports_and_loads(
    name: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    spark_cache: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "user"
    folder.mkdir()
    corpus = small_corpus(tmp_path / "corpus")
    with SETUPS[name](folder, request) as setup:
        for variable, value in setup.environment.items():
            monkeypatch.setenv(variable, value)
        client = MlflowClient(setup.uri)
        models = []
        for framework in setup.frameworks:
            train(setup, framework, corpus, spark_cache)
            [run] = runs(client, f"{framework}_train")
            check_training(client, run, setup)
            models.append(f"runs:/{run.info.run_id}/model")
        setup.run(spark_cache, sys.executable, "-c", LOAD, *models)
        setup.run(spark_cache, sys.executable, str(PROJECT / "steps/report.py"))
        [report] = runs(client, "report")
        page = Path(client.download_artifacts(report.info.run_id, "report.html", str(tmp_path)))
        count = len(setup.frameworks)
        assert f"{count} training run{'s' if count > 1 else ''}: {count} finished" in page.read_text(encoding="utf-8")


def train(setup: Setup, framework: str, corpus: Path, cache: Path) -> None:
    """Train a little and look for the password in what is printed.

    spaCy through `mlflow run`, which opens the store too; Spark NLP, for the sake of time, without.
    """
    params = {"corpus": str(corpus), "epochs": "4", "model_name": "wards"}
    if framework == "spacy":
        params |= {"lr": "0.005", "batch_size": "100"}
        command = ["mlflow", "run", str(PROJECT), "-e", "spacy_train", "--env-manager", "local"]
        command += [word for name, value in params.items() for word in ("-P", f"{name}={value}")]
    else:
        params |= {"lr": "0.01", "batch_size": "8"}
        command = [sys.executable, str(PROJECT / "steps/sparknlp_train.py")]
        command += [f"--{name}={value}" for name, value in params.items()]
    printed = setup.run(cache, *command)
    assert PASSWORD not in printed
    assert setup.uri.replace(f":{PASSWORD}@", ":***@") in printed


def runs(client: MlflowClient, step: str) -> list[Run]:
    experiment = client.get_experiment_by_name("ward 7")
    assert experiment
    found: list[Run] = client.search_runs([experiment.experiment_id], f"tags.`twinner.step` = '{step}'")
    return found


def check_training(client: MlflowClient, run: Run, setup: Setup) -> None:
    """Check that everything of a run is where this set-up keeps it."""
    assert run.info.status == "FINISHED"
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "dev_token_f1")]
    assert steps == list(range(1, 1 + int(run.data.params["epochs"])))
    assert "test_f1" in run.data.metrics
    assert run.info.artifact_uri.startswith(setup.artifacts)
    [inference] = [item for item in client.list_artifacts(run.info.run_id) if item.path == "inference.parquet"]
    [kept] = setup.kept.rglob(f"{run.info.run_id}/artifacts/inference.parquet")
    assert kept.stat().st_size == inference.file_size
    versions = client.search_model_versions(f"name = 'wards' and run_id = '{run.info.run_id}'")
    assert len(versions) == 1
