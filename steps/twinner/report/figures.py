"""The pictures of a report, as Plotly figures that take their colours of ink and grid from the page."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from twinner.report.runs import Run
from twinner.report.sections import Section

# Okabe and Ito's colours, of which these four have contrast enough on white and on near black.
COLOURS = {"spaCy": "#0072B2", "Spark NLP": "#D55E00"}
OTHER_COLOURS = ("#009E73", "#B0578D")
STYLES = (("solid", "circle"), ("dash", "square"), ("dot", "diamond"))  # by place within a framework: apart in print
NAMED = len(STYLES)  # so many of the best runs of each framework are named in the legend, the others are faint
DRAWN = 40  # so many of the best runs are drawn at all

History = Mapping[tuple[str, str], Sequence[tuple[int, float]]]


@dataclass(frozen=True)
class Picture:
    """A figure with its title and, for those who can't see it, what it shows in words. wide: takes the whole row."""

    title: str
    words: str
    figure: go.Figure
    wide: bool = False


def draw_curves(section: Section, histories: History) -> list[Picture]:
    """The learning curves of the best runs: loss by framework, token F1 and entity F1 on dev; none without values."""
    runs = section.ranked[:DRAWN]
    pictures = []
    for framework in section.frameworks:
        own = [run for run in runs if run.framework == framework]
        # One picture a framework: the two sum another loss over other batches, so a shared axis would compare nothing.
        pictures += _curves(section, own, histories, "ner.losses", f"Loss by epoch, {framework}", "Loss, sum")
    pictures += _curves(section, runs, histories, "dev_token_f1", "Token F1 on dev by epoch", "F1 of tokens")
    pictures += _curves(section, runs, histories, "dev_f1", "Entity F1 on dev by epoch", "F1 of entities")
    return pictures


def draw_labels(section: Section, support: Mapping[str, int]) -> list[Picture]:
    """The test F1 by label of the best run of each framework; support: gold entities of test by label, where known."""
    if not section.labels or not section.ranked:
        return []
    figure = go.Figure()
    names = [f"{_cut(label)} (n = {support[label]:,})" if label in support else _cut(label) for label in section.labels]
    words = []
    for framework, run in section.best_by_framework.items():
        values = [run.score(f"test_f1_{label}") for label in section.labels]
        figure.add_bar(
            orientation="h",
            name=f"{_plain(framework)}: {_cut(run.name)}",
            y=list(range(len(names))),  # by place: two long names may look the same once cut
            x=values,
            customdata=names,
            text=["" if value is None else f"{value:.3f}" for value in values],
            textposition="outside",
            cliponaxis=False,
            marker={
                "color": _colour(section, framework),
                "pattern": {
                    "shape": "" if framework == section.frameworks[0] else "/",  # apart in print
                    "fillmode": "overlay",
                    "fgcolor": "rgba(255,255,255,0.7)",
                    "size": 7,
                    "solidity": 0.2,
                },
            },
            hovertemplate="%{customdata}: %{x:.4f}<extra>%{fullData.name}</extra>",
        )
        scored = [(value, label) for value, label in zip(values, section.labels, strict=True) if value is not None]
        if scored:
            (low, weak), (high, strong) = min(scored), max(scored)
            words.append(f"{framework}: from {low:.3f} for {weak} to {high:.3f} for {strong}")
    _lay_out(figure, "Test F1", "")
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, autorange="reversed", showgrid=False)
    bars = len(section.labels) * len(section.best_by_framework)
    figure.update_layout(margin_r=48)  # the numbers behind the bars
    figure.update_layout(barmode="group", bargap=0.25, height=130 + 20 * bars + 12 * len(section.labels))
    return [Picture("Test F1 by label", f"The best run of each framework. {'; '.join(words)}.", figure, wide=True)]


def _curves(
    section: Section, runs: Sequence[Run], histories: History, metric: str, title: str, unit: str
) -> list[Picture]:
    """One picture of a metric by epoch, a line a run; an empty list if no run has it."""
    figure = go.Figure()
    words = []
    places: dict[str, int] = {}
    drawn = [run for run in runs if (run.id, metric) in histories]
    mixed = len({run.framework for run in drawn}) > 1
    for run in drawn:
        place = places[run.framework] = places.get(run.framework, -1) + 1
        named = place < NAMED
        dash, symbol = STYLES[place % len(STYLES)]
        steps, values = zip(*histories[run.id, metric], strict=True)
        figure.add_scatter(
            name=_cut(run.name) + (f" ({_plain(run.framework)})" if mixed else ""),
            x=steps,
            y=values,
            mode="lines+markers",
            showlegend=named,
            opacity=1 if named else 0.3,
            line={"color": _colour(section, run.framework), "dash": dash, "width": 2.5 if place == 0 else 1.5},
            marker={"symbol": symbol, "size": 7 if named else 4, "maxdisplayed": 25},
            hovertemplate="epoch %{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
        )
        if place == 0:
            best = min(values) if metric == "ner.losses" else max(values)
            words.append(f"{run.framework}, {run.name}: {values[0]:.4g} at epoch {steps[0]}, best {best:.4g}")
    if not drawn:
        return []
    _lay_out(figure, "Epoch", unit)
    longest = max(len(histories[run.id, metric]) for run in drawn)
    last = max(histories[run.id, metric][-1][0] for run in drawn)
    # Whole epochs alone: a run of one epoch would else be drawn at 0.998, 1, 1.002.
    figure.update_xaxes(range=[0.5, last + 0.5], dtick=1 if last <= 12 else None, tick0=1 if last <= 12 else None)
    if metric != "ner.losses":
        figure.update_yaxes(autorangeoptions={"clipmin": 0, "clipmax": 1}, range=[0, 1] if longest == 1 else None)
    if longest == 1:
        figure.update_traces(mode="markers", marker_size=10)
    count = f"{len(drawn)} runs" if len(drawn) > 1 else "One run"
    return [Picture(title, f"{count}. The best of each framework: {'; '.join(words)}.", figure)]


def _lay_out(figure: go.Figure, x_title: str, y_title: str) -> None:
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
    figure.update_yaxes(title={"text": y_title}, automargin=True, zeroline=False)


def _colour(section: Section, framework: str) -> str:
    others = [name for name in section.frameworks if name not in COLOURS]
    return COLOURS.get(framework) or OTHER_COLOURS[others.index(framework) % len(OTHER_COLOURS)]


def _plain(text: str) -> str:
    """A text as Plotly shows it letter by letter: it would read `<b>` and `<a href>` as HTML."""
    return html.escape(text, quote=False)


def _cut(text: str) -> str:
    """A name, at most 32 characters of it."""
    return _plain(text if len(text) <= 32 else f"{text[:31]}…")
