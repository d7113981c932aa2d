"""The plots of a report."""

from twinner.report.plots.calibration import draw_calibration
from twinner.report.plots.learning_curves import draw_learning_curves
from twinner.report.plots.parameters import draw_effects, draw_parallel_coordinates
from twinner.report.plots.scores import draw_confusion_matrix, draw_cost, draw_label_scores
from twinner.report.plots.style import MAX_PLOTTED, Mark, Plot, marks_of

__all__ = [
    "MAX_PLOTTED",
    "Mark",
    "Plot",
    "draw_calibration",
    "draw_confusion_matrix",
    "draw_cost",
    "draw_effects",
    "draw_label_scores",
    "draw_learning_curves",
    "draw_parallel_coordinates",
    "marks_of",
]
