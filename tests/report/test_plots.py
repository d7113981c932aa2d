"""Plots of runs chosen so that every value can be checked by hand."""

import pytest
from training_runs import run  # type: ignore[import-not-found]
from twinner.evaluation.calibration import calibration
from twinner.frameworks import FRAMEWORKS, Framework
from twinner.report.plots import (
    draw_calibration,
    draw_effects,
    draw_label_scores,
    draw_learning_curves,
    draw_parallel_coordinates,
)
from twinner.report.plots.style import OTHER_COLOURS, STYLES, escape, marks_of, shorten
from twinner.report.sections import split_into_sections
from twinner.report.sweeps import parameter_effects


def test_swept_parameter_that_no_plotted_run_has_is_left_out() -> None:
    """The best 500 runs lack `patience`, which only runs further down have."""
    top = [
        run(f"top {n}", 0.9, framework="sparknlp", params={"lr": f"{1 + n % 2}", "drop_rate": f"0.{1 + n % 3}"})
        for n in range(500)
    ]
    below = [run(f"below {n}", 0.5, params={"lr": "1", "patience": str(n)}) for n in range(2)]
    (section,) = split_into_sections([*top, *below], "test_f1")
    effects = parameter_effects(section.settings, "test_f1")
    assert "patience" in {effect.parameter for effect in effects}
    (plot,) = draw_parallel_coordinates(section, effects, marks_of(section.frameworks))
    assert list(plot.figure.layout.xaxis.ticktext) == ["drop_rate", "lr", "test_f1"]


def test_parameters_missing_from_some_runs_leave_gaps() -> None:
    runs = [
        run("a", 0.9, params={"lr": "1", "drop_rate": "0.1"}),
        run("b", 0.8, params={"lr": "2"}),
        run("c", 0.7, params={"lr": "3", "drop_rate": "0.3"}),
    ]
    (section,) = split_into_sections(runs, "test_f1")
    effects = parameter_effects(section.settings, "test_f1")
    (plot,) = draw_parallel_coordinates(section, effects, marks_of(section.frameworks))
    others = next(trace for trace in plot.figure.data if trace.name == "spaCy")
    assert list(others.y) == pytest.approx([None, 0.5, 0.5, None, 1, 1, 0, None])  # b, then c


def test_seeds_without_a_common_epoch_have_no_curve() -> None:
    runs = [run("a", 0.9, params={"seed": "0"}), run("b", 0.8, params={"seed": "1"})]
    (section,) = split_into_sections(runs, "test_f1")
    histories = {("a", "dev_f1"): [(1, 0.5)], ("b", "dev_f1"): [(2, 0.6)], ("a", "dev_token_f1"): [(1, 0.7)]}
    plots = draw_learning_curves(section, section.settings, histories, marks_of(section.frameworks))
    assert [plot.title for plot in plots] == ["Token F1 on dev by epoch"]


def test_continuous_sweep_is_drawn_without_means() -> None:
    runs = [run(f"{n}", n / 100, params={"lr": f"{n}"}) for n in range(1, 31)]
    (section,) = split_into_sections(runs, "test_f1")
    (plot,) = draw_effects(section, parameter_effects(section.settings, "test_f1"), marks_of(section.frameworks))
    assert [trace.name for trace in plot.figure.data] == ["spaCy, each run"]
    assert plot.summary == "spaCy: 30 values; best at 30."


def test_best_value_of_a_cost_is_the_lowest() -> None:
    runs = [run(f"{n}", metrics={"ner.losses": float(n)}, params={"lr": f"{n}"}) for n in (1, 2)]
    (section,) = split_into_sections(runs, "ner.losses")
    (plot,) = draw_effects(section, parameter_effects(section.settings, "ner.losses"), marks_of(section.frameworks))
    assert plot.summary.endswith("best at 1.")


def test_known_frameworks_look_the_same_on_every_page(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Framework("Toy", "#123456", "#abcdef", "toy", "toy", "toy", ())
    monkeypatch.setitem(FRAMEWORKS, "toy", toy)
    marks = marks_of(["spaCy", "", "<other>"])
    assert list(marks) == ["spaCy", "Spark NLP", "Toy", "", "<other>"]
    assert (marks["Toy"].colour, marks["Toy"].dark_colour) == ("#123456", "#abcdef")
    assert marks["Toy"] == marks_of(["Toy"])["Toy"]
    assert (marks["Toy"].dash, marks["Toy"].symbol, marks["Toy"].pattern) == STYLES[2]
    assert [(mark.colour, mark.dark_colour) for mark in (marks[""], marks["<other>"])] == list(OTHER_COLOURS)
    assert marks[""].title == "unknown framework"


def test_bars_of_three_frameworks_have_three_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FRAMEWORKS, "toy", Framework("Toy", "#123456", "#abcdef", "toy", "toy", "toy", ()))
    runs = [run(f"{f}", 0.5, framework=f, metrics={"test_f1_PER": 0.5}) for f in ("spacy", "sparknlp", "toy")]
    (section,) = split_into_sections(runs, "test_f1")
    (plot,) = draw_label_scores(section, {}, marks_of(section.frameworks))
    looks = {trace.name: (trace.marker.color, trace.marker.pattern.shape) for trace in plot.figure.data}
    assert len({pattern for _, pattern in looks.values()}) == 3
    assert looks["Toy: toy"][0] == "#123456"


def test_names_are_escaped_and_shortened() -> None:
    assert escape("<b>&\x1b\u202e") == r"&lt;b&gt;&amp;\x1b\u202e"
    assert shorten("w" * 33) == "w" * 31 + "…"


def test_calibration_is_drawn_where_there_are_entities() -> None:
    gold = [["B-PER"], ["O"], ["B-PER"]]
    found = calibration(gold, [["B-PER"], ["B-PER"], ["O"]], [[0.9], [0.3], []])
    reliability, thresholds = draw_calibration({"spaCy": found}, marks_of(["spaCy"]))
    _, line = reliability.figure.data
    assert list(line.x) == pytest.approx([0.3, 0.9])
    assert list(line.y) == [0, 1]
    assert list(line.customdata) == [1, 1]
    assert "expected calibration error 0.200, sure to 0.600 on average, right in 0.500" in reliability.summary
    precision, recall = thresholds.figure.data
    assert (precision.y[0], precision.y[50], recall.y[0], recall.y[-1]) == (0.5, 1, 0.5, 0)
    assert "precision 1.000, recall 0.500 from a confidence of 0.50" in thresholds.summary
    assert draw_calibration({}, {}) == []
