"""Pages of one file that need no network: templates, with style and scripts inlined, everything else escaped."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

FOLDER = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """The HTML of a template; every value in it is escaped, and only the scripts named here can run.

    template: `report.html.j2` (with Plotly, report.js and viewer.js) or `errors.html.j2` (with viewer.js), beside this
    file.
    """
    scripts = [(FOLDER / "viewer.js").read_text(encoding="utf-8")]
    if template == "report.html.j2":
        scripts = [get_plotlyjs(), (FOLDER / "report.js").read_text(encoding="utf-8"), *scripts]
    # A browser runs a script only if the policy names its hash: text that slipped through as a script would stay dead.
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    policy = f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {hashes}"
    return (
        _environment()
        .get_template(template)
        .render(
            policy=policy,
            style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
            scripts=[Markup(script) for script in scripts],
            **values,
        )
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
