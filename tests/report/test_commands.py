"""Commands as a shell would read them."""

import shlex
import subprocess
from dataclasses import replace

import pytest
from training_runs import run  # type: ignore[import-not-found]
from twinner.report.commands import Changes, rerun_command


def test_command_is_quoted_for_the_shell() -> None:
    params = {
        "lr": "0.001",
        "corpus": "/a b/it's.txt",
        "test": "",
        "model_name": "m",
        "reuse": "yes",
        "test_size": "500",
        "spacy_version": "3",
    }
    words = shlex.split(rerun_command(run("a", params=params)))
    assert words == ["mlflow", "run", ".", "-e", "spacy_train", "-P", "corpus=/a b/it's.txt", "-P", "lr=0.001"]


def test_runs_of_other_tools_have_no_command() -> None:
    source = {"mlflow.source.name": "https://example.org/other.git", "mlflow.project.entryPoint": "train"}
    assert rerun_command(replace(run("theirs"), tags=source), "conda", {"epochs": [2]}) == ""


def test_command_names_the_environment_manager() -> None:
    assert rerun_command(run("a"), "uv") == "mlflow run . -e spacy_train --env-manager uv"


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"epochs": [40]}, ["-P corpus=a b -P epochs=40 -P seed=0"]),
        ({"seed": [1, 2]}, ["-P corpus=a b -P epochs=20 -P seed=1", "-P corpus=a b -P epochs=20 -P seed=2"]),
        ({"drop_rate": [0.3]}, ["-P corpus=a b -P epochs=20 -P seed=0 -P drop_rate=0.3"]),
        (
            {"seed": [1, 2], "epochs": [5, 6]},
            [f"-P corpus=a b -P epochs={epochs} -P seed={seed}" for seed in (1, 2) for epochs in (5, 6)],
        ),
    ],
)
def test_a_shell_runs_each_value(changes: Changes, lines: list[str]) -> None:
    command = rerun_command(run("a", params={"corpus": "a b", "epochs": "20", "seed": "0"}), changes=changes)
    script = f'mlflow() {{ echo "$@"; }}; {command}'
    said = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout.splitlines()
    assert said == [f"run . -e spacy_train {line}" for line in lines]
