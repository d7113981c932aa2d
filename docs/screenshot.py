"""Take the screenshots of a report for the README and docs/report.md.

    python docs/screenshot.py report.html docs

report.html is a report with both frameworks and logged text, such as `-P output=report.html` writes it. The folder gets
report.png (the winner and the table), disagreements.png, and the first section as report-1280-light.png,
report-1280-dark.png, report-390-light.png and report-390-dark.png, each below 200 kB. Needs the package playwright and
an installed Chromium.
"""

import shutil
import sys
from itertools import product
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from playwright.sync_api import sync_playwright

MAX_BYTES = 200_000
SECTION_END = "document.querySelector('main > section').getBoundingClientRect().bottom"
VIEWER_TOP = "document.querySelector('.viewer > summary').click() ?? document.querySelector('.viewer').offsetTop - 10"
THIRD_END = "document.querySelector('.viewer article:nth-of-type(3)').getBoundingClientRect().bottom"
TABLE_END = "document.querySelector('main > section .scroll').getBoundingClientRect().bottom"


def take(
    browser: Any, page: Path, picture: Path, width: int, scheme: Literal["light", "dark"], end: str, begin: str = "0"
) -> None:
    """Write a screenshot of an HTML file at a width in pixels; begin, end: its upper and lower edge, as JavaScript."""
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab.goto(page.resolve().as_uri())
    tab.locator("[data-figure]:has(svg.main-svg)").nth(tab.locator("[data-figure]").count() - 1).wait_for()
    top = tab.evaluate(begin)
    clip = {"x": 0, "y": top, "width": width, "height": tab.evaluate(end) + 20 - top}
    tab.screenshot(path=picture, full_page=True, clip=clip)
    tab.close()
    compress(picture)


def compress(picture: Path) -> None:
    """Reduce a PNG to a palette, and then its size if need be, until it is below 200 kB."""
    with Image.open(picture) as image:
        full = image.convert("RGB")
    for scale, colours in product((1, 0.8, 0.6, 0.4), (256, 64, 32)):
        small = full.resize((round(full.width * scale), round(full.height * scale)), Image.Resampling.LANCZOS)
        # Median cut drops colours of few pixels, such as those of marks; the octree keeps them.
        small.quantize(colours, Image.Quantize.FASTOCTREE).save(picture, optimize=True)
        if picture.stat().st_size < MAX_BYTES:
            return


def main(page: Path, folder: Path) -> None:
    """Take all screenshots."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        take(browser, page, folder / "report.png", 1280, "light", TABLE_END)
        take(browser, page, folder / "disagreements.png", 1280, "light", THIRD_END, VIEWER_TOP)
        for width in (1280, 390):
            for scheme in schemes:
                take(browser, page, folder / f"report-{width}-{scheme}.png", width, scheme, SECTION_END)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
