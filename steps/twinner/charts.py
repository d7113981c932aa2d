"""The pictures that a training run leaves behind: curves by epoch, and which types were taken for which."""

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

# Okabe and Ito's colours stay apart for colour-blind eyes; markers and dashes keep the lines apart in grey print.
BLUE, VERMILLION, GREEN, INK, PALE = "#0072B2", "#D55E00", "#009E73", "#333333", "#D9D9D9"
LINES = ((BLUE, "o", "-"), (VERMILLION, "s", "--"), (GREEN, "^", ":"))
LOOK: dict[Any, Any] = {
    "text.parse_math": False,  # a label such as `$` is a label, not a formula
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
LONGEST_LABEL = 24  # characters of a label that a picture shows


def draw_training_charts(
    losses: Sequence[float], scores: Sequence[Mapping[str, float]], folder: Path, title: str, best_epoch: int
) -> None:
    """Write `loss.jpg`, `precrecf1.jpg` and `macromicroavg.jpg` to `folder`, which exists.

    losses, scores: those of n >= 1 epochs, from the first; scores are dev scores by metric name, and one that an
    epoch lacks leaves a gap. title: names the run. best_epoch: the epoch whose model was kept, counted from 1, which a
    grey line marks.
    """
    _draw_curves(
        {"Loss on train": losses},
        folder / "loss.jpg",
        f"Loss by epoch\n{title}",
        "Loss, summed over the epoch",
        best_epoch,
    )
    for file, heading, names in (
        (
            "precrecf1.jpg",
            "Tokens of dev: precision, recall and F1",
            {"Precision": "dev_token_precision", "Recall": "dev_token_recall", "F1": "dev_token_f1"},
        ),
        (
            "macromicroavg.jpg",
            "Tokens of dev: micro and macro average of F1",
            {"Micro average": "dev_token_f1", "Macro average": "dev_token_macro_f1"},
        ),
    ):
        curves = {name: [epoch.get(metric, np.nan) for epoch in scores] for name, metric in names.items()}
        _draw_curves(curves, folder / file, f"{heading}\n{title}", "Score on dev, from 0 to 1", best_epoch)


def draw_confusion(gold_tags: Sequence[str], predicted_tags: Sequence[str], file: Path, title: str) -> None:
    """Write a picture of which entity type each token was taken for: a row a gold type, a column a predicted one.

    gold_tags, predicted_tags: the BIO tags of all n tokens, in the same order, n >= 1; B- and I- count as one type.
    Cells hold counts of tokens, none for 0; colours show the share of the row. Types are sorted, `O` is last.
    """
    gold, predicted = ([tag if tag == "O" else tag[2:] for tag in tags] for tags in (gold_tags, predicted_tags))
    types = [*sorted({*gold, *predicted} - {"O"}), "O"]
    counts = confusion_matrix(gold, predicted, labels=types)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [_shortened(name) for name in types]
    digits = max(4, len(str(counts.max())))
    cell = max(0.34, 0.095 * digits)  # inches: the widest count fits, whatever the number of types
    width = max(4.0, cell * len(types))
    height = max(3.0, 0.34 * len(types))
    with _look():
        figure = Figure(figsize=(width + 2.6, height + 2.2), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.55 else INK
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=9, color=colour)
        axes.set_xticks(range(len(types)), names, rotation=0 if _fits_flat(names, width) else 90)
        axes.set_yticks(range(len(types)), names)
        axes.set_xticks(np.arange(len(types) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(types) + 1) - 0.5, minor=True)
        axes.grid(visible=False, which="major")
        axes.grid(visible=True, which="minor", color=PALE)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("Predicted type")
        axes.set_ylabel("Gold type")
        figure.suptitle(_heading(f"Tokens by type: gold and predicted\n{title}", width + 2.6), fontweight="bold")
        figure.colorbar(image, ax=axes, label="Share of the gold type's tokens", fraction=0.05, pad=0.02)
        figure.savefig(file)


def _draw_curves(curves: Mapping[str, Sequence[float]], file: Path, title: str, unit: str, best_epoch: int) -> None:
    """Write a plot with one named line per curve, each of n values, one an epoch."""
    numbers = range(1, 1 + len(next(iter(curves.values()))))
    with _look():
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes: Axes = figure.add_subplot()
        axes.axvline(best_epoch, color="#767676", linewidth=1.2, linestyle="-.", label=f"Best epoch: {best_epoch}")
        for (name, values), (colour, marker, dashes) in zip(curves.items(), LINES, strict=False):
            every = max(1, len(numbers) // 20)  # a hundred markers would hide the line
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
        axes.set_title(_heading(title, 8), loc="left")
        # Below the axes, so that no line can run through it.
        figure.legend(loc="outside lower center", ncols=len(curves) + 1)
        figure.savefig(file, pil_kwargs={"quality": 92})


@contextmanager
def _look() -> Iterator[None]:
    """The one look of all pictures, without words about letters that the font lacks (they show as boxes)."""
    with mpl.rc_context(LOOK), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def _shortened(label: str) -> str:
    """The label, without its middle where it is long: names of a family often differ at the end alone."""
    half = LONGEST_LABEL // 2
    return label if len(label) <= LONGEST_LABEL else f"{label[: half - 1]}…{label[-half:]}"


def _fits_flat(names: Sequence[str], width: float) -> bool:
    """Whether the names fit side by side below `width` inches (a letter of this size is at most 0.13 inch wide)."""
    return max(map(len, names)) * 0.13 < width / len(names)


def _heading(title: str, width: float) -> str:
    """The title, its lines broken and cut to three so that they fit into `width` inches."""
    lines = [line for part in title.splitlines() for line in textwrap.wrap(part, int(width * 8))]
    return "\n".join(lines[:3])
