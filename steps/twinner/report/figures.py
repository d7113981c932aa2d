"""The pictures of a report, as Plotly figures that take their colours of ink and grid from the page."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
import plotly.graph_objects as go

from twinner.report.predictions import Predictions
from twinner.report.runs import LOWER_IS_BETTER, History, Run, number
from twinner.report.sections import Section
from twinner.report.sweeps import Effect, Setting, pareto_front
from twinner.report.why import confusion_of_entities

# Okabe and Ito's colours, of which these four have contrast enough on white and on near black.
COLOURS = {"spaCy": "#0072B2", "Spark NLP": "#D55E00"}
OTHER_COLOURS = ("#009E73", "#B0578D")
STYLES = (("solid", "circle"), ("dash", "square"), ("dot", "diamond"))  # by place within a framework: apart in print
NAMED = len(STYLES)  # so many of the best runs of each framework are named in the legend, the others are faint
DRAWN = 40  # so many of the best runs have learning curves at all, whole settings only
PLOTTED = 500  # marks or lines of a kind in the other pictures, those of the best
MOST_NAMED = 8  # values that are told one by one
MOST_LABELS = 30  # labels of a confusion matrix that can still be read


@dataclass(frozen=True)
class Picture:
    """A figure with its title and, for those who can't see it, what it shows in words. wide: takes the whole row."""

    title: str
    words: str
    figure: go.Figure
    wide: bool = False


def draw_curves(section: Section, settings: Sequence[Setting], histories: History) -> list[Picture]:
    """The learning curves of some settings: loss by framework, token F1 and entity F1 on dev; none without values."""
    pictures = []
    for framework in section.frameworks:
        own = [setting for setting in settings if setting.runs[0].framework == framework]
        # One picture a framework: the two sum another loss over other batches, so a shared axis would compare nothing.
        pictures += _curves(section, own, histories, "ner.losses", f"Loss by epoch, {framework}", "Loss, sum")
    pictures += _curves(section, settings, histories, "dev_token_f1", "Token F1 on dev by epoch", "F1 of tokens")
    pictures += _curves(section, settings, histories, "dev_f1", "Entity F1 on dev by epoch", "F1 of entities")
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
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.5, 1], tickangle=0)
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, autorange="reversed", showgrid=False)
    bars = len(section.labels) * len(section.best_by_framework)
    figure.update_layout(margin_r=48)  # the numbers behind the bars
    figure.update_layout(barmode="group", bargap=0.25, height=130 + 20 * bars + 12 * len(section.labels))
    return [Picture("Test F1 by label", f"The best run of each framework. {'; '.join(words)}.", figure, wide=True)]


def draw_cost(section: Section, settings: Sequence[Setting]) -> list[Picture]:
    """The metric against training time, a mark a setting (mean and sd over seeds), and the Pareto front."""
    priced = [setting for setting in settings[:PLOTTED] if setting.has("training_time")]
    if len(priced) < 2 or section.metric in LOWER_IS_BETTER:
        return []
    figure = go.Figure()
    front = pareto_front(priced, section.metric)
    if len(front) > 1:
        figure.add_scatter(
            name="Pareto front",
            x=[setting.mean("training_time") for setting in front],
            y=[setting.mean(section.metric) for setting in front],
            mode="lines",
            line={"color": "#8a8a8a", "width": 2, "dash": "dot"},
            hoverinfo="skip",
        )
    for framework in section.frameworks:
        own = [setting for setting in priced if setting.runs[0].framework == framework]
        if not own:
            continue
        spreads = [setting.spread(section.metric) for setting in own]
        figure.add_scatter(
            name=_plain(framework),
            x=[setting.mean("training_time") for setting in own],
            y=[setting.mean(section.metric) for setting in own],
            error_y={"array": [spread or 0 for spread in spreads], "visible": any(spreads), "thickness": 1.5},
            text=[_described(setting) for setting in own],
            mode="markers",
            marker={"color": _colour(section, framework), "symbol": _style(section, framework)[1], "size": 10},
            hovertemplate="%{text}<br>%{x:,.1f} s, %{y:.4f}<extra></extra>",
        )
    _lay_out(figure, "Training time (s)", section.metric)
    figure.update_xaxes(rangemode="tozero")
    best, cheapest = front[-1], front[0]
    words = f"{len(priced)} settings, {len(front)} of them on the Pareto front: none is both quicker and better"
    if best is not cheapest:
        ratio = best.mean("training_time") / max(cheapest.mean("training_time"), 1e-9)
        gain = best.mean(section.metric) - cheapest.mean(section.metric)
        words += f". The best trains {ratio:.1f} times as long as the quickest, for {gain:.3f} more"
    return [Picture("Score against training time", f"{words}.", figure)]


def draw_effects(section: Section, effects: Sequence[Effect]) -> list[Picture]:
    """A picture of each swept parameter: a mark a run, and a line through the means, by framework."""
    pictures = []
    for parameter in dict.fromkeys(effect.parameter for effect in effects):
        figure = go.Figure()
        words = []
        own = [effect for effect in effects if effect.parameter == parameter]
        for effect in own:
            dash, symbol = _style(section, effect.framework)
            colour = _colour(section, effect.framework)
            shown = slice(PLOTTED)
            figure.add_scatter(
                name=f"{_plain(effect.framework)}, each run",
                x=_axis_values(effect.values[shown]),
                y=list(effect.scores[shown]),
                text=[_cut(name) for name in effect.names[shown]],
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 8, "opacity": 0.55},
                hovertemplate="%{text}<br>%{x}: %{y:.4f}<extra></extra>",
            )
            figure.add_scatter(
                name=f"{_plain(effect.framework)}, mean",
                x=_axis_values(list(effect.means)),
                y=list(effect.means.values()),
                mode="lines",
                line={"color": colour, "dash": dash, "width": 2.5},
                hovertemplate="mean at %{x}: %{y:.4f}<extra></extra>",
            )
            best = max(effect.means, key=lambda value: effect.means[value])
            few = list(effect.means.items())[:MOST_NAMED]
            listed = ", ".join(f"{_number(value)}: {score:.3f}" for value, score in few)
            words.append(f"{effect.framework}, means by value: {listed}{', …' if len(effect.means) > len(few) else ''}")
            if section.metric not in LOWER_IS_BETTER:
                words[-1] += f"; highest at {_number(best)}"
        _lay_out(figure, parameter, section.metric)
        values = [value for effect in own for value in effect.values if isinstance(value, float)]
        if values and min(values) > 0 and max(values) / min(values) >= 20 and len(values) == sum(map(_length, own)):
            figure.update_xaxes(type="log")
        elif not all(effect.numeric for effect in own):
            figure.update_xaxes(type="category")
        pictures.append(Picture(f"Effect of {parameter}", f"{'. '.join(words)}.", figure))
    return pictures


def draw_parallel(section: Section, effects: Sequence[Effect]) -> list[Picture]:
    """Parallel coordinates of the swept parameters, the training time and the metric, a line a run."""
    runs = section.ranked[:PLOTTED]
    names = [*dict.fromkeys(effect.parameter for effect in effects)]
    if len(names) < 2 or len(runs) < 3:
        return []
    axes = [_Axis(name, [run.params.get(name, "") for run in runs]) for name in names]
    if section.metric != "training_time" and all(run.score("training_time") is not None for run in runs):
        axes.append(_Axis("training_time", [repr(run.metrics["training_time"]) for run in runs]))
    axes.append(_Axis(section.metric, [repr(run.metrics[section.metric]) for run in runs]))
    figure = go.Figure()
    best = max(1, len(runs) // 10)
    for framework in section.frameworks:
        for top in (False, True):
            x: list[int | None] = []
            y: list[float | None] = []
            text: list[str] = []
            for place, run in enumerate(runs):
                if run.framework == framework and (place < best) == top:
                    x += [*range(len(axes)), None]
                    y += [*(axis.height(place) for axis in axes), None]
                    text += [_cut(run.name)] * len(axes) + [""]
            if x:
                figure.add_scatter(
                    name=f"{_plain(framework)}{', among the best' if top else ''}",
                    x=x,
                    y=y,
                    text=text,
                    mode="lines+markers",
                    opacity=1 if top else 0.35,
                    line={"color": _colour(section, framework), "width": 3 if top else 1.2},
                    marker={"size": 5},
                    hovertemplate="%{text}<extra></extra>",
                )
    _lay_out(figure, "", "")
    for place, axis in enumerate(axes):
        for height, value in axis.ticks:
            figure.add_annotation(
                x=place, y=height, text=_cut(value), xanchor="left", xshift=8, showarrow=False, font={"size": 11}
            )
    figure.update_xaxes(
        tickvals=list(range(len(axes))),
        ticktext=[_cut(axis.name) for axis in axes],
        range=[-0.1, len(axes) - 0.6],
        gridwidth=2,
    )
    figure.update_yaxes(visible=False, range=[-0.06, 1.06])
    thick = "the best" if best == 1 else f"the {best} best"
    words = f"{len(runs)} runs, a line each, {thick} thick. Axes go from the lowest value to the highest."
    return [Picture("All settings at once", words, figure, wide=True)]


def draw_confusion(run: Run, found: Predictions) -> Picture | None:
    """Which label the entities of each gold label were given by a run; None for more labels than a picture holds."""
    labels, counts = confusion_of_entities(found)
    if not 2 <= len(labels) <= MOST_LABELS:
        return None
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = go.Figure()
    names = [_cut(label) for label in labels]
    places = list(range(len(labels)))
    figure.add_heatmap(
        x=places,
        y=places,
        z=shares.tolist(),
        text=[[f"{count:,}" if count else "" for count in row] for row in counts.tolist()],
        customdata=[[[gold, predicted] for predicted in names] for gold in names],
        texttemplate="%{text}",
        colorscale=[[0, "rgba(0,114,178,0.04)"], [1, "rgba(0,114,178,0.55)"]],
        zmin=0,
        zmax=1,
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{customdata[0]} taken for %{customdata[1]}: %{text} (%{z:.1%} of the row)<extra></extra>",
    )
    _lay_out(figure, "Predicted", "Gold")
    figure.update_xaxes(tickvals=places, ticktext=names, showgrid=False, tickangle=-40)
    figure.update_yaxes(tickvals=places, ticktext=names, autorange="reversed", showgrid=False)
    figure.update_layout(height=170 + 34 * len(labels), showlegend=False)
    hits = int(np.trace(counts[:-1, :-1]))
    words = f"Entities by label, borders aside: of {int(counts[:-1].sum()):,} gold ones {hits:,} got their own label."
    return Picture(f"What is taken for what: {run.name}", words, figure)


class _Axis:
    """An axis of parallel coordinates: numbers by value, anything else by its place among the texts."""

    def __init__(self, name: str, texts: Sequence[str]) -> None:
        self.name = name
        numbers = [number(text) for text in texts]
        known = [value for value in numbers if value is not None]
        self._numbers = numbers if len(known) == len([text for text in texts if text]) else None
        if self._numbers is not None:
            self._low, self._high = min(known), max(known)
            # A sweep of lr goes by factors: small values would else lie on top of each other.
            self._logs = self._low > 0 and self._high / self._low >= 20
            few = sorted(set(known)) if len(set(known)) <= MOST_NAMED else [self._low, self._high]
            self.ticks = [(self._place(value), f"{value:.4g}") for value in few]
        else:
            self._texts = texts
            self._order = sorted({text for text in texts if text})
            self.ticks = [(self._share(text), text) for text in self._order[:20]]

    def height(self, run: int) -> float | None:
        """Where a run stands on the axis, from 0 to 1; None where it has no value."""
        if self._numbers is not None:
            value = self._numbers[run]
            return None if value is None else self._place(value)
        return self._share(self._texts[run]) if self._texts[run] else None

    def _place(self, value: float) -> float:
        low, high, value = (math.log(v) if self._logs else v for v in (self._low, self._high, value))
        return 0.5 if high == low else (value - low) / (high - low)

    def _share(self, text: str) -> float:
        return self._order.index(text) / max(len(self._order) - 1, 1)


def _curves(
    section: Section, settings: Sequence[Setting], histories: History, metric: str, title: str, unit: str
) -> list[Picture]:
    """One picture of a metric by epoch: a line a setting, through the means over its seeds, with their sd as a band."""
    figure = go.Figure()
    words = []
    places: dict[str, int] = {}
    drawn = [setting for setting in settings if any((run.id, metric) in histories for run in setting.runs)]
    mixed = len({setting.runs[0].framework for setting in drawn}) > 1
    longest = last = 0
    for setting in drawn:
        run = setting.runs[0]
        place = places[run.framework] = places.get(run.framework, -1) + 1
        named = place < NAMED
        dash, symbol = STYLES[place % len(STYLES)]
        curve = _mean_curve([histories[one.id, metric] for one in setting.runs if (one.id, metric) in histories])
        steps, values, spreads = zip(*curve, strict=True)
        longest, last = max(longest, len(steps)), max(last, steps[-1])
        colour = _colour(section, run.framework)
        seeds = f", mean of {len(setting.runs)} seeds" if len(setting.runs) > 1 else ""
        remarks = [_plain(run.framework)] if mixed else []
        remarks += [f"{len(setting.runs)} seeds"] if len(setting.runs) > 1 else []
        if any(spreads) and named:
            figure.add_scatter(
                x=[*steps, *reversed(steps)],
                y=[*(v + s for v, s in zip(values, spreads, strict=True))]
                + [v - s for v, s in reversed([*zip(values, spreads, strict=True)])],
                fill="toself",
                fillcolor=colour,
                opacity=0.15,
                line={"width": 0},
                mode="lines",
                showlegend=False,
                hoverinfo="skip",
            )
        figure.add_scatter(
            name=_cut(run.name) + (f" ({', '.join(remarks)})" if remarks else ""),
            x=steps,
            y=values,
            mode="lines+markers",
            showlegend=named,
            opacity=1 if named else 0.3,
            line={"color": colour, "dash": dash, "width": 2.5 if place == 0 else 1.5},
            marker={"symbol": symbol, "size": 7 if named else 4, "maxdisplayed": 25},
            hovertemplate="epoch %{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
        )
        if place == 0:
            best = min(values) if metric == "ner.losses" else max(values)
            words.append(f"{run.framework}, {run.name}{seeds}: {values[0]:.4g} at epoch {steps[0]}, best {best:.4g}")
    if not drawn:
        return []
    _lay_out(figure, "Epoch", unit)
    # Whole epochs alone: a run of one epoch would else be drawn at 0.998, 1, 1.002.
    figure.update_xaxes(range=[0.5, last + 0.5], dtick=1 if last <= 12 else None, tick0=1 if last <= 12 else None)
    if metric != "ner.losses":
        figure.update_yaxes(autorangeoptions={"clipmin": 0, "clipmax": 1}, range=[0, 1] if longest == 1 else None)
    if longest == 1:
        figure.update_traces(mode="markers", marker_size=10)
    runs = sum(len(setting.runs) for setting in drawn)
    count = f"{runs} runs" if runs > 1 else "One run"
    return [Picture(title, f"{count}. The best of each framework: {'; '.join(words)}.", figure)]


def _mean_curve(curves: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float, float]]:
    """(epoch, mean, standard deviation) over curves, where each has a value; of one curve, with 0."""
    by_step = [dict(curve) for curve in curves]
    steps = sorted(set(by_step[0]).intersection(*by_step[1:]))
    columns = [[curve[step] for curve in by_step] for step in steps]
    return [(step, mean(one), stdev(one) if len(one) > 1 else 0.0) for step, one in zip(steps, columns, strict=True)]


def _described(setting: Setting) -> str:
    seeds = f", {len(setting.runs)} seeds" if len(setting.runs) > 1 else ""
    return f"{_cut(setting.runs[0].name)}{seeds}"


def _axis_values(values: Sequence[float | str]) -> list[float | str]:
    return [_cut(value) if isinstance(value, str) else value for value in values]


def _length(effect: Effect) -> int:
    return len(effect.values)


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


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
    figure.update_yaxes(title={"text": y_title, "standoff": 12}, automargin=True, zeroline=False)


def _colour(section: Section, framework: str) -> str:
    others = [name for name in section.frameworks if name not in COLOURS]
    return COLOURS.get(framework) or OTHER_COLOURS[others.index(framework) % len(OTHER_COLOURS)]


def _style(section: Section, framework: str) -> tuple[str, str]:
    """The dashes and the mark of a framework: ours have their own, on every page."""
    known = list(COLOURS)
    others = [name for name in section.frameworks if name not in known]
    place = known.index(framework) if framework in known else len(known) + others.index(framework)
    return STYLES[min(place, len(STYLES) - 1)]


def _plain(text: str) -> str:
    """A text as Plotly shows it letter by letter: it would read `<b>` and `<a href>` as HTML."""
    return html.escape(text, quote=False)


def _cut(text: str) -> str:
    """A name, at most 32 characters of it."""
    return _plain(text if len(text) <= 32 else f"{text[:31]}…")
