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


def test_writes_and_logs_the_page(experiment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_writes_data_beside_the_page(experiment: str, tmp_path: Path) -> None:
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


def test_rejects_unwritable_output_before_starting_a_run(experiment: str, tmp_path: Path) -> None:
    log_training()
    for place in (tmp_path, tmp_path / "missing" / "page.html", tmp_path / ("x" * 300)):
        with pytest.raises(BadInput, match="cannot write the report to"):
            report(output=str(place))
    assert not mlflow.search_runs(filter_string="tags.twinner.step = 'report'", output_format="list")
    assert list(tmp_path.iterdir()) == []


def test_unreachable_server_fails_fast_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
        mlflow.set_tracking_uri(f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}")
        assert cli.status_of(report, []) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: the tracking store http://me:***@127.0.0.1:")
    assert "does not answer" in error
    assert "check that it is running" in error
    assert "secret" not in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--experiments", "no such"], "there is no experiment 'no such'; use one of these: "),
        (["--filter", "nonsense"], "cannot parse the filter 'nonsense': "),
        (["--metric", "test_f3"], "no finished run has the metric 'test_f3'; use one of these: "),
        (["--drop-rate", "0.9"], "no training run has drop_rate 0.9; choose among the values tried: 0.2"),
        (["--log-text", "maybe"], "'maybe' is not one of 'yes', 'no'"),
    ],
)
def test_bad_input_exits_2_with_one_line(
    experiment: str, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    log_training()
    assert cli.status_of(report, arguments) == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]
