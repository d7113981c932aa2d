"""Take the screenshots for the README and docs/: of a report, and of MLflow's pages.

    python docs/screenshot.py report.html docs
    python docs/screenshot.py http://127.0.0.1:5000 docs

report.html is a report with both frameworks and logged text, such as `-P output=report.html` writes it. The folder gets
report.png (the winner and the table), disagreements.png, and the first section as report-1280-light.png,
report-1280-dark.png, report-390-light.png and report-390-dark.png.

From an MLflow server with a registered model that has a champion it gets run.png (the champion's run), curves.png (its
metrics) and model.png (the versions). Each picture is below 200 kB. Needs the package playwright and an installed
Chromium.
"""

import shutil
import sys
from itertools import product
from pathlib import Path
from typing import Any, Literal

import mlflow
from PIL import Image
from playwright.sync_api import sync_playwright

MAX_BYTES = 200_000
SECTION_END = "document.querySelector('main > section').getBoundingClientRect().bottom"
VIEWER_TOP = "document.querySelector('.viewer > summary').click() ?? document.querySelector('.viewer').offsetTop - 10"
THIRD_END = "document.querySelector('.viewer article:nth-of-type(3)').getBoundingClientRect().bottom"
TABLE_END = "document.querySelector('[data-runs]').parentElement.getBoundingClientRect().bottom"
CLOSE_ASSISTANT = """
  localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
  localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
"""


def take(
    browser: Any, page: Path, picture: Path, width: int, scheme: Literal["light", "dark"], end: str, begin: str = "0"
) -> None:
    """Write a screenshot of an HTML file at a width in pixels; begin, end: its upper and lower edge, as JavaScript."""
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab.set_default_timeout(120_000)  # the machine may be busy
    tab.goto(page.resolve().as_uri())
    tab.locator("[data-figure]:has(svg.main-svg)").nth(tab.locator("[data-figure]").count() - 1).wait_for()
    top = tab.evaluate(begin)
    clip = {"x": 0, "y": top, "width": width, "height": tab.evaluate(end) + 20 - top}
    tab.screenshot(path=picture, full_page=True, clip=clip)
    tab.close()
    compress(picture)


def compress(picture: Path) -> None:
    """Reduce a PNG of 200 kB or more to a palette, and then its size if need be, until it is below."""
    if picture.stat().st_size < MAX_BYTES:
        return
    with Image.open(picture) as image:
        full = image.convert("RGB")
    for scale, colours in product((1, 0.8, 0.6, 0.4), (256, 64, 32)):
        small = full.resize((round(full.width * scale), round(full.height * scale)), Image.Resampling.LANCZOS)
        # Median cut drops colours of few pixels, such as those of marks; the octree keeps them.
        small.quantize(colours, Image.Quantize.FASTOCTREE).save(picture, optimize=True)
        if picture.stat().st_size < MAX_BYTES:
            return


def take_report(browser: Any, page: Path, folder: Path) -> None:
    """Take all screenshots of a report."""
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    take(browser, page, folder / "report.png", 1280, "light", TABLE_END)
    take(browser, page, folder / "disagreements.png", 1280, "light", THIRD_END, VIEWER_TOP)
    for width in (1280, 390):
        for scheme in schemes:
            take(browser, page, folder / f"report-{width}-{scheme}.png", width, scheme, SECTION_END)


def take_mlflow(browser: Any, uri: str, folder: Path) -> None:
    """Take all screenshots of the pages of an MLflow server."""
    client = mlflow.MlflowClient(uri)
    model = next(model for model in client.search_registered_models() if "champion" in model.aliases)
    run = client.get_run(str(client.get_model_version_by_alias(model.name, "champion").run_id)).info
    of_run = f"{uri}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_init_script(CLOSE_ASSISTANT)

    def shoot(name: str, address: str, shown: str, click: str = "") -> None:
        tab = context.new_page()
        tab.goto(address)
        if click:
            tab.get_by_text(click, exact=True).click()
        tab.locator(shown).first.wait_for()
        tab.wait_for_timeout(3000)  # the rest of the page, and the ends of transitions
        tab.screenshot(path=folder / name)
        compress(folder / name)
        tab.close()

    shoot("run.png", of_run, "td:has-text('0.')", "Show more")
    shoot("curves.png", f"{of_run}/model-metrics", "svg.main-svg .scatterlayer path")
    shoot("model.png", f"{uri}/#/models/{model.name}", "a:text-is('Version 2')")


def main(source: str, folder: Path) -> None:
    """Take all screenshots of a report's file, or of the MLflow server at an address."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        if source.startswith("http"):
            take_mlflow(browser, source, folder)
        else:
            take_report(browser, Path(source), folder)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
