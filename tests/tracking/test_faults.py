"""Trainings whose tracking fails, between a real client and a real server: nothing is lost, nothing is there twice."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pytest
from fault_proxy import FaultProxy  # type: ignore[import-not-found]
from mlflow.entities import Run
from servers import (  # type: ignore[import-not-found]
    Database,
    MlflowServer,
    mariadb,
    mlflow_server,
    s3_server,
)
from spacy_train import spacy_train
from sync import sync
from twinner.errors import Undelivered
from twinner.frameworks.contract import Epoch
from twinner.tracking.write import TrackedRun
from twinner.training.result import Result
from users import wait_until

pytestmark = pytest.mark.slow

EPOCHS = 3
MANY_EPOCHS = 60  # enough to be killed among them
CREATE = "runs/create"
LOG_BATCH = "runs/log-batch"
WRITES = "POST .*/(runs|logged-models|registered-models)/|PATCH |PUT "  # what follows the check of the store


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One server with SQLite that serves artifacts, for all tests."""
    with mlflow_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def proxy(server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A proxy before the server; the current store is behind it."""
    with FaultProxy(server.port) as between:
        use_store(monkeypatch, between.uri)
        yield between


def use_store(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("TWINNER_TRACKING_WAIT", "3")


@pytest.fixture
def train(small_corpus: Path) -> Callable[..., Result]:
    def train(**parameters: Any) -> Result:
        return spacy_train(corpus=str(small_corpus), epochs=EPOCHS, batch_size=100, lr=0.005, **parameters)

    return train


@pytest.fixture(scope="module")
def contents(server: MlflowServer, small_corpus: Path) -> dict[str, Any]:
    """What a run without faults holds."""
    with pytest.MonkeyPatch.context() as patch:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
        patch.setenv("MLFLOW_TRACKING_URI", server.uri)
        patch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
        for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(variable, raising=False)
        run = spacy_train(corpus=str(small_corpus), epochs=EPOCHS, batch_size=100, lr=0.005)
        found = contents_of(run.run_id)
        del found["metrics"]["ner.losses"]  # see `assert_whole`
        return found


def contents_of(run_id: str) -> dict[str, Any]:
    """Names and numbers of everything that a run holds; values that differ between two equal runs are left out."""
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    histories = {name: client.get_metric_history(run_id, name) for name in run.data.metrics}
    assert run.inputs is not None
    assert run.outputs is not None
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    return {
        "status": run.info.status,
        "metrics": {name: Counter(point.step for point in points) for name, points in histories.items()},
        "params": dict(run.data.params),
        "tags": sorted(tag for tag in run.data.tags if tag.startswith("twinner")),
        "inputs": sorted(tag.value for given in run.inputs.dataset_inputs for tag in given.tags),
        "artifacts": sorted(_files(partial(client.list_artifacts, run_id))),
        "models": [(str(model.status), sorted(metric.key for metric in model.metrics or ())) for model in models],
        "outputs": [output.model_id for output in run.outputs.model_outputs] == [model.model_id for model in models],
        "model files": [
            sorted(_files(partial(client.list_logged_model_artifacts, model.model_id))) for model in models
        ],
    }


def _files(listed: Callable[[str | None], list[Any]], path: str | None = None) -> Iterator[str]:
    for file in listed(path):
        if file.is_dir:
            yield from _files(listed, file.path)
        else:
            yield file.path


def assert_whole(run_id: str, contents: dict[str, Any], epochs: int = EPOCHS) -> None:
    """Check that a run holds what a run without faults holds, and that nothing waits in the outbox."""
    found = contents_of(run_id)
    assert sorted(found["metrics"].pop("ner.losses")) == list(range(1, epochs + 1))
    assert all(count == 1 for steps in found["metrics"].values() for count in steps.values())
    if epochs != EPOCHS:
        found = {**found, "metrics": found["metrics"].keys(), "params": found["params"].keys()}
        contents = {**contents, "metrics": contents["metrics"].keys(), "params": contents["params"].keys()}
    for name, expected in contents.items():
        assert found[name] == expected, name
    assert mlflow.spacy.load_model(f"runs:/{run_id}/model").pipe_names == ["tok2vec", "ner"]
    assert waiting() == []


def waiting() -> list[str]:
    """The ids of the runs in the outbox."""
    return sorted({path.stem for path in Path(os.environ["TWINNER_CACHE"], "runs").iterdir()})


def newest_run() -> Run:
    experiment = os.environ.get("MLFLOW_EXPERIMENT_ID", "0")
    order = ["attributes.start_time DESC"]
    found: list[Run] = mlflow.MlflowClient().search_runs([experiment], order_by=order, max_results=1)
    return found[0]


def later(seconds: float, action: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(lambda p: p.answer(500, WRITES, times=8), id="500"),
        pytest.param(lambda p: p.answer(429, WRITES, times=8), id="429"),
        pytest.param(lambda p: p.answer(503, LOG_BATCH, times=4), id="503 for metrics"),
        pytest.param(lambda p: p.reset("before", WRITES, times=8), id="reset before"),
        pytest.param(lambda p: p.reset("after", WRITES, times=8), id="reset after"),
        pytest.param(lambda p: p.reset("after", CREATE, times=1), id="run made, answer lost"),
        pytest.param(lambda p: p.reset("after", "POST .*/logged-models$", times=1), id="model made, answer lost"),
        pytest.param(lambda p: p.reset("after", "/outputs", times=1), id="output linked, answer lost"),
        pytest.param(lambda p: p.reset("after", LOG_BATCH, times=4), id="metrics logged, answer lost"),
        pytest.param(lambda p: p.reset("after", "PUT ", times=6), id="files stored, answer lost"),
        pytest.param(lambda p: p.cut(WRITES, times=8), id="half an answer"),
        pytest.param(lambda p: p.delay(5, LOG_BATCH, times=3), id="slow"),
    ],
)
def test_a_training_survives_passing_faults(
    fail: Callable[[FaultProxy], Any],
    proxy: FaultProxy,
    train: Callable[..., Result],
    contents: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TWINNER_TRACKING_WAIT", "60")
    before = len(mlflow.MlflowClient().search_runs(["0"]))
    fault = fail(proxy)
    result = train()
    assert fault.hits > 0
    proxy.heal()
    assert_whole(result.run_id, contents)
    assert len(mlflow.MlflowClient().search_runs(["0"])) == before + 1


def test_a_server_that_is_down_in_mid_epoch_for_a_while_gets_everything(
    proxy: FaultProxy, train: Callable[..., Result], contents: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWINNER_TRACKING_WAIT", "60")
    down_at_first_epoch(proxy, monkeypatch)
    timer = later(30, proxy.up)
    result = train()
    timer.join()
    assert_whole(result.run_id, contents)


def down_at_first_epoch(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server go down after the first epoch of the next training."""
    after_first_epoch(monkeypatch, proxy.down)


def after_first_epoch(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    log_epoch = TrackedRun.log_epoch

    def then_act(run: TrackedRun, epoch: Epoch) -> None:
        log_epoch(run, epoch)
        if epoch.number == 1:
            act()

    monkeypatch.setattr(TrackedRun, "log_epoch", then_act)


def test_a_server_that_stays_down_gets_everything_by_sync(
    proxy: FaultProxy, train: Callable[..., Result], contents: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    down_at_first_epoch(proxy, monkeypatch)
    with pytest.raises(Undelivered, match="not everything has arrived in MLflow") as failure:
        train()
    [run_id] = waiting()
    assert f"{run_id} for `mlflow run . -e sync`" in failure.value.__notes__[-1]
    ended = time.time()

    proxy.up()
    assert mlflow.MlflowClient().get_run(run_id).info.status == "RUNNING"  # nobody could tell the server
    [outcome] = sync()
    assert (outcome.state, outcome.run_id) == ("delivered", run_id)
    assert_whole(run_id, contents)
    client = mlflow.MlflowClient()
    assert client.get_run(run_id).info.end_time <= ended * 1000
    assert all(metric.timestamp <= ended * 1000 for metric in client.get_metric_history(run_id, "test_f1"))
    assert sync() == []


def test_the_next_training_delivers_what_waits(
    proxy: FaultProxy, train: Callable[..., Result], contents: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        down_at_first_epoch(proxy, patch)
        with pytest.raises(Undelivered):
            train()
    [first] = waiting()
    proxy.up()
    second = train()
    deadline = time.monotonic() + 60
    while waiting() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert_whole(first, contents)
    assert_whole(second.run_id, contents)


def test_a_sync_that_is_killed_again_and_again_delivers_everything_once(
    proxy: FaultProxy, train: Callable[..., Result], contents: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    down_at_first_epoch(proxy, monkeypatch)
    with pytest.raises(Undelivered):
        train()
    [run_id] = waiting()
    proxy.up()
    step = Path(__file__).parents[2] / "steps" / "sync.py"
    for requests_before_kill in (1, 4, 12, 25):
        before = sum(proxy.requests.values())
        slow = proxy.delay(0.1)
        process = subprocess.Popen([sys.executable, "-s", str(step)], env=os.environ, stdout=subprocess.DEVNULL)
        while process.poll() is None and sum(proxy.requests.values()) < before + requests_before_kill:
            time.sleep(0.01)
        process.kill()
        process.wait()
        slow.times = 0
    sync()
    assert_whole(run_id, contents)


def test_a_refusing_artifact_store_costs_no_metric(
    small_corpus: Path, train: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server(tmp_path / "s3") as s3, FaultProxy(s3.port) as before_s3:
        for name, value in (s3.access | {"MLFLOW_S3_ENDPOINT_URL": before_s3.uri}).items():
            monkeypatch.setenv(name, value)
        options = ("--no-serve-artifacts", "--default-artifact-root", f"s3://{s3.bucket}/runs")
        with mlflow_server(tmp_path / "server", "", *options) as server:
            use_store(monkeypatch, server.uri)
            whole = contents_of(train().run_id)
            del whole["metrics"]["ner.losses"]
            for pattern in ("PUT .*/(artifacts/errors.html|artifacts/MLmodel)", "PUT .*/models/"):
                before_s3.answer(403, pattern)
                with pytest.raises(Undelivered):
                    train()
                run = newest_run()
                assert run.info.status == "FAILED"
                assert "not everything has arrived" in run.data.tags["twinner.error"]
                assert set(run.data.metrics) == {"ner.losses", *whole["metrics"]}
                before_s3.heal()
                assert [outcome.state for outcome in sync()] == ["delivered"]
                assert_whole(run.info.run_id, whole)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(params=["client", "server"])
def store_with_full_disk(
    request: pytest.FixtureRequest, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A store whose artifacts go to the small disk, written by the client or by a server."""
    if request.param == "server":
        with mlflow_server(tmp_path / "server", artifacts=str(small_disk)) as server:
            use_store(monkeypatch, server.uri)
            yield
    else:
        uri = f"sqlite:///{tmp_path}/mlflow.db"
        experiment = mlflow.MlflowClient(uri).create_experiment("full", artifact_location=small_disk.as_uri())
        use_store(monkeypatch, uri)
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
        yield


@pytest.mark.usefixtures("store_with_full_disk")
def test_a_full_artifact_store_costs_nothing(small_disk: Path, train: Callable[..., Result]) -> None:
    (small_disk / "filler").write_bytes(bytes(900_000))
    with pytest.raises(Undelivered):
        train()
    run = newest_run()
    assert run.info.status == "FAILED"
    assert run.data.metrics["test_f1"] > 0.5
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    assert [outcome.state for outcome in sync()] == ["delivered"]
    found = contents_of(run.info.run_id)
    assert found["status"] == "FINISHED"
    assert "errors.html" in found["artifacts"]
    assert mlflow.spacy.load_model(f"runs:/{run.info.run_id}/model").pipe_names == ["tok2vec", "ner"]


@pytest.mark.parametrize("through_server", [False, True], ids=["direct", "through a server"])
def test_a_database_that_is_restarted_in_mid_epoch_gets_everything(
    through_server: bool,
    train: Callable[..., Result],
    contents: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ExitStack() as stack:
        database = stack.enter_context(mariadb(tmp_path / "db"))
        uri = database.uri()
        if through_server:
            uri = stack.enter_context(mlflow_server(tmp_path / "server", uri)).uri
        use_store(monkeypatch, uri)
        monkeypatch.setenv("TWINNER_TRACKING_WAIT", "60")
        after_first_epoch(monkeypatch, lambda: later(0, lambda: restart(database)))
        assert_whole(train().run_id, contents)


def restart(database: Database) -> None:
    database.stop()
    time.sleep(3)
    database.start()


def test_eight_trainings_on_one_sqlite_store_lose_and_double_nothing(
    small_corpus: Path, contents: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started at once, on a store that does not exist yet, with a corpus that it does not know."""
    use_store(monkeypatch, f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("TWINNER_TRACKING_WAIT", "60")
    step = Path(__file__).parents[2] / "steps" / "spacy_train.py"
    options = [f"--corpus={small_corpus}", f"--epochs={EPOCHS}", "--batch-size=100", "--lr=0.005"]
    command = [sys.executable, "-s", str(step), *options]
    runs = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(8)]
    outputs = [run.communicate(timeout=600)[0].decode() for run in runs]
    assert [run.returncode for run in runs] == [0] * 8, "\n".join(outputs)[-6000:]
    stored = mlflow.MlflowClient().search_runs(["0"])
    assert len(stored) == 8
    for run in stored:
        assert_whole(run.info.run_id, contents)


def test_a_killed_training_can_be_synced_and_then_resumed(
    small_corpus: Path, contents: dict[str, Any], proxy: FaultProxy
) -> None:
    train_until_killed(small_corpus, proxy)
    [outcome] = sync()
    assert outcome.state == "delivered"
    stopped = mlflow.MlflowClient().get_run(outcome.run_id)
    assert stopped.info.status == "FAILED"
    assert stopped.data.tags["twinner.error"].startswith("the process of this run ended before its training did")
    assert_whole(spacy_train(resume=outcome.run_id).run_id, contents, MANY_EPOCHS)


def test_a_killed_training_can_be_resumed_at_once(
    small_corpus: Path, contents: dict[str, Any], proxy: FaultProxy
) -> None:
    train_until_killed(small_corpus, proxy)
    [run_id] = waiting()
    assert_whole(spacy_train(resume=run_id).run_id, contents, MANY_EPOCHS)


def train_until_killed(small_corpus: Path, proxy: FaultProxy) -> None:
    """Kill a training after its first epoch has reached the server, and while the server is away."""
    step = Path(__file__).parents[2] / "steps" / "spacy_train.py"
    options = [f"--corpus={small_corpus}", f"--epochs={MANY_EPOCHS}", "--batch-size=100", "--lr=0.005"]
    client = mlflow.MlflowClient(f"http://127.0.0.1:{proxy.target}")
    known = {run.info.run_id for run in client.search_runs(["0"])}

    def has_new_epoch() -> bool:
        new = [run for run in client.search_runs(["0"]) if run.info.run_id not in known]
        return any("ner.losses" in run.data.metrics for run in new)

    process = subprocess.Popen([sys.executable, "-s", str(step), *options], stdout=subprocess.DEVNULL)
    wait_until(has_new_epoch, "no epoch has reached the server", seconds=120)
    proxy.down()
    time.sleep(0.5)
    process.kill()
    process.wait()
    proxy.up()
