"""All settings of a report's runs at once, as parallel coordinates."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from twinner.report.picture import MOST_NAMED, PLOTTED, Picture, colour_of, cut, lay_out, plain
from twinner.report.sections import Section
from twinner.report.sweeps import Effect
from twinner.tracking.params import number


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
                    text += [cut(run.name)] * len(axes) + [""]
            if x:
                figure.add_scatter(
                    name=f"{plain(framework)}{', among the best' if top else ''}",
                    x=x,
                    y=y,
                    text=text,
                    mode="lines+markers",
                    opacity=1 if top else 0.35,
                    line={"color": colour_of(section, framework), "width": 3 if top else 1.2},
                    marker={"size": 5},
                    hovertemplate="%{text}<extra></extra>",
                )
    lay_out(figure, "", "")
    for place, axis in enumerate(axes):
        for height, value in axis.ticks:
            figure.add_annotation(
                x=place, y=height, text=cut(value), xanchor="left", xshift=8, showarrow=False, font={"size": 11}
            )
    figure.update_xaxes(
        tickvals=list(range(len(axes))),
        ticktext=[cut(axis.name) for axis in axes],
        range=[-0.1, len(axes) - 0.6],
        gridwidth=2,
    )
    figure.update_yaxes(visible=False, range=[-0.06, 1.06])
    thick = "the best" if best == 1 else f"the {best} best"
    words = f"{len(runs)} runs, a line each, {thick} thick. Axes go from the lowest value to the highest."
    return [Picture("All settings at once", words, figure, wide=True)]


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
