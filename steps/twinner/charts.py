"""Charts of a training run: learning curves and the confusion matrix."""

import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import confusion_matrix

# Okabe and Ito's colour-blind-safe palette; markers and dashes keep the lines apart in greyscale.
BLUE, VERMILLION, GREEN, INK, PALE = "#0072B2", "#D55E00", "#009E73", "#333333", "#D9D9D9"
LINE_STYLES = ((BLUE, "o", "-"), (VERMILLION, "s", "--"), (GREEN, "^", ":"))
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a label may contain `$`
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "savefig.dpi": 150,
}
MAX_LABEL_LENGTH = 24  # characters; longer labels are shortened


def draw_training_charts(
    losses: Sequence[float], scores: Sequence[Mapping[str, float]], folder: Path, title: str, best_epoch: int
) -> None:
    """Write `loss.jpg`, `precrecf1.jpg` and `macromicroavg.jpg` to `folder`, which must exist.

    losses, scores: one entry per epoch (n >= 1), first epoch first; scores map metric names to dev scores, and a
    missing score leaves a gap. title: the name of the run. best_epoch: the epoch whose model was kept, counted from 1;
    a grey line marks it.
    """
    _draw_curves(
        {"Training loss": losses},
        folder / "loss.jpg",
        f"Loss by epoch\n{title}",
        "Loss (sum over the epoch)",
        best_epoch,
    )
    for file, heading, metrics in (
        (
            "precrecf1.jpg",
            "Token-level precision, recall and F1 on dev",
            {"Precision": "dev_token_precision", "Recall": "dev_token_recall", "F1": "dev_token_f1"},
        ),
        (
            "macromicroavg.jpg",
            "Token-level F1 on dev: micro and macro average",
            {"Micro average": "dev_token_f1", "Macro average": "dev/token_macro_f1"},
        ),
    ):
        curves = {name: [epoch.get(metric, np.nan) for epoch in scores] for name, metric in metrics.items()}
        _draw_curves(curves, folder / file, f"{heading}\n{title}", "Score on dev (0 to 1)", best_epoch)


def draw_confusion(gold_tags: Sequence[str], predicted_tags: Sequence[str], file: Path, title: str) -> None:
    """Write the confusion matrix of the entity types, one row per gold type and one column per predicted type.

    gold_tags, predicted_tags: the BIO tags of all n >= 1 tokens in the same order; B- and I- count as one type.
    Cells show token counts (blank for 0), colours the share of the row. Types are sorted, with `O` last.
    """
    gold, predicted = ([tag if tag == "O" else tag[2:] for tag in tags] for tags in (gold_tags, predicted_tags))
    types = [*sorted({*gold, *predicted} - {"O"}), "O"]
    counts = confusion_matrix(gold, predicted, labels=types)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [_shorten_middle(name) for name in types]
    digits = max(4, len(str(counts.max())))
    cell = max(0.34, 0.095 * digits)  # inches; wide enough for the longest count
    width = max(4.0, cell * len(types))
    height = max(3.0, 0.34 * len(types))
    with _chart_style():
        figure = Figure(figsize=(width + 2.6, height + 2.2), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.55 else INK
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=9, color=colour)
        axes.set_xticks(range(len(types)), names, rotation=0 if _fit_side_by_side(names, width) else 90)
        axes.set_yticks(range(len(types)), names)
        axes.set_xticks(np.arange(len(types) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(types) + 1) - 0.5, minor=True)
        axes.grid(visible=False, which="major")
        axes.grid(visible=True, which="minor", color=PALE)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("Predicted type")
        axes.set_ylabel("Gold type")
        figure.suptitle(_wrap_title(f"Confusion matrix: tokens by type\n{title}", width + 2.6), fontweight="bold")
        figure.colorbar(image, ax=axes, label="Share of the gold type's tokens", fraction=0.05, pad=0.02)
        figure.savefig(file)


def _draw_curves(curves: Mapping[str, Sequence[float]], file: Path, title: str, unit: str, best_epoch: int) -> None:
    """Plot named curves of n values each, one value per epoch."""
    numbers = range(1, 1 + len(next(iter(curves.values()))))
    with _chart_style():
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes: Axes = figure.add_subplot()
        axes.axvline(best_epoch, color="#767676", linewidth=1.2, linestyle="-.", label=f"Best epoch: {best_epoch}")
        for (name, values), (colour, marker, dashes) in zip(curves.items(), LINE_STYLES, strict=False):
            every = max(1, len(numbers) // 20)  # more markers would hide the line
            axes.plot(
                numbers,
                values,
                dashes,
                color=colour,
                marker=marker,
                markevery=every,
                markersize=6,
                linewidth=2,
                label=name,
            )
        axes.set_xlim(min(numbers) - 0.5, max(numbers) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12, min_n_ticks=1))
        axes.margins(y=0.08)
        axes.set_xlabel("Epoch")
        axes.set_ylabel(unit)
        axes.set_title(_wrap_title(title, 8), loc="left")
        # Below the axes, where no curve can cross it.
        figure.legend(loc="outside lower center", ncols=len(curves) + 1)
        figure.savefig(file, pil_kwargs={"quality": 92})


@contextmanager
def _chart_style() -> Iterator[None]:
    """Apply the shared style and silence warnings about missing glyphs, which are drawn as boxes."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def _shorten_middle(label: str) -> str:
    """Cut the middle out of a long label: related labels often differ only at the end."""
    half = MAX_LABEL_LENGTH // 2
    return label if len(label) <= MAX_LABEL_LENGTH else f"{label[: half - 1]}…{label[-half:]}"


def _fit_side_by_side(names: Sequence[str], width: float) -> bool:
    """Whether horizontal tick labels fit into `width` inches (a letter is at most 0.13 inches wide)."""
    return max(map(len, names)) * 0.13 < width / len(names)


def _wrap_title(title: str, width: float) -> str:
    """Wrap the title to `width` inches and keep at most three lines."""
    lines = [line for part in title.splitlines() for line in textwrap.wrap(part, int(width * 8))]
    return "\n".join(lines[:3])
