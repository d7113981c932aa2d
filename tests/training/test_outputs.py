import stat
import tempfile
from pathlib import Path

import pytest
from twinner.training.outputs import results_folder


def fail_after_writing(names: list[str]) -> None:
    """Fail in a run after it has written some artifacts and a model."""
    with results_folder("run1") as results:
        for name in names:
            (results.artifacts / name).write_text("x")
            results.model.mkdir(exist_ok=True)
        raise ValueError("late")


def test_results_are_removed_after_a_run_that_ended_well(tmp_path: Path) -> None:
    with results_folder("run1") as results:
        (results.artifacts / "loss.jpg").write_text("x")
        assert results.folder == tmp_path / "cache" / "runs" / "run1"
    assert not results.folder.exists()


def test_results_stay_after_a_failure_and_the_error_names_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="late") as caught:
        fail_after_writing(["loss.jpg"])
    folder = tmp_path / "cache" / "runs" / "run1"
    assert (folder / "artifacts" / "loss.jpg").read_text() == "x"
    assert caught.value.__notes__ == [f"the results of the training are in {folder}"]


def test_nothing_stays_after_a_failure_before_any_result(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="late") as caught:
        fail_after_writing([])
    assert not (tmp_path / "cache" / "runs" / "run1").exists()
    assert not hasattr(caught.value, "__notes__")


def test_a_resumed_run_does_not_keep_results_of_before() -> None:
    with pytest.raises(ValueError, match="late"):
        fail_after_writing(["errors.html"])
    with results_folder("run1") as results:
        assert list(results.artifacts.iterdir()) == []
        assert not results.model.exists()


def test_without_a_cache_results_go_to_a_folder_that_only_the_user_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TWINNER_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with results_folder("run1") as results:
        assert results.folder.parent == tmp_path
        assert stat.S_IMODE(results.folder.stat().st_mode) == 0o700
