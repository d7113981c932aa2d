import csv
import json
import os
import socket
import stat
from pathlib import Path

import mlflow
import pytest
from report import report
from training_runs import log_training  # type: ignore[import-not-found]
from twinner import cli
from twinner.errors import BadInput


def test_the_step_writes_the_page_and_tells_where(
    experiment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log_training(params={"drop_rate": ".10"})
    log_training("sparknlp", params={"drop_rate": "0.5"})
    file = tmp_path / "page.html"
    built = report(drop_rate="0.1", output=str(file))
    assert built.runs_count == 1
    assert "1 training run: 1 finished" in file.read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    assert "# spaCy leads on demo with test_f1 0.800" in printed
    assert f"also {file}" in printed
    assert report().runs_count == 2
    query = "tags.twinner.step = 'report'"
    pages = mlflow.search_runs(experiment_names=[experiment], filter_string=query, output_format="list")
    assert [page.info.status for page in pages] == ["FINISHED", "FINISHED"]
    uri = f"runs:/{pages[0].info.run_id}"
    assert "2 training runs: 2 finished" in mlflow.artifacts.load_text(f"{uri}/report.html")
    assert len(mlflow.artifacts.load_dict(f"{uri}/summary.json")["test_sets"][0]["ranking"]) == 2
    assert len(list(csv.DictReader(mlflow.artifacts.load_text(f"{uri}/runs.csv").splitlines()))) == 2


def test_the_files_beside_the_page_are_those_of_the_same_report(experiment: str, tmp_path: Path) -> None:
    log_training(name="only")
    (tmp_path / "runs.csv").write_text("of an earlier report")
    report(output=str(tmp_path / "page.html"))
    assert (
        json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["test_sets"][0]["winner"]["name"] == "only"
    )
    assert next(csv.DictReader((tmp_path / "runs.csv").open(encoding="utf-8")))["name"] == "only"
    assert {file.name for file in tmp_path.iterdir()} == {"page.html", "summary.json", "runs.csv"}
    assert stat.S_IMODE((tmp_path / "page.html").stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_place_that_can_not_be_written_is_bad_input_before_any_run_is_made(experiment: str, tmp_path: Path) -> None:
    log_training()
    for place in (tmp_path, tmp_path / "missing" / "page.html", tmp_path / ("x" * 300)):
        with pytest.raises(BadInput, match="the report can't be written"):
            report(output=str(place))
    assert not mlflow.search_runs(filter_string="tags.twinner.step = 'report'", output_format="list")
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_is_told_in_one_line_and_without_delay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
        mlflow.set_tracking_uri(f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}")
        assert cli.exit_status(report, []) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: the tracking store http://me:***@127.0.0.1:")
    assert "does not answer" in error
    assert "see that it runs" in error
    assert "secret" not in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--experiments", "no such"], "there is no experiment 'no such'; use one of these: "),
        (["--filter", "nonsense"], "the filter 'nonsense' is not understood: "),
        (["--metric", "test_f3"], "no finished run has the metric 'test_f3'; use one of these: "),
        (["--drop-rate", "0.9"], "no training run has drop_rate 0.9; choose among those tried: 0.2"),
        (["--log-text", "maybe"], "'maybe' is not one of 'yes', 'no'"),
    ],
)
def test_bad_input_ends_with_2_and_one_line(
    experiment: str, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    log_training()
    assert cli.exit_status(report, arguments) == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
