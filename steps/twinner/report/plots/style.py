"""Colours, marks, names and layout shared by all plots.

Figures are Plotly's; the page sets the colours of text and grid, which depend on light or dark mode.
"""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import plotly.graph_objects as go

from twinner.frameworks import FRAMEWORKS
from twinner.terminal import one_line
from twinner.terminal import shorten as shorten_text

# Light and dark colours of frameworks that are not in FRAMEWORKS: Okabe and Ito's, with sufficient contrast.
OTHER_COLOURS = (("#009E73", "#2fc398"), ("#B0578D", "#e08cc0"))
# Dash, symbol and bar pattern, so that frameworks can be told apart in black and white.
STYLES = (
    ("solid", "circle", ""),
    ("dash", "square", "/"),
    ("dot", "diamond", "x"),
    ("dashdot", "triangle-up", "-"),
)
MAX_PLOTTED = 500  # marks or lines of a kind in a plot, for the best runs
MAX_NAMED = 8  # values listed one by one
ROW_HEIGHT = 20  # pixels of a legend row
MAX_NAME = 32  # characters of a name


@dataclass(frozen=True)
class Mark:
    """How a framework is drawn everywhere on a page. number: its place on the page, from 0."""

    number: int
    title: str
    colour: str
    dark_colour: str
    dash: str
    symbol: str
    pattern: str

    def shade(self, opacity: float) -> str:
        """Return the colour with an opacity from 0 to 1, as CSS writes it."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})"


Marks = Mapping[str, Mark]  # by framework, as `Run.framework` spells it


@dataclass(frozen=True)
class Plot:
    """A figure with a title and a summary of what it shows. wide: spans the whole row."""

    title: str
    summary: str
    figure: go.Figure
    wide: bool = False


def marks_of(frameworks: Iterable[str]) -> dict[str, Mark]:
    """Return the mark of each framework: for those in FRAMEWORKS it is the same on every page."""
    known = [(framework.title, framework.colour, framework.dark_colour) for framework in FRAMEWORKS.values()]
    others = sorted({*frameworks} - {title for title, *_ in known})
    known += [(title, *OTHER_COLOURS[place % len(OTHER_COLOURS)]) for place, title in enumerate(others)]
    return {
        name: Mark(
            place,
            name or "unknown framework",
            colour,
            dark_colour,
            *STYLES[place % len(STYLES)],
        )
        for place, (name, colour, dark_colour) in enumerate(known)
    }


def lay_out(figure: go.Figure, x_title: str, y_title: str, legend_rows: int = 0) -> None:
    """Apply the layout that all figures share; with more than three legend rows the figure is taller."""
    figure.update_layout(
        template="none",
        height=360 + ROW_HEIGHT * max(0, legend_rows - 3),
        margin={"l": 10, "r": 16, "t": 10, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        showlegend=True,
        hoverlabel={"namelength": -1},
    )
    figure.update_xaxes(title={"text": escape(x_title)}, automargin=True, zeroline=False)
    figure.update_yaxes(title={"text": escape(y_title), "standoff": 12}, automargin=True, zeroline=False)


def escape(text: str) -> str:
    """Return a text that Plotly shows literally: it would read `<b>` and `<a href>` as HTML."""
    return html.escape(one_line(text), quote=False)


def shorten(text: str) -> str:
    """Return a name for Plotly, cut to 32 characters."""
    return escape(shorten_text(text, MAX_NAME))
