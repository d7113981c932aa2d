from pathlib import Path

import mlflow
import pytest
from report import report
from training_runs import log_training  # type: ignore[import-not-found]
from twinner.errors import BadInput


def test_the_step_writes_the_page_and_tells_where(experiment: str, tmp_path: Path) -> None:
    log_training(params={"drop_rate": ".10"})
    log_training("sparknlp", params={"drop_rate": "0.5"})
    file = tmp_path / "page.html"
    built = report(drop_rate="0.1", output=str(file))
    assert built.runs_count == 1
    assert "1 training run: 1 finished" in file.read_text(encoding="utf-8")
    assert report().runs_count == 2
    query = "tags.twinner.step = 'report'"
    pages = mlflow.search_runs(experiment_names=[experiment], filter_string=query, output_format="list")
    assert [page.info.status for page in pages] == ["FINISHED", "FINISHED"]
    text = mlflow.artifacts.load_text(f"runs:/{pages[0].info.run_id}/report.html")
    assert "2 training runs: 2 finished" in text


def test_a_place_that_can_not_be_written_is_bad_input(experiment: str, tmp_path: Path) -> None:
    log_training()
    for place in (tmp_path, tmp_path / "missing" / "page.html"):
        with pytest.raises(BadInput, match="the report can't be written"):
            report(output=str(place))
