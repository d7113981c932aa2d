"""What the pictures of a report have in common: their frame, colours, marks and names.

Figures are Plotly's, and take the colours of ink and grid from the page.
"""

import html
from dataclasses import dataclass

import plotly.graph_objects as go

from twinner.report.sections import Section

# Okabe and Ito's colours, of which these four have contrast enough on white and on near black.
COLOURS = {"spaCy": "#0072B2", "Spark NLP": "#D55E00"}
OTHER_COLOURS = ("#009E73", "#B0578D")
STYLES = (("solid", "circle"), ("dash", "square"), ("dot", "diamond"))  # by place within a framework: apart in print
PLOTTED = 500  # marks or lines of a kind in a picture, those of the best; of learning curves there are fewer
MOST_NAMED = 8  # values that are told one by one


@dataclass(frozen=True)
class Picture:
    """A figure with its title and, for those who can't see it, what it shows in words. wide: takes the whole row."""

    title: str
    words: str
    figure: go.Figure
    wide: bool = False


def lay_out(figure: go.Figure, x_title: str, y_title: str) -> None:
    """What all figures share; the page sets the colours of text and grid, which depend on light and dark."""
    figure.update_layout(
        template="none",
        height=360,
        margin={"l": 10, "r": 16, "t": 10, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        showlegend=True,
        hoverlabel={"namelength": -1},
    )
    figure.update_xaxes(title={"text": x_title}, automargin=True, zeroline=False)
    figure.update_yaxes(title={"text": y_title, "standoff": 12}, automargin=True, zeroline=False)


def colour_of(section: Section, framework: str) -> str:
    """The colour of a framework: ours have their own, on every page."""
    others = [name for name in section.frameworks if name not in COLOURS]
    return COLOURS.get(framework) or OTHER_COLOURS[others.index(framework) % len(OTHER_COLOURS)]


def style_of(section: Section, framework: str) -> tuple[str, str]:
    """The dashes and the mark of a framework: ours have their own, on every page."""
    known = list(COLOURS)
    others = [name for name in section.frameworks if name not in known]
    place = known.index(framework) if framework in known else len(known) + others.index(framework)
    return STYLES[min(place, len(STYLES) - 1)]


def plain(text: str) -> str:
    """A text as Plotly shows it letter by letter: it would read `<b>` and `<a href>` as HTML."""
    return html.escape(text, quote=False)


def cut(text: str) -> str:
    """A name, at most 32 characters of it."""
    return plain(text if len(text) <= 32 else f"{text[:31]}…")
