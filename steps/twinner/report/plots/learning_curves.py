"""Plot the learning curves of runs."""

from collections.abc import Sequence
from statistics import mean, stdev

import plotly.graph_objects as go

from twinner.report.plots.style import STYLES, Marks, Plot, escape, lay_out, shorten
from twinner.report.sections import Section
from twinner.report.settings import Setting
from twinner.tracking.run import History

NAMED = 3  # best settings of each framework in the legend; the others are faint


def draw_learning_curves(section: Section, settings: Sequence[Setting], histories: History, marks: Marks) -> list[Plot]:
    """Plot the loss by framework, and token F1 and entity F1 on dev; plots without data are omitted."""
    # Steps of other tools may be batches.
    unit = "Step" if section.experiment else "Epoch"
    plots = []
    for framework in section.frameworks:
        own = [setting for setting in settings if setting.framework == framework]
        # One plot per framework: each sums a different loss over different batches.
        title = f"Loss by {unit.lower()}, {marks[framework].title}"
        plots += _draw_metric(own, histories, marks, "ner.losses", title, unit, "Loss, sum")
    for metric, title, axis in (
        ("dev_token_f1", "Token F1 on dev", "F1 of tokens"),
        ("dev_f1", "Entity F1 on dev", "F1 of entities"),
    ):
        plots += _draw_metric(settings, histories, marks, metric, f"{title} by {unit.lower()}", unit, axis)
    return plots


def _draw_metric(
    settings: Sequence[Setting], histories: History, marks: Marks, metric: str, title: str, x_title: str, y_title: str
) -> list[Plot]:
    """Plot a metric by epoch: one line per setting through the means over its seeds, with their sd as a band."""
    curves = [
        (setting, curve)
        for setting in settings
        if (curve := _mean_curve([histories[run.id, metric] for run in setting.runs if (run.id, metric) in histories]))
    ]
    if not curves:
        return []
    figure = go.Figure()
    summaries = []
    places: dict[str, int] = {}
    mixed = len({setting.framework for setting, _ in curves}) > 1
    for setting, curve in curves:
        run = setting.best
        mark = marks[run.framework]
        place = places[run.framework] = places.get(run.framework, -1) + 1
        named = place < NAMED
        dash, symbol, _ = STYLES[place % NAMED]
        steps, values, spreads = zip(*curve, strict=True)
        seeds = [setting.seeds] if len(setting.runs) > 1 else []
        remarks = [*([escape(mark.title)] if mixed else []), *seeds]
        if any(spreads) and named:
            figure.add_scatter(
                x=[*steps, *reversed(steps)],
                y=[*(v + s for v, s in zip(values, spreads, strict=True))]
                + [v - s for v, s in reversed([*zip(values, spreads, strict=True)])],
                fill="toself",
                fillcolor=mark.colour,
                opacity=0.15,
                line={"width": 0},
                mode="lines",
                showlegend=False,
                hoverinfo="skip",
            )
        figure.add_scatter(
            name=shorten(run.name) + (f" ({', '.join(remarks)})" if remarks else ""),
            x=steps,
            y=values,
            mode="lines+markers",
            showlegend=named,
            opacity=1 if named else 0.3,
            line={"color": mark.colour, "dash": dash, "width": 2.5 if place == 0 else 1.5},
            marker={"symbol": symbol, "size": 7 if named else 4, "maxdisplayed": 25},
            hovertemplate=f"{x_title.lower()} %{{x}}: %{{y:.4g}}<extra>%{{fullData.name}}</extra>",
        )
        if place == 0:
            best = min(values) if metric == "ner.losses" else max(values)
            name = f"{mark.title}, {run.label}" + (f", mean of {seeds[0]}" if seeds else "")
            summaries.append(f"{name}: {values[0]:.4g} at {x_title.lower()} {steps[0]}, best {best:.4g}")
    lay_out(figure, x_title, y_title, legend_rows=sum(min(place + 1, NAMED) for place in places.values()))
    _set_ranges(figure, [[step for step, *_ in curve] for _, curve in curves], is_share=metric != "ner.losses")
    count = sum(len(setting.runs) for setting, _ in curves)
    runs = f"{count} runs" if count > 1 else "One run"
    return [Plot(title, f"{runs}. The best of each framework: {'; '.join(summaries)}.", figure)]


def _set_ranges(figure: go.Figure, steps: Sequence[Sequence[int]], is_share: bool) -> None:
    """Show whole epochs only (Plotly would put a single epoch at 0.998, 1, 1.002), and shares within 0 and 1."""
    first, last = min(curve[0] for curve in steps), max(curve[-1] for curve in steps)
    every = {"dtick": 1, "tick0": 1} if last - first < 12 else {}
    figure.update_xaxes(range=[min(first, 1) - 0.5, last + 0.5], **every)
    single = max(map(len, steps)) == 1
    if is_share:
        figure.update_yaxes(autorangeoptions={"clipmin": 0, "clipmax": 1}, range=[0, 1] if single else None)
    if single:
        figure.update_traces(mode="markers", marker_size=10)


def _mean_curve(curves: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float, float]]:
    """Return (epoch, mean, standard deviation) for the epochs that all curves have; a single curve has deviation 0."""
    by_step = [dict(curve) for curve in curves]
    steps = sorted(set(by_step[0]).intersection(*by_step[1:])) if by_step else []
    columns = [[curve[step] for curve in by_step] for step in steps]
    return [(step, mean(one), stdev(one) if len(one) > 1 else 0.0) for step, one in zip(steps, columns, strict=True)]
