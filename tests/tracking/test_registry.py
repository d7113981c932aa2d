"""Registering versions, on every kind of store, through lost answers, and without permission."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import promote
import pytest
from fault_proxy import FaultProxy  # type: ignore[import-not-found]
from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client
from servers import basic_auth, mlflow_server  # type: ignore[import-not-found]
from twinner import cli
from twinner.errors import BadInput
from twinner.tracking.registry import (
    LONGEST_DESCRIPTION,
    check_model_name,
    lacks_registry,
    move_aliases,
    read_registered_model,
    register_version,
    shorten_description,
    version_tags,
)

NAMES = ["new-ner", "a.b c_d", "模型", "a/b:c", "a/b", "a:b", " ", "\t", ".", "..", "x" * 200]
TAGS = {"twinner.test_f1": "0.9000", "twinner.test_digest": "d1"}
CREATE = "POST .*/model-versions/create"


@pytest.mark.parametrize("name", NAMES)
def test_accepts_exactly_the_names_that_mlflow_registers(name: str, tracked: mlflow.MlflowClient) -> None:
    try:
        tracked.create_registered_model(name)
    except MlflowException:
        registered = False
    else:
        tracked.delete_registered_model(name)
        registered = True
    if registered and name.strip():
        check_model_name(name)
    else:  # MLflow registers a blank name, which no URI can name
        with pytest.raises(BadInput, match=r"^model_name .*; give a name without / and :, or leave it empty$"):
            check_model_name(name)


def test_an_empty_name_registers_nothing() -> None:
    check_model_name("")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("x" * 256, "is longer than 255 bytes; shorten it"),
        ("ä" * 128, "is longer than 255 bytes; shorten it"),
        ("'\"", "contains both kinds of quotes; leave one out"),
    ],
)
def test_refuses_names_that_not_every_store_takes(name: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_model_name(name)
    assert str(caught.value).endswith(told)


@dataclass
class Logged:
    """A run with a logged model in the current store."""

    client: mlflow.MlflowClient
    run_id: str
    model_id: str

    def register(self, name: str = "ner", description: str = "a card", tags: dict[str, str] = TAGS) -> str:
        return register_version(self.client, name, self.model_id, self.run_id, description, tags)

    def versions(self, name: str = "ner") -> list[int]:
        return sorted(int(version.version) for version in self.client.search_model_versions(f"name = '{name}'"))


def log() -> Logged:
    client = mlflow.MlflowClient()
    run_id = client.create_run("0").info.run_id
    return Logged(client, run_id, client.create_logged_model("0", "model", source_run_id=run_id).model_id)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start a tracking server on SQLite and return its port."""
    with mlflow_server(tmp_path_factory.mktemp("server")) as started:
        yield started.port


@pytest.fixture(params=["sqlite", "file", "plain folder", "server", "postgres"])
def logged(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Logged:
    """Log a model in each kind of store; the isolated store is SQLite's."""
    if request.param in ("file", "plain folder"):
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        folder = tmp_path / "mlruns"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", folder.as_uri() if request.param == "file" else str(folder))
    elif request.param == "server":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{request.getfixturevalue('server')}")
    elif request.param == "postgres":  # which unlike SQLite holds the lengths of its columns
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("postgresql").uri())
    return log()


def test_registers_a_version_once_with_description_and_tags(logged: Logged) -> None:
    check_model_name("ner")
    long = "\n".join(["äöü" * 20] * 200)
    assert {logged.register(description=long) for _ in range(3)} == {"1"}
    check_model_name("ner")
    assert logged.versions() == [1]
    version = logged.client.get_model_version("ner", "1")
    assert (version.run_id, version.source) == (logged.run_id, f"models:/{logged.model_id}")
    assert version.tags == TAGS
    assert version.description == shorten_description(long)
    tags = logged.client.get_logged_model(logged.model_id).tags
    assert json.loads(tags["mlflow.modelVersions"]) == [{"name": "ner", "version": 1}]


def test_a_later_call_brings_description_and_tags_up_to_date(logged: Logged) -> None:
    name = "renewed"
    assert logged.register(name, "before", {"twinner.test_f1": "0.1"}) == "1"
    assert logged.register(name) == "1"
    version = logged.client.get_model_version(name, "1")
    assert (version.description, version.tags) == ("a card", TAGS)


def test_other_runs_and_names_get_versions_of_their_own(logged: Logged) -> None:
    assert logged.register("one") == "1"
    assert log().register("one") == "2"
    assert logged.register("two") == "1"
    assert logged.register("one") == "1"
    assert (logged.versions("one"), logged.versions("two")) == ([1, 2], [1])
    tags = logged.client.get_logged_model(logged.model_id).tags
    assert json.loads(tags["mlflow.modelVersions"]) == [{"name": "one", "version": 1}, {"name": "two", "version": 1}]


def test_versions_and_aliases_are_read_and_moved(logged: Logged) -> None:
    name = "it's mine"
    logged.register(name)
    log().register(name)
    move_aliases(name, {"previous": 1, "champion": 2}, {"twinner.force_reason": "why"})
    model = read_registered_model(name)
    assert [(version.number, bool(version.run_id)) for version in model.versions] == [(2, True), (1, True)]
    assert model.aliases == {"previous": 1, "champion": 2}
    assert (model.version("champion"), model.version("none")) == (model.versions[0], None)
    assert logged.client.get_model_version(name, "2").tags == TAGS | {"twinner.force_reason": "why"}


@pytest.mark.parametrize("logged", ["sqlite", "server", "postgres"], indirect=True)
def test_processes_may_race_for_the_registered_model(logged: Logged) -> None:
    models = [logged, *(log() for _ in range(5))]
    with ThreadPoolExecutor(len(models)) as pool:
        versions = list(pool.map(lambda model: model.register("raced"), models))
    assert sorted(versions) == ["1", "2", "3", "4", "5", "6"]
    assert logged.versions("raced") == [1, 2, 3, 4, 5, 6]


class Overtaken(mlflow.MlflowClient):
    """A client whose registered model another process makes while it tries to."""

    def create_registered_model(self, name: str, *args: Any, **kwargs: Any) -> Any:
        mlflow.MlflowClient().create_registered_model(name)
        return super().create_registered_model(name, *args, **kwargs)


def test_losing_the_race_for_the_registered_model_is_no_failure(logged: Logged) -> None:
    logged.client = Overtaken()
    assert logged.register("overtaken") == "1"


@pytest.mark.parametrize("fault", ["reset", "cut"])
def test_a_lost_answer_makes_no_second_version(server: int, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    with FaultProxy(server) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
        logged = log()
        name = f"lost by {fault}"
        lost = proxy.reset("after", CREATE, 2) if fault == "reset" else proxy.cut(CREATE, 2)
        # MLflow itself repeats the request as often as it may; then the caller does.
        for _ in range(3):
            try:
                number = logged.register(name)
                break
            except MlflowException:
                continue
        assert lost.hits >= 1
        assert logged.versions(name) == [int(number)]
        assert logged.client.get_model_version(name, number).run_id == logged.run_id


def test_a_lost_answer_to_the_first_request_is_no_failure(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    with FaultProxy(server) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
        logged = log()
        lost = proxy.reset("after", "POST .*/registered-models/create", 1)
        assert logged.register("lost model") == "1"
        assert lost.hits == 1


@pytest.fixture
def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have MLflow look for the registry where it supports none, as a team's own store may."""
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "s3://bucket/models")


def test_a_store_without_a_registry_is_told_before_the_training(
    no_registry: None, capsys: pytest.CaptureFixture[str]
) -> None:
    check_model_name("ner")
    assert capsys.readouterr().out == ("The store has no registry: the model will be logged, not registered as ner.\n")
    with pytest.raises(MlflowException) as caught:
        log().register()
    assert lacks_registry(caught.value)
    assert cli.exit_status(promote.promote, ["--model-name=ner"]) == 2
    assert capsys.readouterr().err == (
        "error: the store has no registry, so nothing can be promoted in it; point MLFLOW_TRACKING_URI, or "
        "MLFLOW_REGISTRY_URI, to a store that has one\n"
    )


def test_missing_permission_is_told_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def be(user: str) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", f"{user}-password-1")

    with mlflow_server(tmp_path, "", "--app-name", "basic-auth", **basic_auth(tmp_path)) as auth:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", auth.uri)
        be("admin")
        get_app_client("basic-auth", auth.uri).create_user("colleague", "colleague-password-1")
        theirs = log()
        assert theirs.register("theirs") == "1"
        be("colleague")
        check_model_name("new")
        with pytest.raises(BadInput) as caught:
            check_model_name("theirs")
        assert str(caught.value) == (
            "model_name 'theirs': you may not add a version to this registered model; "
            "ask its owner for the permission EDIT, or give another name"
        )
        client = mlflow.MlflowClient()
        mine = client.create_run(client.create_experiment("of my own")).info
        model = client.create_logged_model(mine.experiment_id, "model", source_run_id=mine.run_id)
        assert {register_version(client, "new", model.model_id, mine.run_id, "", {}) for _ in range(2)} == {"1"}
        with pytest.raises(MlflowException, match="Permission denied"):
            register_version(client, "theirs", model.model_id, mine.run_id, "", {})
        with pytest.raises(BadInput, match="you may not change the aliases of the registered model 'theirs'; ask its"):
            move_aliases("theirs", {"champion": 1})
        move_aliases("new", {"champion": 1})
        assert read_registered_model("theirs").aliases == {}
        be("nobody")
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of my own")
        assert cli.exit_status(promote.promote, ["--model-name=new"]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_description_is_cut_at_a_line_and_says_so() -> None:
    assert shorten_description("short") == "short"
    text = "\n".join(f"line {number}" for number in range(2000))
    short = shorten_description(text)
    assert LONGEST_DESCRIPTION - 20 < len(short) <= LONGEST_DESCRIPTION
    kept, note = short.split("\n\n")
    assert text.startswith(f"{kept}\n")
    assert note == "… The whole text is the artifact `model_card.md` of the run."


def test_version_tags_tell_scores_and_digests() -> None:
    tags = {"twinner.framework": "spacy", "twinner.test_digest": "d1", "mlflow.user": "me"}
    assert version_tags("r1", tags, {"test_f1": 0.87654, "best_dev_f1": 0.9, "accuracy": 1.0}) == {
        "twinner.run_id": "r1",
        "twinner.framework": "spacy",
        "twinner.test_digest": "d1",
        "twinner.best_dev_f1": "0.9000",
        "twinner.test_f1": "0.8765",
    }
