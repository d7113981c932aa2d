"""Render pages that are a single file and need no network: style and scripts are inlined, all else is escaped."""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent / "templates"
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # all control characters but tab and line breaks


def render(template: Path, scripts: Sequence[str] = (), **values: Any) -> str:
    """Render a template that may extend those in this package; values are escaped, their control characters replaced.

    scripts: sources of the scripts that the page runs besides `viewer.js`, which every page has; no other can run.
    """
    scripts = [*scripts, (FOLDER / "viewer.js").read_text(encoding="utf-8")]
    # Browsers run only scripts whose hash the policy lists, so injected ones never run.
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


def replace_controls(text: str) -> str:
    """Return a text with its control characters, except tab and line breaks, as U+FFFD."""
    return CONTROLS.sub("\ufffd", text)


@cache
def _environment(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader([folder, FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: replace_controls(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
