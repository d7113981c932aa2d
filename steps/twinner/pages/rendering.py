"""Render pages that are one file and need no network: style and scripts are inlined, all else is escaped."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent / "templates"


def render(template: Path, scripts: Sequence[str] = (), **values: Any) -> str:
    """Render a template that may extend those in this package; every value in it is escaped.

    scripts: sources of the scripts that the page runs beside `viewer.js`, which every page has; no other can run.
    """
    scripts = [*scripts, (FOLDER / "viewer.js").read_text(encoding="utf-8")]
    # A browser runs a script only if the policy names its hash: text that slipped through as a script would stay dead.
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    policy = f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {hashes}"
    return (
        _environment(template.parent)
        .get_template(template.name)
        .render(
            policy=policy,
            style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
            scripts=[Markup(script) for script in scripts],
            **values,
        )
    )


@cache
def _environment(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
