import json
import resource
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from twinner.errors import BadInput
from twinner.tracking.journal import About, Journal

ABOUT = About("run1", "0", "spacy_train", "sqlite:////store.db", 1000)

# Holds a journal, says so, and adds entries until it is killed.
WRITER = """
import sys
from twinner.tracking.journal import About, Journal
journal = Journal.create(About("run1", "0", "spacy_train", "sqlite:////store.db", 1000))
print("claimed", flush=True)
while True:
    journal.add("tags", {"twinner.lang": "de" * 1000})
"""


def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "runs" / "run1"


def test_entries_and_marks_are_there_after_reopening(tmp_path: Path) -> None:
    journal = Journal.create(ABOUT)
    journal.add("params", {"lr": "0.1"})
    journal.add("metrics", [["loss", float("nan"), 5, 1]], at=7)
    journal.add("tags", {"lone surrogate": "\udcff"})
    journal.mark(0, "artifacts/a file\nwith two lines")
    journal.release()

    again = Journal(folder(tmp_path))
    assert again.claim()
    assert again.about == ABOUT
    assert [entry.kind for entry in again.pending("params", "metrics", "tags")] == ["metrics", "tags"]
    [metrics] = again.entries("metrics")
    assert str(metrics.value) == "[['loss', nan, 5, 1]]"
    assert (metrics.number, metrics.time, again.last_time >= 7) == (1, 7, True)
    assert again.entries("tags")[0].value == {"lone surrogate": "\udcff"}
    assert again.is_delivered("artifacts/a file\nwith two lines")
    again.remove()
    assert list((tmp_path / "cache" / "runs").iterdir()) == []


def test_a_killed_process_leaves_a_journal_that_can_be_read_and_continued(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE, text=True, cwd="steps")
    assert writer.stdout is not None
    assert writer.stdout.readline() == "claimed\n"
    journal = Journal(folder(tmp_path))
    assert not journal.claim()  # held
    with pytest.raises(BadInput, match="run run1 is still going on"):
        Journal.create(ABOUT)
    writer.kill()
    writer.wait()
    file = folder(tmp_path) / "journal.jsonl"
    with file.open("a") as torn:
        torn.write('[17, "tags", 17')
    assert journal.claim()
    before = len(journal.entries("tags"))
    journal.add("tags", {"after": "the kill"})
    journal.release()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line[:2] for line in lines] == [[number, "tags"] for number in range(before + 1)]


@pytest.mark.parametrize("content", ['{"format": 99}', "not JSON", "[]", '{"format": 1}'])
def test_a_folder_of_another_version_or_a_damaged_one_is_refused_and_left_alone(content: str, tmp_path: Path) -> None:
    Journal.create(ABOUT).release()
    (folder(tmp_path) / "run.json").write_text(content)
    for _ in range(2):  # the refusal leaves it unlocked
        with pytest.raises(BadInput, match="sync -P discard=ID"):
            Journal(folder(tmp_path)).claim()
    assert (folder(tmp_path) / "run.json").read_text() == content


def test_the_end_counts_unless_the_run_was_resumed_after_it() -> None:
    journal = Journal.create(ABOUT)
    assert journal.end is None
    journal.add("end", {"status": "KILLED"})
    assert journal.end is not None
    journal.add("resumed", "")
    assert journal.end is None
    journal.add("end", {"status": "FINISHED"})
    assert journal.end is not None
    assert journal.end.value == {"status": "FINISHED"}


def test_without_a_cache_a_run_goes_to_a_folder_that_only_the_user_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TWINNER_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    root = Journal.create(ABOUT).folder.parent.parent
    assert root.parent == tmp_path
    assert root.name.startswith("twinner-run-")
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_a_full_disk_costs_no_entry_that_this_process_can_deliver(tmp_path: Path) -> None:
    journal = Journal.create(ABOUT)
    journal.add("tags", {"a": "kept"})
    file = folder(tmp_path) / "journal.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 20, limits[1]))
    try:
        with pytest.warns(UserWarning, match="what MLflow does not take is lost with this process"):
            journal.add("tags", {"b": "in memory " * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    journal.add("tags", {"c": "kept"})
    assert [entry.number for entry in journal.pending("tags")] == [0, 1, 2]
    journal.mark(2)
    journal.release()

    again = Journal(folder(tmp_path))
    assert again.claim()
    assert [(entry.number, entry.value) for entry in again.entries("tags")] == [(0, {"a": "kept"}), (2, {"c": "kept"})]
    assert [entry.number for entry in again.pending("tags")] == [0]
