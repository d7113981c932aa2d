"""The pages in a real browser: sorting, filtering, layout, and no foreign requests or scripts."""

import os
import re
from pathlib import Path
from typing import Any

import mlflow
import pytest
from training_runs import log_training  # type: ignore[import-not-found]
from twinner.corpus import Sentence
from twinner.frameworks import FRAMEWORKS
from twinner.frameworks.contract import Prediction
from twinner.pages.errors_page import errors_page
from twinner.report import build_report
from twinner.report.plots import marks_of

ZERO_WIDTH = "\u200b\u200d\ufeff"
EVIL = '"><img src=x onerror=alert(1)></script><script>alert(1)</script>\u202etxt'


class Watched:
    """A tab that collects console messages, exceptions, network requests and dialogs."""

    def __init__(self, browser: Any, file: Path, width: int | None, scheme: str) -> None:
        # A context of a browser has its own width and scheme.
        size = {} if width is None else {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
        self.tab = browser.new_page(**size)
        self.tab.set_default_timeout(120_000)  # the machine may be busy
        self.wrong: list[str] = []
        self.tab.on("console", lambda message: self.wrong.append(message.text))
        self.tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.tab.on("dialog", self._dismiss)
        self.tab.on("request", lambda request: self._note(request.url))
        self.tab.goto(file.as_uri())
        self.runs = self.tab.locator("table[data-runs]").first

    def _dismiss(self, dialog: Any) -> None:
        self.wrong.append(dialog.message)
        dialog.dismiss()

    def _note(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.wrong.append(url)

    def wait_for_plots(self) -> None:
        """Wait until all plots are drawn; there must be some."""
        plots = self.tab.locator(".plot")
        assert plots.count() > 0
        for plot in plots.all():
            plot.locator("svg.main-svg").first.wait_for()

    def column(self, place: int) -> list[str]:
        """Return the texts of a column of the first table of runs."""
        cells = self.runs.locator(f"tbody tr > :nth-child({place})")
        return [text.split()[0] for text in cells.all_inner_texts()]


@pytest.fixture(scope="module")
def report(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on runs of both frameworks, one failed, with hostile names and sentences."""
    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    mlflow.create_experiment("in a browser", artifact_location=(store / "browser").as_uri())
    mlflow.set_experiment("in a browser")
    labels = {f"test_f1_{label}": 0.7 for label in ("DRUG", "a_rather_long_label_for_a_phone", "DIAGNOSIS")}
    tokens = [f"{EVIL} und {'w' * 5000}".replace(" ", "_") + " b", f"שלום {ZERO_WIDTH}x", "Anna ruft"]
    gold = ["B-PER O", f"B-{'L' * 60} O", "B-PER O"]
    second = list(zip(tokens, gold, ["O O", "O B-PER", "B-PER O"], strict=True))
    best = list(zip(tokens, gold, ["B-PER O", "O O", "B-PER O"], strict=True))
    timed = {**labels, "training_time": 9.5}
    log_training("spacy", name="b", test_f1=0.8, metrics=timed, params={"drop_rate": "0.1"}, sentences=second)
    log_training("spacy", name=EVIL, test_f1=0.7, metrics={**labels, "training_time": 101.0}, params={"vectors": EVIL})
    log_training("sparknlp", name="a", test_f1=0.9, metrics=labels, params={"corpus": "w" * 400}, sentences=best)
    failed = {"twinner.test_digest": "aaaa000011112222", "twinner.error": EVIL}
    log_training("spacy", name="d", test_f1=None, status="FAILED", tags=failed)
    log_training("spacy", name="only", test_f1=0.9, tags={"twinner.test_digest": "bbbb"}, token_f1=(0.5,))
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(build_report(experiments="in a browser").html, encoding="utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_report_fits_screen_without_errors(browser: Any, report: Path, width: int, scheme: str) -> None:
    page = Watched(browser, report, width, scheme)
    page.wait_for_plots()
    assert page.tab.evaluate("document.documentElement.scrollWidth") == width
    ink = page.tab.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()")
    assert page.tab.evaluate("document.querySelector('.plot').layout.font.color") == ink
    assert page.wrong == []
    page.tab.close()


def test_table_sorts_by_mouse_and_keyboard(browser: Any, report: Path) -> None:
    page = Watched(browser, report, 1280, "light")
    table = page.runs
    assert page.column(1) == ["1", "2", "3", "–"]
    time = table.get_by_role("button", name="Training (s)")
    header = table.get_by_role("columnheader", name="Training (s)")
    time.click()
    assert header.get_attribute("aria-sort") == "descending"
    assert page.column(1) == ["3", "2", "1", "–"]  # 101.0, 9.5, and two without
    time.focus()
    page.tab.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert page.column(1) == ["2", "3", "1", "–"]
    table.get_by_role("button", name="Run", exact=True).click()
    assert [name for name in page.column(2) if name in "abd"] == ["a", "b", "d"]
    assert table.locator("[aria-sort]").count() == 1
    table.get_by_role("button", name="Rank").click()
    assert page.column(1) == ["1", "2", "3", "–"]
    assert page.wrong == []
    page.tab.close()


def test_table_filters_rows_and_columns(browser: Any, report: Path) -> None:
    page = Watched(browser, report, 1280, "light")
    rows = page.runs.locator("tbody tr:visible")
    status = page.tab.locator(".tools [role=status]").first
    assert (rows.count(), status.inner_text()) == (4, "4 runs.")
    search = page.tab.get_by_label("Filter").first
    search.fill("spacy 0.1")
    assert (rows.count(), status.inner_text()) == (1, "1 of 4 runs shown.")
    search.fill("failed")
    assert rows.locator("th").inner_text().startswith("d ")
    search.fill("no such words")
    assert (rows.count(), status.inner_text()) == (0, "0 of 4 runs shown.")
    search.fill("")
    assert rows.count() == 4

    header = page.runs.locator("thead")
    before = header.locator("tr").last.locator("th:visible").count()
    page.tab.get_by_text("Columns", exact=True).first.click()
    for name in ("Precision", "DRUG"):
        page.tab.locator(".choice").first.get_by_label(name, exact=True).uncheck()
    assert header.locator("tr").last.locator("th:visible").count() == before - 2
    assert header.get_by_text("Precision").is_hidden()
    assert header.get_by_text("Recall").is_visible()
    widths = header.locator(".groups th:visible").evaluate_all("cells => cells.map((cell) => cell.colSpan)")
    assert sum(widths) == before - 2
    page.tab.locator(".choice").first.get_by_label("DRUG", exact=True).check()
    assert header.get_by_text("DRUG").is_visible()
    assert page.wrong == []
    page.tab.close()


def test_long_table_expands(browser: Any, experiment: str, tmp_path: Path) -> None:
    tags = {"twinner.step": "spacy_train", "twinner.test_digest": "cccc"}
    client = mlflow.MlflowClient()
    for number in range(202):
        client.create_run(os.environ["MLFLOW_EXPERIMENT_ID"], tags=tags, run_name=f"run {number}")
    log_training(name="one", tags=tags)
    file = tmp_path / "report.html"
    file.write_text(build_report().html, encoding="utf-8")
    page = Watched(browser, file, 1280, "light")
    rows = page.runs.locator("tbody tr:visible")
    assert rows.count() == 200
    page.tab.get_by_role("button", name="Show all 203").click()
    assert rows.count() == 203
    assert page.tab.get_by_role("button", name="Show all").count() == 0
    assert page.wrong == []
    page.tab.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_disagreement_viewer_filters(browser: Any, report: Path, width: int) -> None:
    page = Watched(browser, report, width, "dark")
    viewer = page.tab.locator("details.viewer")
    shown = viewer.locator("article:visible")
    assert shown.count() == 0
    viewer.locator("summary").focus()
    page.tab.keyboard.press("Enter")
    assert shown.count() == 2  # the two runs agree on the third sentence
    assert shown.first.locator("mark").first.inner_text().startswith('"><img_src=x')
    viewer.get_by_label("spurious").check()
    assert shown.count() == 1
    assert viewer.get_by_role("status").inner_text() == "1 shown."
    viewer.get_by_label("any error").check()
    viewer.get_by_label("Search").fill("שלום")
    assert shown.count() == 1
    viewer.get_by_label("Search").fill("")
    viewer.get_by_label("Better").select_option("second")
    assert shown.count() == 0
    viewer.get_by_label("Better").select_option("first")
    assert shown.count() == 2
    assert page.tab.evaluate("document.documentElement.scrollWidth") == width
    assert page.wrong == []
    page.tab.close()


# Elements that exceed the page and are not in a scrolling region.
CLIPPED = """() => [...document.querySelectorAll("main *, header *")].filter((element) => {
  const box = element.getBoundingClientRect();
  const hidden = element.closest("[hidden], .unseen, .plot, .scroll, .skip");
  return box.width > 0 && !hidden && (box.right > innerWidth + 1 || box.left < -1);
}).map((element) => element.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_clipped(browser: Any, report: Path, width: int) -> None:
    page = Watched(browser, report, width, "light")
    page.wait_for_plots()
    page.tab.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    assert page.tab.evaluate(CLIPPED) == []
    page.tab.close()


def test_usable_by_keyboard(browser: Any, report: Path) -> None:
    page = Watched(browser, report, 1280, "light")
    page.tab.keyboard.press("Tab")
    assert page.tab.evaluate("document.activeElement.textContent") == "Skip to the content"
    reached = set()
    for _ in range(60):
        page.tab.keyboard.press("Tab")
        reached.add(page.tab.evaluate("document.activeElement.outerHTML.slice(0, 40)"))
        outline = page.tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.tab.evaluate("document.activeElement.outerHTML")
    for start in ("<a href", "<pre", '<input type="search"', "<summary", '<div class="scroll"', "<button"):
        assert any(one.startswith(start) for one in reached), start
    page.tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_sufficient_contrast(browser: Any, report: Path, scheme: str) -> None:
    page = Watched(browser, report, 1280, scheme)
    names = ("ink", "quiet", "accent", "bad", "page", "card", "strong", "bad-card", "edge")
    read = "name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()"
    colour = {name: page.tab.evaluate(read, name) for name in names}
    for text in ("ink", "quiet", "accent", "bad"):
        for ground in ("page", "card", "strong"):
            assert contrast(colour[text], colour[ground]) >= 4.5, (text, ground)
    assert contrast(colour["bad"], colour["bad-card"]) >= 4.5
    # WCAG 2.2 requires 3 for graphics.
    assert contrast(colour["edge"], colour["card"]) >= 3
    for mark in marks_of(["some other tool", "another"]).values():
        assert contrast(mark.dark_colour if scheme == "dark" else mark.colour, colour["card"]) >= 3, mark
    page.tab.close()


def contrast(one: str, other: str) -> float:
    """Return the WCAG 2.2 contrast, from 1 to 21, of two colours such as `#0072b2`."""
    lights = sorted(map(luminance, (one, other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_prints_on_a4(browser: Any, report: Path) -> None:
    page = Watched(browser, report, 1280, "dark")
    page.wait_for_plots()
    page.tab.emulate_media(media="print")
    assert page.tab.locator(".tools").first.is_hidden()
    head = page.runs.locator("thead")
    assert head.get_by_text("Recall").is_visible()
    assert head.get_by_text("Training (s)").is_hidden()
    assert page.tab.get_by_text("are in runs.csv").first.is_visible()
    assert page.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    heights = page.tab.locator(".plot").evaluate_all("plots => plots.map((plot) => plot.offsetHeight)")
    assert min(heights) > 100
    drawn = "plots => plots.map((plot) => [plot.clientWidth, plot.querySelector('.main-svg').width.baseVal.value])"
    on_paper = page.tab.locator(".plot").evaluate_all(drawn)
    assert {tuple(widths) for widths in on_paper} == {(640, 640)}  # A4 without margins has 688
    assert page.tab.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()") == "#1b2430"
    paper = page.tab.pdf(prefer_css_page_size=True)
    assert paper.startswith(b"%PDF")
    sizes = {(float(box[0]), float(box[1])) for box in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", paper)}
    assert {(round(width), round(height)) for width, height in sizes} == {(595, 842)}  # points
    page.tab.emulate_media(media="screen")
    page.tab.wait_for_timeout(2000)  # plots are drawn one at a time
    on_screen = page.tab.locator(".plot").evaluate_all(drawn)
    assert [width for _, width in on_screen] == pytest.approx([room for room, _ in on_screen], abs=1)
    assert page.wrong == []
    page.tab.close()


def test_works_in_sandboxed_frame(browser: Any, report: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer.html"
    outer.write_text(f'<iframe sandbox="allow-scripts" src="{report.as_uri()}" width="1000" height="800"></iframe>')
    page = Watched(browser, outer, 1280, "light")
    frame = page.tab.frame_locator("iframe")
    frame.locator(".plot svg.main-svg").first.wait_for()
    frame.get_by_role("button", name="drop_rate").first.click()
    assert frame.get_by_role("columnheader", name="drop_rate").first.get_attribute("aria-sort") == "descending"
    assert page.wrong == []
    page.tab.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_errors_page_filters_and_fits_screen(browser: Any, tmp_path: Path, width: int) -> None:
    missed = Sentence.from_tokens(["w" * 5000, EVIL], ["B-A", "O"]), Prediction(("O", "O"))
    spurious = Sentence.from_tokens([EVIL, "b"], ["O", "O"]), Prediction((f"B-{EVIL}", "O"))
    pairs = [missed, spurious, missed]
    sentences, predictions = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    file = tmp_path / "errors.html"
    file.write_text(errors_page(sentences, predictions, EVIL), encoding="utf-8")
    page = Watched(browser, file, width, "light")
    shown = page.tab.locator("article:visible")
    assert shown.count() == 3
    page.tab.get_by_label("missed", exact=True).check()
    assert shown.count() == 2
    assert page.tab.get_by_role("status").inner_text() == "2 shown."
    page.tab.get_by_label("any error").check()
    assert shown.count() == 3
    page.tab.get_by_label("Search").fill("WWWW")
    assert shown.count() == 2
    page.tab.get_by_label("Search").fill("")
    assert page.tab.evaluate("document.documentElement.scrollWidth") == width
    assert page.wrong == []
    page.tab.close()


OVERLAPS = """() => [...document.querySelectorAll(".plot")].flatMap((plot) => {
  const boxes = [...plot.querySelectorAll(".legendtext, .xtitle, .ytitle, .modebar")];
  const overlap = (a, b) =>
    a.left < b.right - 2 && b.left < a.right - 2 && a.top < b.bottom - 2 && b.top < a.bottom - 2;
  return boxes.flatMap((one, place) => boxes.slice(place + 1)
    .filter((other) => overlap(one.getBoundingClientRect(), other.getBoundingClientRect()))
    .map((other) => `${one.textContent} / ${other.textContent}`));
})"""


def test_plots_have_no_tool_bar_on_a_touch_screen(browser: Any, report: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page = Watched(context, report, None, "light")
    page.wait_for_plots()
    page.tab.wait_for_timeout(500)
    assert page.tab.evaluate("matchMedia('(hover: none)').matches")
    assert page.tab.locator(".modebar-btn").count() == 0
    assert page.tab.evaluate(OVERLAPS) == []
    assert page.tab.evaluate("document.documentElement.scrollWidth") == 390
    context.close()


def test_plots_show_their_tool_bar_under_the_mouse(browser: Any, report: Path) -> None:
    page = Watched(browser, report, 1280, "light")
    page.wait_for_plots()
    bar = page.tab.locator(".plot .modebar-group").first
    opacity = "element => Number(getComputedStyle(element).opacity)"
    assert bar.evaluate(opacity) == 0
    page.tab.locator(".plot").first.hover()
    page.tab.wait_for_timeout(1000)
    assert bar.evaluate(opacity) == 1
    page.tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dots_and_plots_have_the_same_colours(browser: Any, report: Path, scheme: str) -> None:
    page = Watched(browser, report, 1280, scheme)
    page.wait_for_plots()
    page.tab.wait_for_timeout(500)
    for key in ("spacy", "sparknlp"):
        framework = FRAMEWORKS[key]
        colour = framework.dark_colour if scheme == "dark" else framework.colour
        dot = page.tab.locator("td", has_text=re.compile(f"^{framework.title}$")).first.locator(".dot")
        channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        background = dot.evaluate("element => getComputedStyle(element).backgroundColor")
        assert [int(part) for part in re.findall(r"\d+", background)] == channels
        drawn = page.tab.evaluate("[...document.querySelectorAll('.plot')].flatMap((plot) => plot.data)")
        lines = [trace["line"]["color"] for trace in drawn if trace.get("mode") == "lines+markers"]
        assert colour in lines
    page.tab.close()
