import shutil
from pathlib import Path

import pytest
from training_runs import run
from twinner.corpus import digest, read_corpus
from twinner.reproduction.inspection import inspect
from users import NOT_THE_PROJECT, PROJECT  # type: ignore[import-not-found]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT, tmp_path / "p", ignore=shutil.ignore_patterns(*NOT_THE_PROJECT, "tests", "docs"))
    return tmp_path / "p"


def test_equal_pins_run_here_on_the_digests_of_the_commits_corpus(project: Path, small_corpus: Path) -> None:
    found = inspect(run("r"), project, {"corpus": str(small_corpus)}, "uv")
    corpus = read_corpus(str(small_corpus))
    assert found.digests == {split: digest(getattr(corpus, split)) for split in ("train", "dev", "test")}
    assert (found.pins, found.env_manager) == ([], "local")


def test_other_pins_are_named_and_want_another_environment(project: Path, small_corpus: Path) -> None:
    file = project / "constraints.txt"
    file.write_text(file.read_text(encoding="utf-8").replace("zipp==", "zipp==0.", 1), encoding="utf-8")
    found = inspect(run("r"), project, {"corpus": str(small_corpus)}, "conda")
    assert [line[:7] for line in found.pins] == ["- zipp=", "+ zipp="]
    assert found.env_manager == "conda"
    assert found.digests == {}
