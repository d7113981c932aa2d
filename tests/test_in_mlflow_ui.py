"""What a person sees in MLflow's own pages, in a real browser, of two trainings, a report and a promotion."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from promote import promote
from report import report
from servers import mlflow_server  # type: ignore[import-not-found]
from spacy_train import spacy_train
from twinner.training.result import Result

pytestmark = pytest.mark.slow

# MLflow's assistant opens by itself, over a third of the page. Sandboxed frames have no storage.
CLOSE_ASSISTANT = """if (window === window.top) {
  localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
  localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
}"""
SLOW = 120_000  # ms; the machine may be busy
MODEL = "small-ner"


@dataclass(frozen=True)
class Site:
    """MLflow's pages in a tab, on an experiment with the runs of two trainings, a report and a promotion."""

    tab: Any
    uri: str
    experiment: str
    corpus: str
    first: Result
    second: Result

    def open(self, place: str) -> Any:
        """Open a page and return the tab."""
        self.tab.goto("about:blank")  # else the next address is a mere jump in the page
        self.tab.goto(f"{self.uri}/#/{place}")
        return self.tab

    def open_run(self, run_id: str, part: str = "") -> Any:
        """Open the page of a run, or a tab of it."""
        return self.open(f"experiments/{self.experiment}/runs/{run_id}{part}")

    def run_of(self, step: str) -> str:
        """The id of the run of a step."""
        query = f"tags.`twinner.step` = '{step}'"
        (run,) = mlflow.MlflowClient(self.uri).search_runs([self.experiment], query)
        return str(run.info.run_id)


@pytest.fixture(scope="module")
def site(browser: Any, small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with mlflow_server(folder) as server, pytest.MonkeyPatch.context() as patch:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
        patch.setenv("MLFLOW_TRACKING_URI", server.uri)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "seen")
        patch.setenv("TWINNER_CACHE", str(folder / "own-cache"))
        patch.setattr("mlflow.tracking.fluent._active_experiment_id", None)
        first, second = (
            spacy_train(
                corpus=str(small_corpus), epochs=epochs, batch_size=100, lr=0.005, drop_rate=drop, model_name=MODEL
            )
            for epochs, drop in ((3, 0.2), (1, 0.4))
        )
        report()
        promote(model_name=MODEL)
        experiment = mlflow.MlflowClient(server.uri).get_run(first.run_id).info.experiment_id
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(SLOW)
        context.add_init_script(CLOSE_ASSISTANT)
        yield Site(context.new_page(), server.uri, experiment, small_corpus.name, first, second)
        context.close()


def name_of(result: Result) -> str:
    return f"spacy_train {result.test_scores['test_f1']:.3f}"


def test_the_list_names_what_each_run_is(site: Site) -> None:
    tab = site.open(f"experiments/{site.experiment}/runs")
    assert name_of(site.first) != name_of(site.second)
    for name in (name_of(site.first), name_of(site.second), "report", "promote"):
        tab.get_by_role("link", name=name, exact=True).first.wait_for()


def test_a_training_is_described_by_its_card(site: Site) -> None:
    tab = site.open_run(site.first.run_id)
    tab.get_by_role("heading", name=name_of(site.first)).wait_for()
    tab.get_by_role("heading", name=f"spaCy on {site.corpus}: F1 {site.first.metrics['test_f1']:.3f}").wait_for()
    scores = tab.get_by_role("listitem").filter(has_text=f"F1 on test: {site.first.metrics['test_f1']:.4f}")
    scores.wait_for()
    tab.get_by_text("Show more", exact=True).click()
    tab.get_by_role("heading", name="How to use it").wait_for()
    tab.locator("pre").filter(has_text=f'uri = "runs:/{site.first.run_id}/model"').wait_for()
    tab.get_by_role("cell", name="PER", exact=True).wait_for()


@pytest.mark.parametrize(
    ("step", "heading", "cell"),
    [("report", r"test_f1 \d", "spacy_train"), ("promote", f"^{MODEL}$", "best on dev")],
)
def test_other_steps_are_described_by_what_they_found(site: Site, step: str, heading: str, cell: str) -> None:
    tab = site.open_run(site.run_of(step))
    tab.get_by_role("heading", name=re.compile(heading)).wait_for()
    tab.get_by_role("cell", name=re.compile(cell)).first.wait_for()


def test_curves_come_before_single_values(site: Site) -> None:
    tab = site.open_run(site.first.run_id, "/model-metrics")
    sections = tab.get_by_test_id("experiment-view-compare-runs-section-header")
    sections.filter(has_text="Model metrics").wait_for()
    assert [text.split("\n")[0] for text in sections.all_inner_texts()] == ["dev", "test", "Model metrics"]
    tab.locator("svg.main-svg .scatterlayer .lines path").first.wait_for()
    tab.locator("svg.main-svg .barlayer path").first.wait_for()
    curves, bars = (tab.locator(f"svg.main-svg .{layer} path").all() for layer in ("scatterlayer .lines", "barlayer"))
    assert curves[0].bounding_box()["y"] < min(bar.bounding_box()["y"] for bar in bars)


def test_links_within_the_report_lead_there(site: Site) -> None:
    tab = site.open_run(site.run_of("report"), "/artifacts/report.html")
    page = tab.frame_locator("iframe")
    link = page.get_by_role("link", name="Errors", exact=True)
    link.wait_for()
    target = page.locator(f"[id='{link.get_attribute('href')[1:]}']")
    assert _scrolled_to(target) > 100
    link.click()
    tab.wait_for_timeout(1000)
    assert abs(_scrolled_to(target)) < 20


def _scrolled_to(place: Any) -> float:
    """How far below the top of its frame an element stands, in pixels."""
    return float(place.evaluate("element => element.getBoundingClientRect().top"))


@pytest.mark.parametrize("picture", ["confusion.png", "loss.jpg"])
def test_pictures_are_shown(site: Site, picture: str) -> None:
    tab = site.open_run(site.first.run_id, f"/artifacts/{picture}")
    shown = tab.get_by_role("img", name=picture)
    shown.wait_for()
    tab.wait_for_function("image => image.naturalWidth > 300", arg=shown.element_handle())


def test_two_runs_are_compared(site: Site) -> None:
    runs = f'["{site.first.run_id}","{site.second.run_id}"]'
    tab = site.open(f'compare-runs?runs={runs}&experiments=["{site.experiment}"]')
    for result in (site.first, site.second):
        tab.get_by_text(name_of(result), exact=True).first.wait_for()
    rates = tab.get_by_role("row").filter(has_text="drop_rate")
    assert rates.first.inner_text().split() == ["drop_rate", "0.2", "0.4"]


def test_versions_of_a_model_show_their_scores(site: Site) -> None:
    tab = site.open(f"models/{MODEL}")
    tab.get_by_role("link", name="Version 2").wait_for()
    for number, result in enumerate((site.first, site.second), 1):
        row = tab.get_by_role("row").filter(has_text=f"Version {number}")
        tags = re.findall(r"twinner\.(\w+)\W+([\d.]+)", row.inner_text())
        scores = [(name, f"{result.metrics[name]:.4f}") for name in ("test_f1", "best_dev_f1")]
        assert tags[:2] == scores
    best = 1 if site.first.metrics["best_dev_f1"] > site.second.metrics["best_dev_f1"] else 2
    assert "champion" in tab.get_by_role("row").filter(has_text=f"Version {best}").inner_text()
    for box in tab.get_by_role("row").locator("input[type=checkbox]").all()[:2]:
        box.check(force=True)  # shown when the pointer is near
    tab.get_by_role("button", name="Compare", exact=True).click()
    tab.get_by_text("Comparing 2 Versions").wait_for()
    for result in (site.first, site.second):
        tab.get_by_text(name_of(result), exact=True).first.wait_for()


def test_a_version_shows_the_card(site: Site) -> None:
    tab = site.open(f"models/{MODEL}/versions/1")
    tab.get_by_role("heading", name=f"spaCy on {site.corpus}: F1").wait_for()
    tab.get_by_role("link", name=name_of(site.first)).wait_for()
    tab.get_by_role("cell", name="LOC", exact=True).wait_for()
