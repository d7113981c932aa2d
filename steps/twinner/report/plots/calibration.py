"""Plot the confidence of models: is it right, and what does a threshold on it keep?"""

from collections.abc import Mapping

import plotly.graph_objects as go

from twinner.evaluation.calibration import Calibration
from twinner.report.plots.style import Marks, Plot, escape, lay_out


def draw_calibration(found: Mapping[str, Calibration], marks: Marks) -> list[Plot]:
    """Plot the reliability diagram, and precision and recall by threshold. found: of one run, by framework."""
    return [_reliability(found, marks), _thresholds(found, marks)] if found else []


def _reliability(found: Mapping[str, Calibration], marks: Marks) -> Plot:
    figure = go.Figure()
    figure.add_scatter(
        name="as sure as right",
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": "#8a8a8a", "width": 2, "dash": "dot"},
        hoverinfo="skip",
    )
    summaries = []
    for framework, calibration in found.items():
        mark = marks[framework]
        bins = [one for one in calibration.bins if one.count]
        figure.add_scatter(
            name=escape(mark.title),
            x=[one.confidence for one in bins],
            y=[one.right for one in bins],
            customdata=[one.count for one in bins],
            mode="lines+markers",
            line={"color": mark.colour, "dash": mark.dash, "width": 2.5},
            marker={"color": mark.colour, "symbol": mark.symbol, "size": 9},
            hovertemplate="sure to %{x:.3f}, right in %{y:.3f} of %{customdata:,} entities<extra></extra>",
        )
        count = sum(one.count for one in bins)
        sure = sum(one.count * one.confidence for one in bins) / max(1, count)
        right = sum(one.count * one.right for one in bins) / max(1, count)
        tendency = f"sure to {sure:.3f} on average, right in {right:.3f}"
        summaries.append(f"{mark.title}: expected calibration error {calibration.error:.3f}, {tendency}")
    lay_out(figure, "Confidence", "Share of entities that are right")
    figure.update_xaxes(range=[0, 1.02])
    figure.update_yaxes(range=[-0.04, 1.04])
    return Plot("Is the confidence right?", f"The best run on test. {'; '.join(summaries)}.", figure)


def _thresholds(found: Mapping[str, Calibration], marks: Marks) -> Plot:
    figure = go.Figure()
    summaries = []
    for framework, calibration in found.items():
        mark = marks[framework]
        thresholds = calibration.thresholds[:-1]  # from a confidence of 1 next to nothing is left
        x = [one.confidence for one in thresholds]
        for name, values, width in (
            ("precision", [one.precision for one in thresholds], 3.5),
            ("recall", [one.recall for one in thresholds], 1.5),
        ):
            figure.add_scatter(
                name=f"{escape(mark.title)}, {name}",
                x=x,
                y=values,
                mode="lines",
                line={"color": mark.colour, "dash": mark.dash, "width": width},
                hovertemplate=f"from %{{x:.2f}}: {name} %{{y:.3f}}<extra></extra>",
            )
        half = thresholds[len(x) // 2]
        summaries.append(
            f"{mark.title}: precision {half.precision:.3f}, recall {half.recall:.3f} from a confidence of "
            f"{half.confidence:.2f}"
        )
    lay_out(figure, "Least confidence of the entities that are kept", "Precision, recall", legend_rows=len(found))
    figure.update_xaxes(range=[0, 1.02])
    lowest = min(min(one.precision, one.recall) for each in found.values() for one in each.thresholds[:-1])
    figure.update_yaxes(range=[max(0, lowest - 0.05), 1.02])
    return Plot("What a threshold keeps", f"{'; '.join(summaries)}.", figure)
