"""Repeat real trainings from real commits: identical, with changed data, with changed code, without their data."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.entities import Run
from reproduce import reproduce
from spark_cache import spark_cache  # type: ignore[import-not-found]  # noqa: F401
from twinner import cli
from users import (  # type: ignore[import-not-found]
    NOT_THE_PROJECT,
    PROJECT,
    User,
    commit_everything,
    git,
    small_corpus,
)


@dataclass(frozen=True)
class Trained:
    """A user in a clone of the project, their corpus, and the run of a training there."""

    user: User
    corpus: Path
    run: Run


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project as it is here, with an origin."""
    base = tmp_path_factory.mktemp("reproduce")
    shutil.copytree(PROJECT, base / "origin", ignore=shutil.ignore_patterns(*NOT_THE_PROJECT))
    commit_everything(base / "origin")
    git("clone", "-q", str(base / "origin"), str(base / "clone"))
    return base / "clone"


@pytest.fixture(scope="module")
def trained(clone: Path) -> Iterator[Trained]:
    user = User(clone, clone.parent / "cache")
    corpus = small_corpus(clone.parent / "corpus")
    train(user, corpus, "--epochs", "2", "--model-name", "mine", "--export", str(clone.parent / "exported"))
    yield Trained(user, corpus, user.runs()[-1])
    shutil.rmtree(clone.parent, ignore_errors=True)


@pytest.fixture
def same_store(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process, whose project is not the clone, use the clone's store."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained.user.store)
    monkeypatch.chdir(trained.user.folder)  # relative artifact locations start there


def train(user: User, corpus: Path, *options: str) -> None:
    step = ("python", "-s", "steps/spacy_train.py", "--corpus", str(corpus), "--limit", "60", "--batch-size", "100")
    user.run(*step, "--lr", "0.005", *options)


def test_run_is_repeated_to_the_digit_and_leaves_what_is_there_alone(trained: Trained) -> None:
    user, then = trained.user, trained.run.info.run_id
    exported = sorted((file, file.stat().st_mtime_ns) for file in (trained.user.folder.parent / "exported").iterdir())
    user.mlflow_run(".", "reproduce", {"run_id": then})
    parent, child = user.runs()[-2:]
    for one in (parent, child):
        assert one.data.tags["twinner.verdict"] == "identical"
        assert one.data.tags["twinner.reproduces"] == then
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.tags["mlflow.source.git.commit"] == trained.run.data.tags["mlflow.source.git.commit"]
    assert child.data.metrics["ner.losses"] == trained.run.data.metrics["ner.losses"] > 0
    assert len(user.client.search_model_versions("name='mine'")) == 1
    assert exported == sorted((file, file.stat().st_mtime_ns) for file, _ in exported)
    table = user.artifact(parent, "reproduction.csv", user.folder.parent).read_text(encoding="utf-8")
    loss = next(line for line in table.splitlines() if line.startswith("ner.losses,2,"))
    assert loss.endswith(",0.0,identical")
    assert f"test_f1,,{trained.run.data.metrics['test_f1']}," in table


@pytest.mark.usefixtures("same_store")
def test_data_is_named_as_the_cause_if_one_tag_has_changed(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    file = trained.corpus / "dev.conll"
    before = file.read_text(encoding="utf-8")
    runs = len(trained.user.runs())
    file.write_text(before.replace("\tB-DRUG", "\tB-FORM", 1), encoding="utf-8")
    try:
        assert cli.exit_status(reproduce, ["--run-id", trained.run.info.run_id]) == cli.FAILED
    finally:
        file.write_text(before, encoding="utf-8")
    error = capsys.readouterr().err
    assert "error: different: data (dev: digest " in error
    assert "train: digest" not in error
    assert len(trained.user.runs()) == runs + 1  # nothing was trained
    assert trained.user.runs()[-1].data.tags["twinner.verdict"] == "different"


@pytest.mark.usefixtures("same_store")
def test_lost_corpus_is_bad_input(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    moved = trained.corpus.rename(trained.corpus.with_name("moved"))
    try:
        assert cli.exit_status(reproduce, ["--run-id", trained.run.info.run_id]) == cli.BAD_INPUT
    finally:
        moved.rename(trained.corpus)
    assert f"can't be read: no corpus, file or folder is called '{trained.corpus}'" in capsys.readouterr().err


@pytest.mark.usefixtures("same_store")
def test_uncommitted_changes_are_bad_input_that_names_the_files(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = trained.user.folder / "steps" / "twinner" / "phases.py"
    changed.write_text(f"{changed.read_text(encoding='utf-8')}\n", encoding="utf-8")
    try:
        train(trained.user, trained.corpus, "--epochs", "1")
    finally:
        git("checkout", "-q", "--", ".", cwd=trained.user.folder)
    run = trained.user.runs()[-1]
    assert cli.exit_status(reproduce, ["--run-id", run.info.run_id]) == cli.BAD_INPUT
    assert "was made with uncommitted changes to commit" in (error := capsys.readouterr().err)
    assert "(M steps/twinner/phases.py)" in error


@pytest.mark.slow
def test_spark_nlp_run_is_repeated_to_the_digit(clone: Path, spark_cache: Path) -> None:  # noqa: F811
    user = User(clone, spark_cache)
    corpus = small_corpus(clone.parent / "spark corpus")
    options = ("--corpus", str(corpus), "--epochs", "1", "--limit", "60")
    user.run("python", "-s", "steps/sparknlp_train.py", *options)
    done = user.run("python", "-s", "steps/reproduce.py", "--run-id", user.runs()[-1].info.run_id)
    assert "verdict    identical: " in done.stdout
