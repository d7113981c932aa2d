import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from spacy_train import spacy_train
from sparknlp_train import sparknlp_train
from twinner.cli import status_of

STEPS = Path(__file__).resolve().parent.parent / "steps"


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str], step: Any = spacy_train) -> str:
    """The one line on stderr of a step that ends with status 2."""
    assert status_of(step, arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("error: ")
    return err.removeprefix("error: ").removesuffix("\n")


def runs(client: mlflow.MlflowClient, experiment: str = "tests") -> list[Any]:
    found = client.search_experiments(filter_string=f"name = '{experiment}'")
    return list(client.search_runs([found[0].experiment_id]))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--drop_rate", "1.5"], "drop_rate is 1.5; it must be at least 0 and below 1"),
        (["--drop-rate", "1.5"], "drop_rate is 1.5; it must be at least 0 and below 1"),
        (["-d", "1.5"], "drop_rate is 1.5; it must be at least 0 and below 1"),
        (["--drop_rate", "-0.1"], "drop_rate is -0.1; it must be at least 0 and below 1"),
        (["--drop_rate", "nan"], "drop_rate is nan; it must be at least 0 and below 1"),
        (["--epochs", "0"], "epochs is 0; it must be a whole number of at least 1"),
        (["-i", "0"], "epochs is 0; it must be a whole number of at least 1"),
        (["--lr", "0"], "lr is 0.0; it must be above 0"),
        (
            ["--resume", "abc123"],
            "resume=abc123: there is no such run; give the id of a run of this tracking store, MLFLOW_TRACKING_URI",
        ),
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_a_value_that_cannot_be_used_is_told_in_one_line(
    arguments: list[str],
    told: str,
    joined: bool,
    capsys: pytest.CaptureFixture[str],
    tracked: mlflow.MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = len(runs(tracked))
    if not joined:
        assert refused(arguments, capsys) == told
        assert len(runs(tracked)) == before
        return
    run_id = join_a_run(tracked, monkeypatch)
    assert refused(arguments, capsys) == told
    run = tracked.get_run(run_id)
    assert (run.info.status, run.data.tags["twinner.error"]) == ("FAILED", told)


def join_a_run(client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a run as `mlflow run` does before it starts a step in it; its id."""
    [experiment] = client.search_experiments(filter_string="name = 'tests'")
    run_id: str = client.create_run(experiment.experiment_id).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    return run_id


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--drop_rate", "abc"], ["--drop-rate", "'abc'"]),
        (["--epochs", "2.5"], ["--epochs", "'2.5'"]),
        (["--epochs", ""], ["--epochs", "''"]),
        (["--log-text", "maybe"], ["--log-text", "'maybe'", "'yes', 'no'"]),
        (["--speed", "9"], ["--speed"]),
        (["--seed"], ["--seed"]),
        (["stray"], ["stray"]),
    ],
)
@pytest.mark.parametrize("step", [spacy_train, sparknlp_train])
def test_a_usage_error_names_what_is_wrong_and_where_help_is(
    arguments: list[str],
    named: list[str],
    step: Any,
    capsys: pytest.CaptureFixture[str],
    tracked: mlflow.MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = len(runs(tracked))
    told = refused(arguments, capsys, step)
    assert [word for word in named if word not in told] == []
    assert told.endswith(f"See: python steps/{step.__name__}.py --help")
    assert len(runs(tracked)) == before
    run_id = join_a_run(tracked, monkeypatch)
    assert refused(arguments, capsys, step) == told
    run = tracked.get_run(run_id)
    assert (run.info.status, run.data.tags["twinner.error"]) == ("FAILED", told)


@pytest.mark.parametrize(
    "corpus", ["no-such-name", "/nowhere/at all/train.conll"], ids=["unknown name", "missing file"]
)
def test_a_corpus_that_is_not_there_leaves_a_failed_run_with_the_same_words(
    corpus: str, capsys: pytest.CaptureFixture[str], tracked: mlflow.MlflowClient
) -> None:
    told = refused(["--corpus", corpus], capsys)
    assert corpus in told
    run = runs(tracked)[0]
    assert (run.info.status, run.data.tags["twinner.error"]) == ("FAILED", told)
    assert run.data.params["corpus"] == corpus
    assert run.info.end_time


def test_a_bad_line_is_named_by_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tracked: mlflow.MlflowClient
) -> None:
    file = tmp_path / "with space.conll"
    file.write_text("Mira B-PER\nschläft O\n\nUlm X-LOC\n", encoding="utf-8")
    told = refused(["--corpus", str(file)], capsys)
    assert told.startswith(f"{file}:4: ")
    assert "X-LOC" in told
    run = runs(tracked)[0]
    assert (run.info.status, run.data.tags["twinner.error"]) == ("FAILED", told)


def test_help_is_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(spacy_train, ["--help"]) == 0
    out = capsys.readouterr().out
    assert "-d, --drop-rate" in out
    assert "-i, --epochs" in out


def test_a_bug_is_status_1_with_a_traceback_and_marks_the_joined_run(
    capsys: pytest.CaptureFixture[str], tracked: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(seed: int = 0) -> None:
        raise LookupError(f"seed {seed}")

    run_id = join_a_run(tracked, monkeypatch)
    assert status_of(main, ["--seed", "3"]) == 1
    assert "Traceback" in capsys.readouterr().err
    run = tracked.get_run(run_id)
    assert (run.info.status, run.data.tags["twinner.error"]) == ("FAILED", "LookupError: seed 3")


def start(
    store: str, experiment: str, *arguments: str, ctrl_c: bool = True, **environment: str
) -> subprocess.Popen[str]:
    """Start the script as a user does, in a process group of its own; ctrl_c: not behind a script's `&`."""
    tracking = {"MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": experiment}
    return subprocess.Popen(
        [sys.executable, str(STEPS / "spacy_train.py"), *arguments],
        env=os.environ | tracking | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL if ctrl_c else signal.SIG_IGN),
    )


def test_the_script_ends_with_the_status_and_the_one_line(own_store: str) -> None:
    lines = {
        "-d=1.5": "error: drop_rate is 1.5; it must be at least 0 and below 1\n",
        "--corpus=no-such-name": "no-such-name",
    }
    started = {start(own_store, "tests", *argument.split("=")): told for argument, told in lines.items()}
    for process, told in started.items():
        out, err = process.communicate(timeout=120)
        assert process.returncode == 2
        assert told in err
        assert err.count("\n") == 1, err
        assert out == ""


def test_an_interrupt_while_training_leaves_a_killed_run_and_no_files(
    own_store: str, small_corpus: Path, tmp_path: Path
) -> None:
    client = mlflow.MlflowClient(own_store)
    signals = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what a scheduler sends
    processes, experiments = {}, {}
    for sent in signals:
        place = tmp_path / sent.name
        (place / "tmp").mkdir(parents=True)
        experiments[sent] = client.create_experiment(sent.name, artifact_location=(place / "artifacts").as_uri())
        arguments = ["--corpus", str(small_corpus), "-i", "100000", "--export", str(place / "export")]
        ctrl_c = sent == signal.SIGINT
        processes[sent] = start(own_store, sent.name, *arguments, ctrl_c=ctrl_c, TMPDIR=str(place / "tmp"))
    for sent in signals:
        process, place, deadline = processes[sent], tmp_path / sent.name, time.monotonic() + 120
        while not [run for run in client.search_runs([experiments[sent]]) if "ner.losses" in run.data.metrics]:
            assert time.monotonic() < deadline, "no epoch was ever logged"
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.2)
        assert list((place / "tmp").iterdir())
        process.send_signal(sent)
        err = process.communicate(timeout=60)[1]
        assert process.returncode == 130
        assert err.endswith("interrupted\n")
        assert "Traceback" not in err
        [run] = client.search_runs([experiments[sent]])
        assert (run.info.status, run.data.tags["twinner.error"]) == ("KILLED", "interrupted")
        assert list((place / "tmp").iterdir()) == []
        assert not (place / "export").exists()
