"""Plot scores: F1 by label, score against training time, the confusion matrix."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from twinner.report.error_analysis import entity_confusion_matrix
from twinner.report.plots.style import MAX_PLOTTED, Mark, Marks, Plot, escape, lay_out, shorten
from twinner.report.predictions import Predictions
from twinner.report.sections import Section
from twinner.report.settings import Setting
from twinner.report.sweeps import pareto_front
from twinner.tracking.ranking import LOWER_IS_BETTER
from twinner.tracking.run import Run

MAX_LABELS = 30  # in a readable confusion matrix


def draw_label_scores(section: Section, support: Mapping[str, int], marks: Marks) -> list[Plot]:
    """Plot test F1 by label, means over seeds, for the best setting of each framework.

    support: the number of gold entities in test by label, if known.
    """
    if not section.labels or not section.settings:
        return []
    figure = go.Figure()
    names = [
        f"{shorten(label)} (n = {support[label]:,})" if label in support else shorten(label) for label in section.labels
    ]
    summaries = []
    for framework, setting in section.best_by_framework.items():
        mark = marks[framework]
        metrics = [f"test_f1_{label}" for label in section.labels]
        values = [setting.mean(metric) if setting.has(metric) else None for metric in metrics]
        figure.add_bar(
            orientation="h",
            name=f"{escape(mark.title)}: {_name(setting)}",
            y=list(range(len(names))),  # by index: two shortened names may be equal
            x=values,
            customdata=names,
            text=["" if value is None else f"{value:.3f}" for value in values],
            textposition="outside",
            cliponaxis=False,
            marker={
                "color": mark.colour,
                "pattern": {
                    "shape": mark.pattern,
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
            summaries.append(f"{mark.title}: from {low:.3f} for {weak} to {high:.3f} for {strong}")
    lay_out(figure, "Test F1", "")
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.5, 1], tickangle=0)
    figure.update_yaxes(tickvals=list(range(len(names))), ticktext=names, autorange="reversed", showgrid=False)
    bars = len(section.labels) * len(section.best_by_framework)
    figure.update_layout(margin_r=48)  # room for the numbers beside the bars
    figure.update_layout(barmode="group", bargap=0.25, height=130 + 20 * bars + 12 * len(section.labels))
    return [Plot("Test F1 by label", f"The best setting of each framework. {'; '.join(summaries)}.", figure, wide=True)]


def draw_cost(section: Section, marks: Marks) -> list[Plot]:
    """Plot the metric against training time, one mark per setting (mean and sd over seeds), and the Pareto front."""
    timed = [setting for setting in section.settings[:MAX_PLOTTED] if setting.has("training_time")]
    if len(timed) < 2 or section.metric in LOWER_IS_BETTER:
        return []
    figure = go.Figure()
    front = pareto_front(timed, section.metric)
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
        own = [setting for setting in timed if setting.framework == framework]
        if not own:
            continue
        mark = marks[framework]
        spreads = [setting.spread(section.metric) for setting in own]
        figure.add_scatter(
            name=escape(mark.title),
            x=[setting.mean("training_time") for setting in own],
            y=[setting.mean(section.metric) for setting in own],
            error_y={"array": [spread or 0 for spread in spreads], "visible": any(spreads), "thickness": 1.5},
            text=[_name(setting) for setting in own],
            mode="markers",
            marker={"color": mark.colour, "symbol": mark.symbol, "size": 10},
            hovertemplate="%{text}<br>%{x:,.1f} s, %{y:.4f}<extra></extra>",
        )
    lay_out(figure, "Training time (s)", section.metric)
    figure.update_xaxes(rangemode="tozero")
    best, fastest = front[-1], front[0]
    summary = f"{len(timed)} settings, {len(front)} of them on the Pareto front: no other is both faster and better"
    if best is not fastest:
        ratio = best.mean("training_time") / max(fastest.mean("training_time"), 1e-9)
        gain = best.mean(section.metric) - fastest.mean(section.metric)
        summary += f". The best trains {ratio:.1f} times as long as the fastest and scores {gain:.3f} more"
    return [Plot("Score against training time", f"{summary}.", figure)]


def draw_confusion_matrix(run: Run, found: Predictions, mark: Mark) -> Plot | None:
    """Plot a run's predicted labels by gold label; None if there are too many labels."""
    labels, counts = entity_confusion_matrix(found)
    if not 2 <= len(labels) <= MAX_LABELS:
        return None
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = go.Figure()
    names = [shorten(label) for label in labels]
    places = list(range(len(labels)))
    figure.add_heatmap(
        x=places,
        y=places,
        z=shares.tolist(),
        text=[[f"{count:,}" if count else "" for count in row] for row in counts.tolist()],
        customdata=[[[gold, predicted] for predicted in names] for gold in names],
        texttemplate="%{text}",
        colorscale=[[0, mark.shade(0.04)], [1, mark.shade(0.55)]],
        zmin=0,
        zmax=1,
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{customdata[0]} predicted as %{customdata[1]}: %{text} (%{z:.1%} of the row)<extra></extra>",
    )
    lay_out(figure, "Predicted", "Gold")
    figure.update_xaxes(tickvals=places, ticktext=names, showgrid=False, tickangle=-40)
    figure.update_yaxes(tickvals=places, ticktext=names, autorange="reversed", showgrid=False)
    figure.update_layout(height=170 + 34 * len(labels), showlegend=False)
    hits, total = int(np.trace(counts[:-1, :-1])), int(counts[:-1].sum())
    summary = f"Entities by label, ignoring borders: {hits:,} of {total:,} gold entities got their label."
    return Plot(f"Confusion matrix: {run.label}", summary, figure)


def _name(setting: Setting) -> str:
    return shorten(setting.best.name) + (f", {setting.seeds}" if len(setting.runs) > 1 else "")
