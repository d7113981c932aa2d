import csv
import json
import os
import socket
import stat
from pathlib import Path

import mlflow
import pytest
from page_parser import Page  # type: ignore[import-not-found]
from report import report
from training_runs import log_training  # type: ignore[import-not-found]
from twinner import cli
from twinner.errors import BadInput
from twinner.report import write_output


def test_writes_and_logs_the_page(experiment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log_training(params={"drop_rate": ".10"})
    log_training("sparknlp", params={"drop_rate": "0.5"})
    file = tmp_path / "page.html"
    built = report(drop_rate="0.1", output=str(file))
    assert built.runs_count == 1
    assert "1 training run: 1 finished" in file.read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    assert "# spaCy leads on demo, chosen on dev: test_f1 0.800" in printed
    assert f"also {file}" in printed
    assert report().runs_count == 2
    query = "tags.twinner.step = 'report'"
    pages = mlflow.search_runs(experiment_names=[experiment], filter_string=query, output_format="list")
    assert [page.info.status for page in pages] == ["FINISHED", "FINISHED"]
    uri = f"runs:/{pages[0].info.run_id}"
    assert "2 training runs: 2 finished" in mlflow.artifacts.load_text(f"{uri}/report.html")
    assert len(mlflow.artifacts.load_dict(f"{uri}/summary.json")["test_sets"][0]["ranking"]) == 2
    assert len(list(csv.DictReader(mlflow.artifacts.load_text(f"{uri}/runs.csv").splitlines()))) == 2


def test_reports_on_a_sweep(experiment: str) -> None:
    for rate in ("0.1", "0.3"):
        log_training(params={"drop_rate": rate, "sweep": "demo"}, tags={"twinner.sweep": "demo"})
    log_training(params={"drop_rate": "0.5"}, test_f1=0.9)
    pages = [
        report(sweep="demo"),
        *(report(filter=f"tags.{tag} = 'demo'") for tag in ("twinner.sweep", "`twinner.sweep`")),
    ]
    assert [built.runs_count for built in pages] == [2, 2, 2]
    assert "Only sweep demo ." in Page(pages[0].html).text
    page = Page(report().html)
    assert page.column("Sweep") == ["–", "demo", "demo"]
    (table,) = page.sweeps
    assert table[1][:4] == ["demo", "2", "2", "2"]
    assert table[1][5:] == ["2", "0.4000"]  # the rank of its best setting, and its F1 on dev


def test_writes_data_beside_the_page(experiment: str, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    log_training(name="only")
    (folder / "runs.csv").write_text("of an earlier report")
    report(output=str(folder / "page.html"))
    assert json.loads((folder / "summary.json").read_text(encoding="utf-8"))["test_sets"][0]["winner"]["name"] == "only"
    assert next(csv.DictReader((folder / "runs.csv").open(encoding="utf-8")))["name"] == "only"
    assert {file.name for file in folder.iterdir()} == {"page.html", "summary.json", "runs.csv"}


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
        assert cli.exit_status(report, []) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: the tracking store http://me:***@127.0.0.1:")
    assert "can't be used (connection refused)" in error
    assert "check that it is running" in error
    assert "secret" not in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--experiments", "no such"], "there is no experiment 'no such'; use one of these: "),
        (["--filter", "nonsense"], "cannot parse the filter 'nonsense': "),
        (["--metric", "test_f3"], "no finished run has the metric 'test_f3'; use one of these: "),
        (["--sweep", "none"], "no training run belongs to the sweep 'none'; choose among: (none)"),
        (["--drop-rate", "0.9"], "no training run has drop_rate 0.9; choose among the values tried: 0.2"),
        (["--log-text", "maybe"], "'maybe' is not one of 'yes', 'no'"),
    ],
)
def test_bad_input_exits_2_with_one_line(
    experiment: str, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    log_training()
    assert cli.exit_status(report, arguments) == 2
    assert words in capsys.readouterr().err.strip().splitlines()[-1]


def test_follows_links(experiment: str, tmp_path: Path) -> None:
    log_training()
    for folder in ("links", "targets"):
        (tmp_path / folder).mkdir()
    target = tmp_path / "targets" / "page.html"
    target.write_text("an earlier report")
    (tmp_path / "links" / "page.html").symlink_to("../targets/page.html")
    (tmp_path / "links" / "runs.csv").symlink_to(tmp_path / "targets" / "new.csv")  # which does not exist yet
    report(output=str(tmp_path / "links" / "page.html"))
    assert (tmp_path / "links" / "page.html").is_symlink()
    assert (tmp_path / "links" / "runs.csv").is_symlink()
    assert "1 training run" in target.read_text(encoding="utf-8")
    assert (tmp_path / "targets" / "new.csv").read_text(encoding="utf-8").startswith("test_digest,")
    assert {file.name for file in (tmp_path / "targets").iterdir()} == {"page.html", "new.csv"}
    assert {file.name for file in (tmp_path / "links").iterdir()} == {"page.html", "summary.json", "runs.csv"}


@pytest.mark.parametrize("name", ["page.html", "summary.json", "runs.csv"])
@pytest.mark.parametrize("kind", ["device", "fifo", "folder", "loop"])
def test_refuses_output_that_is_no_regular_file(
    experiment: str, tmp_path: Path, kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log_training()
    odd = tmp_path / name
    if kind == "device":
        odd.symlink_to("/dev/null")
    elif kind == "fifo":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.mkdir()
    else:
        odd.symlink_to(odd)
    assert cli.exit_status(report, ["--output", str(tmp_path / "page.html")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: cannot write the report to {odd}: ")
    assert line.endswith("; give output another file")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert list(tmp_path.iterdir()) == [odd]


@pytest.mark.parametrize("name", ["summary.json", "runs.csv"])
def test_refuses_output_with_the_name_of_its_data(experiment: str, tmp_path: Path, name: str) -> None:
    log_training()
    with pytest.raises(BadInput, match=f"{name} is written beside it; give output another file"):
        report(output=str(tmp_path / name))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o002, 0o664), (0o022, 0o644)])
def test_files_have_the_mode_of_new_files(experiment: str, tmp_path: Path, mask: int, mode: int) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    log_training()
    before = os.umask(mask)
    try:
        report(output=str(folder / "page.html"))
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {mode}


def test_failed_write_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.html").mkdir()  # replacing a folder by a file fails
    with pytest.raises(BadInput, match="cannot write the report to"):
        write_output(str(tmp_path / "page.html"), {"report.html": "text"})
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_unknown_home_folder_is_bad_input(experiment: str) -> None:
    log_training()
    with pytest.raises(BadInput, match="cannot write the report to"):
        report(output="~no-such-user-here/page.html")
