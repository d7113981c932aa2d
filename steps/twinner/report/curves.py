"""The learning curves of a report."""

from collections.abc import Sequence
from statistics import mean, stdev

import plotly.graph_objects as go

from twinner.report.picture import STYLES, Picture, colour_of, cut, lay_out, plain
from twinner.report.sections import Section
from twinner.report.sweeps import Setting
from twinner.tracking.read import History

NAMED = len(STYLES)  # so many of the best runs of each framework are named in the legend, the others are faint
DRAWN = 40  # so many of the best runs have learning curves at all, whole settings only


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
        colour = colour_of(section, run.framework)
        seeds = f", mean of {len(setting.runs)} seeds" if len(setting.runs) > 1 else ""
        remarks = [plain(run.framework)] if mixed else []
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
            name=cut(run.name) + (f" ({', '.join(remarks)})" if remarks else ""),
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
    lay_out(figure, "Epoch", unit)
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
