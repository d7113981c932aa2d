"""Text that is safe to print on a terminal."""

import sys


def printable(text: str) -> str:
    """Replace control characters and marks of direction, which could change what a terminal shows."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def replace_unencodable_output() -> None:
    """Print `?` for characters that the terminal's encoding lacks, such as the arrow in cp1252, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # unlike what a notebook or a test may put in its place
            stream.reconfigure(errors="replace")
