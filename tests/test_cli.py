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
from twinner.cli import exit_status

STEPS = Path(__file__).resolve().parent.parent / "steps"


def error_line(arguments: list[str], capsys: pytest.CaptureFixture[str], step: Any = spacy_train) -> str:
    """The single line that a step prints to stderr when it exits with 2; on stdout there is the store at most."""
    assert exit_status(step, arguments) == 2
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if not line.startswith("tracking   sqlite:///")] == []
    assert err.count("\n") == 1, err
    assert err.startswith("error: ")
    return err.removeprefix("error: ").removesuffix("\n")


def runs_of(client: mlflow.MlflowClient, experiment: str = "tests") -> list[Any]:
    found = client.search_experiments(filter_string=f"name = '{experiment}'")
    return list(client.search_runs([found[0].experiment_id]))


@pytest.mark.parametrize(
    "step", ["main", "spacy_train", "sparknlp_train", "report", "sweep", "reproduce", "promote", "sync"]
)
def test_help_waits_for_no_library(step: str) -> None:
    heavy = "mlflow spacy pyspark sparknlp pandas numpy sklearn matplotlib sqlalchemy optuna"
    code = f"import sys, {step}; from twinner import cli; cli.exit_status({step}.{step}, ['--help'])"
    code += f"; print('imported:', *(name for name in '{heavy}'.split() if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=STEPS, stdout=subprocess.PIPE, text=True, check=True)
    help_text, _, imported = done.stdout.partition("imported:")
    assert "Usage:" in help_text
    assert imported.split() == []


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
            "resume=abc123: there is no such run; give the id of a run in this tracking store (MLFLOW_TRACKING_URI)",
        ),
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_invalid_values_are_reported_in_one_line(
    arguments: list[str],
    told: str,
    joined: bool,
    capsys: pytest.CaptureFixture[str],
    tracked: mlflow.MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = len(runs_of(tracked))
    if not joined:
        assert error_line(arguments, capsys) == told
        assert len(runs_of(tracked)) == before
        return
    run_id = join_a_run(tracked, monkeypatch)
    assert error_line(arguments, capsys) == told
    run = tracked.get_run(run_id)
    assert (run.info.status, run.data.tags["twinner.error"]) == ("FAILED", told)


def join_a_run(client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch) -> str:
    """Create a run as `mlflow run` does before it starts a step in it, and return its id."""
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
        (["--epochs", "1_0"], ["--epochs", "'1_0'"]),
        (["--lr", "1_0.5"], ["--lr", "'1_0.5'"]),
        (["--log-text", "maybe"], ["--log-text", "'maybe'", "'yes', 'no'"]),
        (["--speed", "9"], ["--speed"]),
        (["--seed"], ["--seed"]),
        (["stray"], ["stray"]),
    ],
)
@pytest.mark.parametrize("step", [spacy_train, sparknlp_train])
def test_usage_errors_name_the_option_and_the_help(
    arguments: list[str],
    named: list[str],
    step: Any,
    capsys: pytest.CaptureFixture[str],
    tracked: mlflow.MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = len(runs_of(tracked))
    told = error_line(arguments, capsys, step)
    assert [word for word in named if word not in told] == []
    assert told.endswith(f"See: python steps/{step.__name__}.py --help")
    assert len(runs_of(tracked)) == before
    run_id = join_a_run(tracked, monkeypatch)
    assert error_line(arguments, capsys, step) == told
    run = tracked.get_run(run_id)
    assert (run.info.status, run.data.tags["twinner.error"]) == ("FAILED", told)


@pytest.mark.parametrize(
    "corpus", ["no-such-name", "/nowhere/at all/train.conll"], ids=["unknown name", "missing file"]
)
def test_a_missing_corpus_fails_the_run_with_the_same_words(
    corpus: str, capsys: pytest.CaptureFixture[str], tracked: mlflow.MlflowClient
) -> None:
    told = error_line(["--corpus", corpus], capsys)
    assert corpus in told
    run = runs_of(tracked)[0]
    assert (run.info.status, run.data.tags["twinner.error"]) == ("FAILED", told)
    assert run.data.params["corpus"] == corpus
    assert run.info.end_time


def test_bad_lines_are_named_by_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tracked: mlflow.MlflowClient
) -> None:
    file = tmp_path / "with space.conll"
    file.write_text("Mira B-PER\nschläft O\n\nUlm X-LOC\n", encoding="utf-8")
    told = error_line(["--corpus", str(file)], capsys)
    assert told.startswith(f"{file}:4: ")
    assert "X-LOC" in told
    run = runs_of(tracked)[0]
    assert (run.info.status, run.data.tags["twinner.error"]) == ("FAILED", told)


def test_help_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(spacy_train, ["--help"]) == 0
    out = capsys.readouterr().out
    assert "-d, --drop-rate" in out
    assert "-i, --epochs" in out


def test_a_bug_exits_with_1_and_a_traceback_and_fails_the_joined_run(
    capsys: pytest.CaptureFixture[str], tracked: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(seed: int = 0) -> None:
        raise LookupError(f"seed {seed}")

    run_id = join_a_run(tracked, monkeypatch)
    assert exit_status(main, ["--seed", "3"]) == 1
    assert "Traceback" in capsys.readouterr().err
    run = tracked.get_run(run_id)
    assert (run.info.status, run.data.tags["twinner.error"]) == ("FAILED", "LookupError: seed 3")


def start(
    store: str, experiment: str, *arguments: str, ctrl_c: bool = True, **environment: str
) -> subprocess.Popen[str]:
    """Start the script as a user does, in its own process group; ctrl_c: False as after `&` in a shell script."""
    tracking = {"MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": experiment}
    return subprocess.Popen(
        [sys.executable, str(STEPS / "spacy_train.py"), *arguments],
        env=os.environ | tracking | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",  # some tests have it print in another encoding
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL if ctrl_c else signal.SIG_IGN),
    )


def test_the_script_exits_with_2_and_one_line(own_store: str) -> None:
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
        assert out in ("", f"tracking   {own_store}\n")


def test_interrupting_a_training_leaves_a_killed_run_and_no_files(
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
        for _ in range(2):  # the second time, the run is just being ended
            process.send_signal(sent)
            time.sleep(0.1)
        err = process.communicate(timeout=60)[1]
        assert process.returncode == 130
        assert "Traceback" not in err
        [run] = client.search_runs([experiments[sent]])
        told = f"interrupted; resume={run.info.run_id} goes on after the last whole epoch"
        assert told in err.splitlines()  # the answer to the second signal may come after it
        assert (run.info.status, run.data.tags["twinner.error"]) == ("KILLED", "interrupted")
        assert list((place / "tmp").iterdir()) == []
        assert not (place / "export").exists()


def test_an_interrupted_step_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def step() -> None:
        """Wait."""
        interrupt = KeyboardInterrupt()
        interrupt.add_note("run it again to go on")
        raise interrupt

    assert exit_status(step, []) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted; run it again to go on"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_in_a_narrow_encoding_is_no_error(encoding: str, own_store: str, small_corpus: Path) -> None:
    arguments = ["--corpus", str(small_corpus), "-i", "1", "--limit", "20"]
    process = start(own_store, "tests", *arguments, PYTHONIOENCODING=encoding)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "    ? " in out  # an arrow in other encodings
    assert "test F1" in out


def test_control_characters_of_a_corpus_do_not_reach_the_terminal(own_store: str, tmp_path: Path) -> None:
    escape = "\x1b]0;title\x07\x1b[31m\u202e"
    sentences = [f"Anna{escape}\tB-PER\nin\tO\nUlm{n}\tB-LOC\n" for n in range(12)]
    corpus = tmp_path / "escapes.conll"
    corpus.write_text("\n".join(sentences), encoding="utf-8")
    process = start(own_store, "tests", "--corpus", str(corpus), "-i", "1")
    printed = "".join(process.communicate(timeout=120))
    assert process.returncode == 0, printed
    assert r"Anna\x1b]0;title\x07" in printed
    assert [character for character in "\x1b\x07\u202e" if character in printed] == []
