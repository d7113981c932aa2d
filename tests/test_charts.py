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
    """The losses and scores of epochs whose loss falls and whose scores rise."""
    scores = [
        {
            "dev_token_precision": 1 - 0.5 / number,
            "dev_token_recall": 1 - 0.7 / number,
            "dev_token_f1": 1 - 0.6 / number,
            "dev_token_macro_f1": 1 - 0.8 / number,
        }
        for number in range(1, count + 1)
    ]
    return [100 / number for number in range(1, count + 1)], scores


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The figures that were saved, by the name of their file; they are saved all the same."""
    figures: dict[str, Any] = {}
    save = Figure.savefig

    def note(figure: Figure, file: Path, **options: Any) -> None:
        figures[file.name] = figure
        save(figure, file, **options)

    monkeypatch.setattr(Figure, "savefig", note)
    return figures


def overlapping(figure: Any) -> list[tuple[str, str]]:
    """The pairs of texts of a figure that lie upon one another, and what reaches over the edge."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    beyond = {  # matplotlib keeps the labels of ticks outside of the axes, and does not draw them
        tick.label1
        for axis in [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text not in beyond]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts if text.get_visible()]
    found = []
    for place, (words, box) in enumerate(boxes):
        if box.x0 < -1 or box.y0 < -1 or box.x1 > figure.bbox.x1 + 1 or box.y1 > figure.bbox.y1 + 1:
            found.append((words, "the edge"))
        found += [(words, other) for other, others in boxes[place + 1 :] if box.padded(-1).overlaps(others)]
    return found


@pytest.mark.parametrize("count", [1, 10, 100])
def test_the_curves_hold_the_values_of_the_epochs(tmp_path: Path, drawn: dict[str, Any], count: int) -> None:
    draw_training_charts(*epochs(count), tmp_path, "spaCy on demo", best_epoch=1)
    for name in NAMES:
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "JPEG"
            assert min(picture.size) > 600
    lines = {name: {line.get_label(): line for line in figure.axes[0].lines} for name, figure in drawn.items()}
    x, y = lines["loss.jpg"]["Loss on train"].get_data()
    assert list(x) == list(range(1, count + 1))
    assert list(y) == [100 / number for number in range(1, count + 1)]
    assert lines["precrecf1.jpg"].keys() == {"Best epoch: 1", "Precision", "Recall", "F1"}
    assert lines["precrecf1.jpg"]["Recall"].get_ydata()[0] == pytest.approx(0.3)
    assert lines["macromicroavg.jpg"]["Macro average"].get_ydata()[0] == pytest.approx(0.2)
    assert lines["macromicroavg.jpg"]["Micro average"].get_ydata()[0] == pytest.approx(0.4)


@pytest.mark.parametrize("count", [1, 10, 100])
def test_no_words_of_the_curves_lie_upon_others(tmp_path: Path, drawn: dict[str, Any], count: int) -> None:
    draw_training_charts(*epochs(count), tmp_path, "a long title of a run with $ signs ^ in it " * 9, best_epoch=count)
    assert {name: overlapping(figure) for name, figure in drawn.items()} == {name: [] for name in NAMES}


def test_lines_differ_in_marker_and_dashes_too(tmp_path: Path, drawn: dict[str, Any]) -> None:
    draw_training_charts(*epochs(3), tmp_path, "run", best_epoch=2)
    lines = drawn["precrecf1.jpg"].axes[0].lines
    assert len({line.get_color() for line in lines}) == 4
    assert len({line.get_linestyle() for line in lines}) == 4
    assert len({line.get_marker() for line in lines}) == 4


def test_scores_that_an_epoch_lacks_leave_a_gap(tmp_path: Path, drawn: dict[str, Any]) -> None:
    draw_training_charts([float("nan")], [{}], tmp_path, "run", best_epoch=1)
    assert np.isnan(drawn["precrecf1.jpg"].axes[0].lines[1].get_ydata()).all()


def test_the_confusion_counts_tokens_by_type(tmp_path: Path, drawn: dict[str, Any]) -> None:
    gold = ["B-PER", "I-PER", "O", "B-LOC", "O", "O"]
    predicted = ["B-PER", "B-PER", "O", "B-PER", "I-LOC", "O"]
    draw_confusion(gold, predicted, tmp_path / "confusion.png", "run")
    axes = drawn["confusion.png"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["LOC", "PER", "O"]
    cells = {tuple(map(int, text.get_position()[::-1])): text.get_text() for text in axes.texts}
    # LOC taken for PER once; PER twice right, whatever B- and I-; O once for LOC, twice right.
    assert cells == {(0, 1): "1", (1, 1): "2", (2, 0): "1", (2, 2): "2"}
    assert axes.images[0].get_array().tolist() == [[0, 1, 0], [0, 1, 0], [1 / 3, 0, pytest.approx(2 / 3)]]


@pytest.mark.parametrize("name", ["T{}", "$a_rather\\long^label_name_{}"])
@pytest.mark.parametrize("count", [1, 5, 20, 40])
def test_no_words_of_the_confusion_lie_upon_others(
    tmp_path: Path, drawn: dict[str, Any], count: int, name: str
) -> None:
    draw = random.Random(0)
    labels = [f"B-{name.format(number)}" for number in range(count)]
    gold = [*labels, *draw.choices(labels, k=3000), *["O"] * 200_000]
    predicted = [*labels, *draw.choices(labels, k=3000), *["O"] * 200_000]
    draw_confusion(gold, predicted, tmp_path / "confusion.png", "a long title " * 20)
    assert overlapping(drawn["confusion.png"]) == []


def test_letters_that_the_font_lacks_warn_nobody(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    draw_confusion(["B-药"], ["O"], tmp_path / "confusion.png", "病人")
    assert not recwarn.list
