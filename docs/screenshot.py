"""Take the pictures of a report that the README and docs/report.md show, as a reader sees it.

python docs/screenshot.py report.html docs

writes report.png (the answer and the table), disagreements.png, and the whole first section, wide and narrow, as
report-1280-light.png, report-1280-dark.png, report-390-light.png and report-390-dark.png. Needs the package playwright
and an installed Chromium.
"""

import shutil
import sys
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from playwright.sync_api import sync_playwright

ALL = "document.querySelector('main > section').getBoundingClientRect().bottom"
VIEWER_TOP = "document.querySelector('.viewer > summary').click() ?? document.querySelector('.viewer').offsetTop - 10"
THIRD = "document.querySelector('.viewer article:nth-of-type(3)').getBoundingClientRect().bottom"
TABLE = "document.querySelector('main > section .scroll').getBoundingClientRect().bottom"


def take(
    browser: Any, page: Path, picture: Path, width: int, scheme: Literal["light", "dark"], end: str, begin: str = "0"
) -> None:
    """Write a picture of the report in an HTML file, `width` pixels wide; begin, end: its borders, in JavaScript."""
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab.goto(page.resolve().as_uri())
    tab.locator("[data-figure]:has(svg.main-svg)").nth(tab.locator("[data-figure]").count() - 1).wait_for()
    top = tab.evaluate(begin)
    clip = {"x": 0, "y": top, "width": width, "height": tab.evaluate(end) + 20 - top}
    tab.screenshot(path=picture, full_page=True, clip=clip)
    tab.close()
    with Image.open(picture) as full:
        # A page has few colours: a palette keeps the file small. The octree keeps those that fill few pixels, too.
        full.quantize(256, Image.Quantize.FASTOCTREE).save(picture, optimize=True)


def main(page: Path, folder: Path) -> None:
    """Take all pictures."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        take(browser, page, folder / "report.png", 1280, "light", TABLE)
        take(browser, page, folder / "disagreements.png", 1280, "light", THIRD, VIEWER_TOP)
        for width in (1280, 390):
            for scheme in schemes:
                take(browser, page, folder / f"report-{width}-{scheme}.png", width, scheme, ALL)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
