from pathlib import Path

import pytest
from training_runs import log_training, run
from twinner.errors import BadInput
from twinner.reproduction.original import find_original, repeated_settings

COMMIT = {"mlflow.source.git.commit": "0123456789" * 4}


def test_winner_is_the_run_that_report_would_choose(experiment: str, capsys: pytest.CaptureFixture[str]) -> None:
    log_training(test_f1=0.7, tags=COMMIT)
    best = log_training(test_f1=0.8, params={"drop_rate": "0.3"}, tags=COMMIT)  # equal runs would be one setting
    log_training(test_f1=0.9, tags=COMMIT | {"twinner.reproduces": best})  # a repetition is no training of its own
    assert find_original("", experiment).id == best
    assert f"run {best}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tags", "status", "problem"),
    [
        ({"twinner.step": "report"}, "FINISHED", "that is a run of report"),
        ({"twinner.step": ""}, "FINISHED", "made by another project or tool"),
        ({"twinner.resumed": "abc"}, "FINISHED", "it only resumed another run; give run_id=abc"),
        ({}, "FAILED", "it is FAILED, so there is no result to compare with"),
        ({"mlflow.source.git.commit": ""}, "FINISHED", "it was not made from a git commit; train again"),
        ({"mlflow.source.git.commit": "--upload-pack=x"}, "FINISHED", "it was not made from a git commit"),
    ],
)
def test_unsuitable_run_is_refused(experiment: str, tags: dict[str, str], status: str, problem: str) -> None:
    run_id = log_training(tags=COMMIT | tags, status=status)
    with pytest.raises(BadInput, match=problem):
        find_original(run_id, experiment)


def test_unknown_run_is_refused(experiment: str) -> None:
    with pytest.raises(BadInput, match="run_id=nothing: there is no such run"):
        find_original("nothing", experiment)


def test_settings_are_those_of_the_commits_step_but_for_where_results_go(tmp_path: Path) -> None:
    point = "{parameters: {corpus: x, lr: x, model_name: x, export: x, sweep: x, reuse: x, resume: x}}"
    (tmp_path / "MLproject").write_text(f"entry_points: {{spacy_train: {point}}}\n", encoding="utf-8")
    (tmp_path / "mine.conll").touch()
    params = {"corpus": "mine.conll", "lr": "0.001", "patience": "3", "training_size": "20"}
    params |= dict.fromkeys(("model_name", "export", "sweep", "reuse", "resume"), "yes")
    assert repeated_settings(run("r", params=params), tmp_path) == {"corpus": "mine.conll", "lr": "0.001"}


def test_path_that_the_commit_lacks_is_looked_up_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "mine.conll").touch()
    (here / "demo").mkdir()
    (here / "small").touch()
    monkeypatch.chdir(here)
    point = "{parameters: {corpus: x, test: x, config: x}}"
    (tmp_path / "MLproject").write_text(f"entry_points: {{spacy_train: {point}}}\n", encoding="utf-8")
    given = {"corpus": "mine.conll", "test": "", "config": "small"}
    assert repeated_settings(run("r", params=given), tmp_path) == given | {"corpus": str(here / "mine.conll")}
    assert repeated_settings(run("r", params={"corpus": "demo"}), tmp_path) == {"corpus": "demo"}
