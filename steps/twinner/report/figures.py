"""The pictures of the scores of a report's runs: by label, against cost and settings, and what is taken for what."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from twinner.report.picture import MOST_NAMED, PLOTTED, Picture, colour_of, cut, lay_out, plain, style_of
from twinner.report.predictions import Predictions
from twinner.report.sections import Section
from twinner.report.sweeps import Effect, Setting, pareto_front
from twinner.report.why import confusion_of_entities
from twinner.tracking.read import LOWER_IS_BETTER, Run

MOST_LABELS = 30  # labels of a confusion matrix that can still be read


def draw_labels(section: Section, support: Mapping[str, int]) -> list[Picture]:
    """The test F1 by label of the best run of each framework; support: gold entities of test by label, where known."""
    if not section.labels or not section.ranked:
        return []
    figure = go.Figure()
    names = [f"{cut(label)} (n = {support[label]:,})" if label in support else cut(label) for label in section.labels]
    words = []
    for framework, run in section.best_by_framework.items():
        values = [run.score(f"test_f1_{label}") for label in section.labels]
        figure.add_bar(
            orientation="h",
            name=f"{plain(framework)}: {cut(run.name)}",
            y=list(range(len(names))),  # by place: two long names may look the same once cut
            x=values,
            customdata=names,
            text=["" if value is None else f"{value:.3f}" for value in values],
            textposition="outside",
            cliponaxis=False,
            marker={
                "color": colour_of(section, framework),
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
    lay_out(figure, "Test F1", "")
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
            name=plain(framework),
            x=[setting.mean("training_time") for setting in own],
            y=[setting.mean(section.metric) for setting in own],
            error_y={"array": [spread or 0 for spread in spreads], "visible": any(spreads), "thickness": 1.5},
            text=[_described(setting) for setting in own],
            mode="markers",
            marker={"color": colour_of(section, framework), "symbol": style_of(section, framework)[1], "size": 10},
            hovertemplate="%{text}<br>%{x:,.1f} s, %{y:.4f}<extra></extra>",
        )
    lay_out(figure, "Training time (s)", section.metric)
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
            dash, symbol = style_of(section, effect.framework)
            colour = colour_of(section, effect.framework)
            shown = slice(PLOTTED)
            figure.add_scatter(
                name=f"{plain(effect.framework)}, each run",
                x=_axis_values(effect.values[shown]),
                y=list(effect.scores[shown]),
                text=[cut(name) for name in effect.names[shown]],
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 8, "opacity": 0.55},
                hovertemplate="%{text}<br>%{x}: %{y:.4f}<extra></extra>",
            )
            figure.add_scatter(
                name=f"{plain(effect.framework)}, mean",
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
        lay_out(figure, parameter, section.metric)
        values = [value for effect in own for value in effect.values if isinstance(value, float)]
        if values and min(values) > 0 and max(values) / min(values) >= 20 and len(values) == sum(map(_length, own)):
            figure.update_xaxes(type="log")
        elif not all(effect.numeric for effect in own):
            figure.update_xaxes(type="category")
        pictures.append(Picture(f"Effect of {parameter}", f"{'. '.join(words)}.", figure))
    return pictures


def draw_confusion(run: Run, found: Predictions) -> Picture | None:
    """Which label the entities of each gold label were given by a run; None for more labels than a picture holds."""
    labels, counts = confusion_of_entities(found)
    if not 2 <= len(labels) <= MOST_LABELS:
        return None
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = go.Figure()
    names = [cut(label) for label in labels]
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
    lay_out(figure, "Predicted", "Gold")
    figure.update_xaxes(tickvals=places, ticktext=names, showgrid=False, tickangle=-40)
    figure.update_yaxes(tickvals=places, ticktext=names, autorange="reversed", showgrid=False)
    figure.update_layout(height=170 + 34 * len(labels), showlegend=False)
    hits = int(np.trace(counts[:-1, :-1]))
    words = f"Entities by label, borders aside: of {int(counts[:-1].sum()):,} gold ones {hits:,} got their own label."
    return Picture(f"What is taken for what: {run.name}", words, figure)


def _described(setting: Setting) -> str:
    seeds = f", {len(setting.runs)} seeds" if len(setting.runs) > 1 else ""
    return f"{cut(setting.runs[0].name)}{seeds}"


def _axis_values(values: Sequence[float | str]) -> list[float | str]:
    return [cut(value) if isinstance(value, str) else value for value in values]


def _length(effect: Effect) -> int:
    return len(effect.values)


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
