"""Take a picture of a report, down to the end of its first section, as a reader sees it.

python docs/screenshot.py report.html docs/report.png [width] [dark]

Needs the package playwright and an installed Chromium.
"""

import shutil
import sys
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import sync_playwright


def take(page: Path, picture: Path, width: int = 1280, scheme: Literal["light", "dark"] = "light") -> None:
    """Write a picture of the report in an HTML file, `width` pixels wide."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab.goto(page.resolve().as_uri())
        tab.locator("[data-figure] svg.main-svg").last.wait_for()
        end = tab.evaluate("document.querySelector('main > section').getBoundingClientRect().bottom + 20")
        clip = {"x": 0, "y": 0, "width": width, "height": end}
        tab.screenshot(path=picture, full_page=True, clip=clip)  # type: ignore[arg-type]
        browser.close()
    with Image.open(picture) as full:
        full.quantize(128).save(picture, optimize=True)  # a page has few colours: a palette keeps the file small


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "dark"]
    take(
        Path(arguments[0]),
        Path(arguments[1]),
        int(arguments[2]) if len(arguments) > 2 else 1280,
        "dark" if "dark" in sys.argv else "light",
    )
