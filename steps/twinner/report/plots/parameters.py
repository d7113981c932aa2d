"""Plot swept parameters: the effect of each one, and all of them as parallel coordinates."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from twinner.report.plots.style import MAX_NAMED, MAX_PLOTTED, Marks, Plot, escape, lay_out, shorten
from twinner.report.sections import Section
from twinner.report.sweeps import Effect
from twinner.tracking.params import number
from twinner.tracking.ranking import LOWER_IS_BETTER

LOG_RATIO = 20  # from this ratio of the largest value to the smallest, an axis is logarithmic
MAX_TICKS = 20  # of an axis of texts
MAX_MEANS = 20  # joined by a line; more are a cloud of single runs


def draw_effects(section: Section, effects: Sequence[Effect], marks: Marks) -> list[Plot]:
    """Plot each swept parameter: one mark per run and a line through the means, by framework."""
    plots = []
    for parameter in dict.fromkeys(effect.parameter for effect in effects):
        figure = go.Figure()
        summaries = []
        own = [effect for effect in effects if effect.parameter == parameter]
        for effect in own:
            mark = marks[effect.framework]
            title = escape(mark.title)
            figure.add_scatter(
                name=f"{title}, each run",
                x=_axis_values(effect.values[:MAX_PLOTTED]),
                y=list(effect.scores[:MAX_PLOTTED]),
                text=[shorten(name) for name in effect.names[:MAX_PLOTTED]],
                mode="markers",
                marker={"color": mark.colour, "symbol": mark.symbol, "size": 8, "opacity": 0.55},
                hovertemplate="%{text}<br>%{x}: %{y:.4f}<extra></extra>",
            )
            if len(effect.means) <= MAX_MEANS:
                figure.add_scatter(
                    name=f"{title}, mean",
                    x=_axis_values(list(effect.means)),
                    y=list(effect.means.values()),
                    mode="lines",
                    line={"color": mark.colour, "dash": mark.dash, "width": 2.5},
                    hovertemplate="mean at %{x}: %{y:.4f}<extra></extra>",
                )
            summaries.append(_summary(effect, mark.title, section.metric))
        lay_out(figure, parameter, section.metric, legend_rows=2 * len(own))
        values = [value for effect in own for value in effect.values if isinstance(value, float)]
        if not all(effect.numeric for effect in own):
            figure.update_xaxes(type="category")
        elif _spans_magnitudes(values):
            figure.update_xaxes(type="log", dtick=1)  # whole decades, as a phone has no room for more
        plots.append(Plot(f"Effect of {parameter}", f"{'. '.join(summaries)}.", figure))
    return plots


def draw_parallel_coordinates(section: Section, effects: Sequence[Effect], marks: Marks) -> list[Plot]:
    """Plot the swept parameters, the training time and the metric as parallel coordinates, one line per run.

    Parameters that no plotted run has are left out.
    """
    runs = section.ranked[:MAX_PLOTTED]
    names = [*dict.fromkeys(effect.parameter for effect in effects)]
    axes = [_Axis(name, texts) for name in names if any(texts := [run.params.get(name, "") for run in runs])]
    if len(axes) < 2 or len(runs) < 3:
        return []
    if section.metric != "training_time" and all(run.score("training_time") is not None for run in runs):
        axes.append(_Axis("training_time", [repr(run.metrics["training_time"]) for run in runs]))
    axes.append(_Axis(section.metric, [repr(run.metrics[section.metric]) for run in runs]))
    figure = go.Figure()
    best = max(1, len(runs) // 10)
    for framework in section.frameworks:
        mark = marks[framework]
        for is_top in (False, True):
            x: list[int | None] = []
            y: list[float | None] = []
            text: list[str] = []
            for place, run in enumerate(runs):
                if run.framework == framework and (place < best) == is_top:
                    x += [*range(len(axes)), None]
                    y += [*(axis.height(place) for axis in axes), None]
                    text += [shorten(run.name)] * len(axes) + [""]
            if x:
                figure.add_scatter(
                    name=f"{escape(mark.title)}{', among the best' if is_top else ''}",
                    x=x,
                    y=y,
                    text=text,
                    mode="lines+markers",
                    opacity=1 if is_top else 0.35,
                    line={"color": mark.colour, "width": 3 if is_top else 1.2},
                    marker={"size": 5},
                    hovertemplate="%{text}<extra></extra>",
                )
    lay_out(figure, "", "", legend_rows=len(section.frameworks))
    for place, axis in enumerate(axes):
        for height, value in axis.ticks:
            figure.add_annotation(
                x=place, y=height, text=shorten(value), xanchor="left", xshift=8, showarrow=False, font={"size": 11}
            )
    figure.update_xaxes(
        tickvals=list(range(len(axes))),
        ticktext=[shorten(axis.name) for axis in axes],
        range=[-0.1, len(axes) - 0.6],
        gridwidth=2,
        ticklabeloverflow="allow",  # else a narrow screen hides the first name
    )
    figure.update_layout(margin_l=40, margin_r=40)
    figure.update_yaxes(visible=False, range=[-0.06, 1.06])
    thick = "the best run" if best == 1 else f"the {best} best runs"
    summary = f"{len(runs)} runs, one line each; {thick} in bold. Axes range from the lowest value to the highest."
    return [Plot("All settings at once", summary, figure, wide=True)]


class _Axis:
    """An axis of parallel coordinates: numeric if all values are numbers, else evenly spaced sorted texts.

    texts: the value of each run, empty if it has none; at least one is not empty.
    """

    def __init__(self, name: str, texts: Sequence[str]) -> None:
        self.name = name
        self._texts = texts
        present = sorted({text for text in texts if text})
        numbers = [value for text in present if (value := number(text)) is not None]
        self._numeric = len(numbers) == len(present)
        if self._numeric:
            self._low, self._high = min(numbers), max(numbers)
            self._log = _spans_magnitudes(numbers)
            ticks = sorted({*numbers}) if len({*numbers}) <= MAX_NAMED else [self._low, self._high]
            self.ticks = [(self._scale(value), f"{value:.4g}") for value in ticks]
        else:
            self._order = {text: place / max(len(present) - 1, 1) for place, text in enumerate(present)}
            self.ticks = [(height, text) for text, height in self._order.items()][:MAX_TICKS]

    def height(self, run: int) -> float | None:
        """Return a run's position on the axis, from 0 to 1; None if it has no value."""
        text = self._texts[run]
        if not text:
            return None
        if not self._numeric:
            return self._order[text]
        value = number(text)
        assert value is not None
        return self._scale(value)

    def _scale(self, value: float) -> float:
        low, high, value = (math.log(v) if self._log else v for v in (self._low, self._high, value))
        return 0.5 if high == low else (value - low) / (high - low)


def _spans_magnitudes(values: Sequence[float]) -> bool:
    """Whether positive values are so far apart, as in a sweep of lr, that only a logarithmic axis separates them."""
    return bool(values) and min(values) > 0 and max(values) / min(values) >= LOG_RATIO


def _summary(effect: Effect, title: str, metric: str) -> str:
    choose = min if metric in LOWER_IS_BETTER else max
    best = choose(effect.means, key=lambda value: effect.means[value])
    if len(effect.means) > MAX_NAMED:
        return f"{title}: {len(effect.means)} values; best at {_format(best)}"
    listed = ", ".join(f"{_format(value)}: {score:.3f}" for value, score in effect.means.items())
    return f"{title}, means by value: {listed}; best at {_format(best)}"


def _axis_values(values: Sequence[float | str]) -> list[float | str]:
    return [shorten(value) if isinstance(value, str) else value for value in values]


def _format(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
