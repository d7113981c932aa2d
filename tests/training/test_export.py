import os
import stat
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from twinner.errors import BadInput, Failure
from twinner.training.export import MANIFEST, check_export, export_results
from twinner.training.result import Result


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, Path]:
    """Folders of artifacts and of a model, to be exported."""
    artifacts, model = tmp_path / "artifacts", tmp_path / "a model"
    (artifacts / "data").mkdir(parents=True)
    (artifacts / "loss.jpg").write_text("new")
    (artifacts / "data" / "train.conll").write_text("new")
    model.mkdir()
    (model / "MLmodel").write_text("new")
    return artifacts, model


def files(folder: Path) -> dict[str, str]:
    """The contents of the files below a folder, by path."""
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST}


NEW = {"loss.jpg": "new", "data/train.conll": "new", "model/MLmodel": "new"}


def test_a_training_exports_its_artifacts_and_a_model_that_loads(
    exported: Path, tracked: mlflow.MlflowClient, spacy_run: Result
) -> None:
    artifacts = {file.path for file in tracked.list_artifacts(spacy_run.run_id)}
    assert {file.name for file in exported.iterdir()} == {"model", MANIFEST, *artifacts}
    for path in ("inference.parquet", "entity_report.json", "data/test.conll"):
        logged = mlflow.artifacts.download_artifacts(run_id=spacy_run.run_id, artifact_path=path)
        assert (exported / path).read_bytes() == Path(logged).read_bytes()
    assert mlflow.spacy.load_model(str(exported / "model")).pipe_names == ["tok2vec", "ner"]


def test_without_text_the_exported_model_has_no_example(train_small: Callable[..., Result], tmp_path: Path) -> None:
    folder = tmp_path / "out put"
    train_small(epochs=1, limit=20, export=str(folder), log_text="no")
    assert "flavors" in (folder / "model" / "MLmodel").read_text()
    assert not list(folder.rglob("*example*"))


def test_replaces_what_an_earlier_export_wrote_and_nothing_else(results: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (results[0] / "errors.html").write_text("old")
    export_results(folder, *results)
    (folder / "thesis.tex").write_text("mine")
    (folder / "data" / "stale.txt").write_text("old")
    (results[0] / "errors.html").unlink()
    assert check_export(str(folder)) == folder
    export_results(folder, *results)
    assert files(folder) == {**NEW, "thesis.tex": "mine"}


def test_an_export_without_a_manifest_is_replaced_too(results: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    for name in ("model/MLmodel", "data/old.conll", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old")
    assert check_export(str(folder)) == folder
    export_results(folder, *results)
    assert files(folder) == {**NEW, "notes.txt": "old"}


def test_never_overwrites_a_file_of_the_users(results: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export_results(folder, *results)
    (folder / "errors.html").write_text("mine")
    (results[0] / "errors.html").write_text("new")
    with pytest.raises(Failure, match=r"errors\.html is there already, and is not of an earlier export"):
        export_results(folder, *results)
    assert files(folder) == {**NEW, "errors.html": "mine"}


def test_writes_through_a_link(results: tuple[Path, Path], tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.mkdir()
    link.symlink_to(target, target_is_directory=True)
    folder = check_export(str(link))
    assert folder == target
    export_results(folder, *results)
    assert link.is_symlink()
    assert files(link) == NEW


def test_the_folder_may_be_a_mount_point(results: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "mount"
    folder.mkdir()
    # A mount point can't be renamed or replaced, and neither can the working directory of a process keep its inode.
    inode = folder.stat().st_ino
    checked = check_export(str(folder))
    assert checked is not None
    export_results(checked, *results)
    export_results(checked, *results)
    assert folder.stat().st_ino == inode
    assert files(folder) == NEW


def test_new_folders_get_the_permissions_of_the_umask(results: tuple[Path, Path], tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        export_results(tmp_path / "out", *results)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("full", "this folder holds other files, and no earlier export; name a new or an empty folder"),
        ("full/thesis.tex", "this is not a folder; name a new or an empty folder"),
        ("full/thesis.tex/out", "Not a directory; name a folder that can be written to"),
        ("/proc/nowhere/out", "No such file or directory; name a folder that can be written to"),
        ("~nobody-of-this-name/out", "there is no such home folder; name a folder that can be written to"),
    ],
)
def test_refuses_at_the_start_what_would_fail_at_the_end(name: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("dear")
    given = name if name.startswith(("/", "~")) else str(tmp_path / name)
    with pytest.raises(BadInput) as caught:
        check_export(given)
    assert str(caught.value) == f"export={given}: {problem}"
    assert (tmp_path / "full" / "thesis.tex").read_text() == "dear"


def test_a_refused_export_costs_no_training(train_small: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(BadInput, match="this folder holds other files"):
        train_small(export=str(tmp_path))
