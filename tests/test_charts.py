import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from twinner.charts import draw_confusion, draw_training_charts

NAMES = ("loss.jpg", "precrecf1.jpg", "macromicroavg.jpg")


def epochs(count: int) -> tuple[list[float], list[dict[str, float]]]:
    """Return losses and scores of `count` epochs with falling loss and rising scores."""
    scores = [
        {
            "dev_token_precision": 1 - 0.5 / number,
            "dev_token_recall": 1 - 0.7 / number,
            "dev_token_f1": 1 - 0.6 / number,
            "dev/token_macro_f1": 1 - 0.8 / number,
        }
        for number in range(1, count + 1)
    ]
    return [100 / number for number in range(1, count + 1)], scores


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Record the saved figures by file name; they are still written."""
    figures: dict[str, Any] = {}
    save = Figure.savefig

    def record_and_save(figure: Figure, file: Path, **options: Any) -> None:
        figures[file.name] = figure
        save(figure, file, **options)

    monkeypatch.setattr(Figure, "savefig", record_and_save)
    return figures


def overlapping(figure: Any) -> list[tuple[str, str]]:
    """Return the pairs of overlapping texts of a figure, and the texts that reach beyond its edge."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    not_drawn = {  # matplotlib keeps labels of ticks outside the axes, but does not draw them
        tick.label1
        for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text not in not_drawn]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts if text.get_visible()]
    found = []
    for place, (words, box) in enumerate(boxes):
        if box.x0 < -1 or box.y0 < -1 or box.x1 > figure.bbox.x1 + 1 or box.y1 > figure.bbox.y1 + 1:
            found.append((words, "the edge"))
        found += [(words, other) for other, others in boxes[place + 1 :] if box.padded(-1).overlaps(others)]
    return found


@pytest.mark.parametrize("count", [1, 10, 100])
def test_curves_show_epoch_values(tmp_path: Path, drawn: dict[str, Any], count: int) -> None:
    draw_training_charts(*epochs(count), tmp_path, "spaCy on demo", best_epoch=1)
    for name in NAMES:
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "JPEG"
            assert min(picture.size) > 600
    lines = {name: {line.get_label(): line for line in figure.axes[0].lines} for name, figure in drawn.items()}
    x, y = lines["loss.jpg"]["Training loss"].get_data()
    assert list(x) == list(range(1, count + 1))
    assert list(y) == [100 / number for number in range(1, count + 1)]
    assert lines["precrecf1.jpg"].keys() == {"Best epoch: 1", "Precision", "Recall", "F1"}
    assert lines["precrecf1.jpg"]["Recall"].get_ydata()[0] == pytest.approx(0.3)
    assert lines["macromicroavg.jpg"]["Macro average"].get_ydata()[0] == pytest.approx(0.2)
    assert lines["macromicroavg.jpg"]["Micro average"].get_ydata()[0] == pytest.approx(0.4)


@pytest.mark.parametrize("count", [1, 10, 100])
def test_curve_texts_do_not_overlap(tmp_path: Path, drawn: dict[str, Any], count: int) -> None:
    draw_training_charts(*epochs(count), tmp_path, "a long title of a run with $ signs ^ in it " * 9, best_epoch=count)
    assert {name: overlapping(figure) for name, figure in drawn.items()} == {name: [] for name in NAMES}


def test_lines_differ_in_colour_marker_and_dashes(tmp_path: Path, drawn: dict[str, Any]) -> None:
    draw_training_charts(*epochs(3), tmp_path, "run", best_epoch=2)
    lines = drawn["precrecf1.jpg"].axes[0].lines
    assert len({line.get_color() for line in lines}) == 4
    assert len({line.get_linestyle() for line in lines}) == 4
    assert len({line.get_marker() for line in lines}) == 4


def test_missing_scores_leave_a_gap(tmp_path: Path, drawn: dict[str, Any]) -> None:
    draw_training_charts([float("nan")], [{}], tmp_path, "run", best_epoch=1)
    assert np.isnan(drawn["precrecf1.jpg"].axes[0].lines[1].get_ydata()).all()


def test_confusion_counts_tokens_by_type(tmp_path: Path, drawn: dict[str, Any]) -> None:
    gold = ["B-PER", "I-PER", "O", "B-LOC", "O", "O"]
    predicted = ["B-PER", "B-PER", "O", "B-PER", "I-LOC", "O"]
    draw_confusion(gold, predicted, tmp_path / "confusion.png", "run")
    axes = drawn["confusion.png"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["LOC", "PER", "O"]
    cells = {tuple(map(int, text.get_position()[::-1])): text.get_text() for text in axes.texts}
    # LOC taken for PER once; PER correct twice (B- and I- count as one type); O taken for LOC once, correct twice.
    assert cells == {(0, 1): "1", (1, 1): "2", (2, 0): "1", (2, 2): "2"}
    assert axes.images[0].get_array().tolist() == [[0, 1, 0], [0, 1, 0], [1 / 3, 0, pytest.approx(2 / 3)]]


@pytest.mark.parametrize("name", ["T{}", "$a_rather\\long^label_name_{}"])
@pytest.mark.parametrize("count", [1, 5, 20, 40])
def test_confusion_texts_do_not_overlap(tmp_path: Path, drawn: dict[str, Any], count: int, name: str) -> None:
    draw = random.Random(0)
    labels = [f"B-{name.format(number)}" for number in range(count)]
    gold = [*labels, *draw.choices(labels, k=3000), *["O"] * 200_000]
    predicted = [*labels, *draw.choices(labels, k=3000), *["O"] * 200_000]
    draw_confusion(gold, predicted, tmp_path / "confusion.png", "a long title " * 20)
    assert overlapping(drawn["confusion.png"]) == []


def test_missing_glyphs_do_not_warn(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    draw_confusion(["B-药"], ["O"], tmp_path / "confusion.png", "病人")
    assert not recwarn.list
