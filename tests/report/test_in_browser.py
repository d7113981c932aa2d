"""The pages in a real browser: they sort and filter, fit the screen, fetch nothing, and run nothing but our own."""

from pathlib import Path
from typing import Any

import pytest
from training_runs import log_training  # type: ignore[import-not-found]
from twinner.corpus import Sentence
from twinner.report import build_report, errors_page
from twinner.training.trainer import Prediction

EVIL = '"><img src=x onerror=alert(1)></script><script>alert(1)</script>\u202etxt'


class Watched:
    """A tab, and what went wrong in it: words on the console, exceptions, requests, dialogs."""

    def __init__(self, browser: Any, file: Path, width: int, scheme: str) -> None:
        self.tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.wrong: list[str] = []
        self.tab.on("console", lambda message: self.wrong.append(message.text))
        self.tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.tab.on("dialog", self._dismiss)
        self.tab.on("request", lambda request: self._note(request.url))
        self.tab.goto(file.as_uri())

    def _dismiss(self, dialog: Any) -> None:
        self.wrong.append(dialog.message)
        dialog.dismiss()

    def _note(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.wrong.append(url)

    def wait_for_plots(self) -> None:
        """Wait until every figure is drawn, of which there are some."""
        plots = self.tab.locator(".plot")
        assert plots.count() > 0
        for plot in plots.all():
            plot.locator("svg.main-svg").first.wait_for()

    def column(self, place: int) -> list[str]:
        """The texts of a column of the first table, from above."""
        cells = self.tab.locator("table").first.locator(f"tbody tr > :nth-child({place})")
        return [text.split()[0] for text in cells.all_inner_texts()]


@pytest.fixture
def report(experiment: str, tmp_path: Path) -> Path:
    """A report over runs of both frameworks, one of them failed, one with a hostile name."""
    labels = {f"test_f1_{label}": 0.7 for label in ("DRUG", "a_rather_long_label_for_a_phone", "DIAGNOSIS")}
    log_training("spacy", name="b", test_f1=0.8, metrics={**labels, "training_time": 9.5}, params={"drop_rate": "0.1"})
    log_training("spacy", name=EVIL, test_f1=0.7, metrics={**labels, "training_time": 101.0}, params={"vectors": EVIL})
    log_training("sparknlp", name="a", test_f1=0.9, metrics=labels, params={"corpus": "w" * 400})
    failed = {"twinner.test_digest": "aaaa000011112222", "twinner.error": EVIL}
    log_training("spacy", name="d", test_f1=None, status="FAILED", tags=failed)
    log_training("spacy", name="only", test_f1=0.9, tags={"twinner.test_digest": "bbbb"}, token_f1=(0.5,))
    file = tmp_path / "report.html"
    file.write_text(build_report().html, encoding="utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_fits_the_screen_and_stays_quiet(browser: Any, report: Path, width: int, scheme: str) -> None:
    page = Watched(browser, report, width, scheme)
    page.wait_for_plots()
    assert page.tab.evaluate("document.documentElement.scrollWidth") == width
    ink = page.tab.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()")
    assert page.tab.evaluate("document.querySelector('.plot').layout.font.color") == ink
    assert page.wrong == []
    page.tab.close()


def test_the_table_sorts_by_mouse_and_keyboard_with_missing_values_last(browser: Any, report: Path) -> None:
    page = Watched(browser, report, 1280, "light")
    table = page.tab.locator("table").first
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


def test_the_report_works_in_a_sandboxed_frame(browser: Any, report: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer.html"
    outer.write_text('<iframe sandbox="allow-scripts" src="report.html" width="1000" height="800"></iframe>')
    page = Watched(browser, outer, 1280, "light")
    frame = page.tab.frame_locator("iframe")
    frame.locator(".plot svg.main-svg").first.wait_for()
    frame.get_by_role("button", name="drop_rate").first.click()
    assert frame.get_by_role("columnheader", name="drop_rate").first.get_attribute("aria-sort") == "descending"
    assert page.wrong == []
    page.tab.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_errors_page_filters_by_kind_and_fits_the_screen(browser: Any, tmp_path: Path, width: int) -> None:
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
    assert page.tab.evaluate("document.documentElement.scrollWidth") == width
    assert page.wrong == []
    page.tab.close()
