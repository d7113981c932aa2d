"""Text that is safe to print on a terminal."""

import sys


def printable(text: str) -> str:
    """Escape control characters and lone surrogates, so that a terminal shows them instead of obeying them."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Return a text on one printable line."""
    return printable(" ".join(text.split()))


def shorten(text: str, limit: int) -> str:
    """Return a text on one printable line, of at most `limit` characters."""
    text = one_line(text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def replace_unencodable_output() -> None:
    """Print `?` for characters that the terminal's encoding lacks, such as the arrow in cp1252, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # unlike what a notebook or a test may put in its place
            stream.reconfigure(errors="replace")
