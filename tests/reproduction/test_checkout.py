from dataclasses import replace
from pathlib import Path

import pytest
from training_runs import run
from twinner.errors import BadInput
from twinner.reproduction.checkout import checked_out
from twinner.tracking.run import Run
from users import commit_everything, git  # type: ignore[import-not-found]


def made_from(commit: str, url: str) -> Run:
    made = run("r", 0.8)
    tags = {"mlflow.source.git.commit": commit, "mlflow.source.git.repoURL": url}
    return replace(made, tags={**made.tags, **tags})


def project(folder: Path) -> Path:
    (folder / "steps").mkdir(parents=True)
    (folder / "MLproject").write_text("entry_points: {spacy_train: {command: x}}\n", encoding="utf-8")
    (folder / "steps" / "spacy_train.py").write_text("first = True\n", encoding="utf-8")
    return folder


def test_commit_that_no_branch_has_is_checked_out_from_where_the_run_came_from(tmp_path: Path) -> None:
    source = project(tmp_path / "source")
    first = commit_everything(source)
    (source / "steps" / "spacy_train.py").write_text("first = False\n", encoding="utf-8")
    git("add", "-A", cwd=source)
    git("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "--amend", "-m", "Other", cwd=source)
    with checked_out(made_from(first, str(source))) as folder:
        assert (folder / "steps" / "spacy_train.py").read_text(encoding="utf-8") == "first = True\n"
        assert git("rev-parse", "HEAD", cwd=folder).stdout.strip() == first
    assert not folder.exists()


def test_project_in_a_subfolder_is_found(tmp_path: Path) -> None:
    project(tmp_path / "source" / "ner")
    commit = commit_everything(tmp_path / "source")
    made = made_from(commit, (tmp_path / "source").as_uri())
    made = replace(made, tags={**made.tags, "mlflow.source.name": f"{(tmp_path / 'source').as_uri()}#ner"})
    with checked_out(made) as folder:
        assert folder.name == "ner"


@pytest.mark.parametrize("url", ["", "https://user:secret@localhost:1/gone.git", "ext::sh -c touch% /tmp/run"])
def test_gone_repository_is_bad_input(url: str, tmp_path: Path) -> None:
    url = url or str(tmp_path / "gone")
    with pytest.raises(BadInput) as caught:
        checked_out(made_from("f" * 40, url)).__enter__()
    message = str(caught.value)
    assert message.startswith("the code of run r, commit ffffffffff, can't be fetched (")
    assert message.endswith("; run reproduce in a clone of the project that has this commit")
    assert "secret" not in message


def test_commit_of_another_project_is_bad_input(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "MLproject").write_text("entry_points: {train: {command: x}}\n", encoding="utf-8")
    commit = commit_everything(other)
    with (
        pytest.raises(BadInput, match="is of another project, without the step spacy_train"),
        checked_out(made_from(commit, str(other))),
    ):
        pass
