"""Run the project as users do: from a git URL in an empty folder, and in a loop followed by a report."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from users import (  # type: ignore[import-not-found]
    NOT_THE_PROJECT,
    PROJECT,
    User,
    accepts_connections,
    commit_everything,
    free_port,
    git,
    wait_until,
)


@pytest.fixture
def user(tmp_path: Path) -> User:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return User(folder, tmp_path / "cache")


@pytest.fixture(scope="module")
def git_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the working tree from a local git server and return its URL."""
    if not shutil.which("git") or "is not a git command" in git("daemon", "-h", check=False).stderr:
        pytest.skip("git or git-daemon is not installed")
    base = tmp_path_factory.mktemp("git")
    tree = base / "tree"
    shutil.copytree(PROJECT, tree, ignore=shutil.ignore_patterns(*NOT_THE_PROJECT))
    commit_everything(tree)
    git("clone", "-q", "--bare", str(tree), str(base / "served" / "twinner"))
    port = free_port()
    server = subprocess.Popen(
        ["git", "daemon", f"--base-path={base / 'served'}", "--export-all", "--listen=127.0.0.1", f"--port={port}"],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: accepts_connections(port), "git-daemon does not accept connections")
        yield f"git://127.0.0.1:{port}/twinner"
    finally:
        server.terminate()  # git passes the signal on to its daemon
        server.wait(timeout=10)


def test_git_url_trains_and_keeps_spelling_of_params(git_url: str, user: User) -> None:
    params = {"epochs": "2", "drop_rate": ".2", "lr": "1e-3", "limit": "200"}
    user.mlflow_run(git_url, "spacy_train", params)
    [run] = user.runs()
    assert run.info.status == "FINISHED"
    logged = run.data.params
    assert {name: logged[name] for name in params} == params
    assert logged["training_size"] == "200"
    assert "drop-rate" not in logged
    assert run.data.metrics["best_epoch"] in (1, 2)


def test_git_url_rejects_relative_corpus(git_url: str, user: User) -> None:
    (user.folder / "mine.conll").write_text("Anna\tB-PER\n\n", encoding="utf-8")
    user.mlflow_run(git_url, "spacy_train", {"corpus": "mine.conll"}, succeeds=False)
    [run] = user.runs()
    assert run.info.status == "FAILED"
    assert "mine.conll" in run.data.tags["twinner.error"]
    assert "make the path absolute" in run.data.tags["twinner.error"]


@pytest.mark.slow
def test_report_covers_only_runs_in_range(user: User) -> None:
    for drop_rate in ("0.1", ".3", "0.5"):
        # Without `mlflow run`: test_readme.py covers the README's loop, which uses it.
        step = str(PROJECT / "steps" / "spacy_train.py")
        user.run("python", step, "--drop-rate", drop_rate, "-i", "1", "--limit", "50")
    trainings = {float(run.data.params["drop_rate"]): run for run in user.runs()}
    page_file = user.folder / "a page.html"
    user.mlflow_run(PROJECT, "report", {"drop_rate": "0.1:0.3", "output": str(page_file)})
    report = user.runs()[-1]
    page = page_file.read_text(encoding="utf-8")
    assert "2 training runs: 2 finished" in page
    for rate, in_range in {0.1: True, 0.3: True, 0.5: False}.items():
        assert (f"{trainings[rate].info.run_name} ({trainings[rate].info.run_id[:6]})" in page) == in_range
    assert user.artifact(report, "report.html", user.folder).read_text(encoding="utf-8") == page


@pytest.mark.parametrize("written", ["mlflow.db", "mlruns/0/x", ".venv/bin/python", "steps/__pycache__/x.pyc"])
def test_git_ignores_files_written_by_runs(written: str, tmp_path: Path) -> None:
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    git("init", "-q", cwd=tmp_path)
    shutil.copy(PROJECT / ".gitignore", tmp_path)
    assert git("check-ignore", "-q", written, cwd=tmp_path, check=False).returncode == 0
