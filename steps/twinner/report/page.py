"""Build the report page: which setting won, by how much, why, and what to try next."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from twinner.evaluation.calibration import Calibration
from twinner.evaluation.mistakes import KINDS
from twinner.pages.rendering import render
from twinner.report import plots
from twinner.report.choice import TOLD, is_on_dev, is_on_test, told_metric
from twinner.report.error_analysis import count_by_kind, differing_sentences, find_disagreements, frequent_confusions
from twinner.report.findings import CURVES, Findings, analyse
from twinner.report.plots import MAX_PLOTTED, Mark, Plot, marks_of
from twinner.report.sections import MAX_COLUMNS, Section, find_sections
from twinner.report.selection import Selection
from twinner.report.settings import Setting
from twinner.report.summary import markdown, runs_csv, summary_json
from twinner.report.sweeps import find_sweeps
from twinner.terminal import one_line
from twinner.tracking.address import link_to_run
from twinner.tracking.ranking import CHOICE, LOWER_IS_BETTER, by_epoch_metric, kept_epoch_metric
from twinner.tracking.run import Run

TEMPLATES = Path(__file__).parent / "templates"
MAX_DETAILED = 6  # sections with plots and errors, those with the most runs; the others are tables only
ON_PAPER = ("Run", "Parameters", "Ranked by", "Test scores")  # groups of columns that are printed, the first ones
MAX_FAILURES = 50  # whose messages are shown
MAX_LISTED = 20  # names of runs in a note
MIN_MENTIONS = 30  # of a label in test, for its score to mean much


@dataclass(frozen=True)
class Report:
    """A report: the page, the same as JSON (`summary`), CSV (`runs`) and for a terminal (`markdown`).

    runs_count: the runs covered. winner: the best run of the winning setting of the section with the most runs.
    """

    html: str
    summary: str
    runs: str
    markdown: str
    runs_count: int
    winner: Run


def build_report(
    selection: Selection | None = None,
    experiments: str = "",
    filter: str = "",
    metric: str = CHOICE,
    log_text: bool = True,
) -> Report:
    """Build the report from the training runs in MLflow.

    selection: by drop_rate, epochs, lr and sweep; None: all. experiments: comma-separated names or ids, empty: the
    current one. filter: in MLflow's search syntax. metric: ranks the settings, by its mean over their seeds; for a
    score of each epoch on dev (`dev_f1`) that of the epoch whose model was kept. log_text: whether sentences that the
    runs logged may be shown.
    Raises BadInput if there is nothing to report, or for an invalid experiment, filter, selection or metric.
    """
    selection = selection or Selection()
    ranked_by = kept_epoch_metric(metric)
    sections = find_sections(selection, experiments, filter, metric)
    runs = [run for section in sections for run in section.runs]
    findings = [analyse(section, deep=number < MAX_DETAILED) for number, section in enumerate(sections)]
    winner = sections[0].winner
    assert winner is not None
    title = _title(sections[0], winner)
    counts = _counts(runs)
    marks = marks_of(run.framework for run in runs)
    html = render(
        TEMPLATES / "report.html.j2",
        scripts=[get_plotlyjs(), (TEMPLATES / "report.js").read_text(encoding="utf-8")],
        title=title,
        counts=counts,
        selected={name: text for name, text in {**vars(selection), "filter": filter}.items() if text.strip()},
        marks=marks,
        dark_colours={mark.colour: mark.dark_colour for mark in marks.values()},
        views=[_view(one, number, log_text, marks) for number, one in enumerate(findings, 1)],
        max_failures=MAX_FAILURES,
        created=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=version("mlflow"),
    )
    return Report(
        html=html,
        summary=summary_json(title, ranked_by, findings),
        runs=runs_csv(findings),
        markdown=markdown(title, counts, findings),
        runs_count=len(runs),
        winner=winner.best,
    )


def _title(section: Section, winner: Setting) -> str:
    leader = winner.framework or winner.best.label
    corpus = winner.best.corpus
    where = f"on {corpus}" if corpus else f"in {section.experiment}" if section.experiment else ""
    told = told_metric(section)
    score = f"{told} {_value(winner, told)}"
    how = f" with {score}" if told == section.metric else f", chosen on dev: {score}"
    return one_line(f"{leader} leads {where}".rstrip() + how)


def _view(found: Findings, number: int, log_text: bool, marks: Mapping[str, Mark]) -> dict[str, Any]:
    """Return what the template shows of one section."""
    section = found.section
    groups = [(name, len(list(group))) for name, group in groupby(section.columns, lambda column: column.group)]
    printed = [width for name, width in groups if name in ON_PAPER]
    told = told_metric(section)
    return {
        "number": number,
        "section": section,
        "findings": found,
        "metric_note": _metric_note(section.metric),
        "chosen_on": "dev" if is_on_dev(section.metric) else "test" if is_on_test(section.metric) else "",
        "told": told,
        "corpora": sorted({run.corpus for run in section.runs} - {""}),
        "rivals": _rivals(section),
        "settings": section.settings[: max(len(found.first), MAX_LISTED)] if len(section.settings) > 1 else [],
        "measures": list(dict.fromkeys([section.metric, *([] if section.metric in LOWER_IS_BETTER else [TOLD])])),
        "sweeps": find_sweeps(section),
        "groups": groups,
        "printed": 2 + sum(printed),  # rank and name come first
        "printed_groups": len(printed),
        "links": {run.id: link for run in section.runs if (link := link_to_run(run.experiment_id, run.id))},
        "plots": [_embed(plot) for plot in _draw_plots(found, marks)],
        "notes": _notes(found, log_text),
        "value": _value,
        "errors": _errors(found, log_text, marks),
    }


def _metric_note(metric: str) -> str:
    by_epoch = by_epoch_metric(metric)
    return f" ({by_epoch} of the epoch whose model was kept)" if by_epoch != metric else ""


def _draw_plots(found: Findings, marks: Mapping[str, Mark]) -> list[Plot]:
    section = found.section
    if not found.top:
        return []
    return [
        *plots.draw_learning_curves(section, found.first, found.histories, marks),
        *plots.draw_cost(section, marks),
        *plots.draw_effects(section, found.effects, marks),
        *plots.draw_parallel_coordinates(section, found.effects, marks),
        *plots.draw_label_scores(section, found.evidence.support, marks),
        *plots.draw_calibration(_calibrations(found), marks),
    ]


def _calibrations(found: Findings) -> dict[str, Calibration]:
    """Return the calibration of the best run of each framework."""
    best: dict[str, Calibration] = {}
    for run in found.top:
        if run.id in found.evidence.calibrations:
            best.setdefault(run.framework, found.evidence.calibrations[run.id])
    return best


def _errors(found: Findings, log_text: bool, marks: Mapping[str, Mark]) -> dict[str, Any]:
    """Return what the template shows of the errors; empty without predictions."""
    predictions = found.evidence.predictions
    if not predictions:
        return {}
    runs = [run for run in found.top if run.id in predictions]
    matrices = [plots.draw_confusion_matrix(run, predictions[run.id], marks[run.framework]) for run in runs[:2]]
    differing, shown = 0, []
    if len(runs) > 1:
        first, second = (predictions[run.id] for run in runs[:2])
        differing = len(differing_sentences(first, second))
        shown = find_disagreements(first, second) if log_text else []
    counts = count_by_kind(predictions)
    best = predictions[runs[0].id]
    return {
        "runs": runs,
        "kinds": [(kind, meaning, {run.id: counts[run.id][kind] for run in runs}) for kind, meaning in KINDS.items()],
        "correct": {run.id: int(predictions[run.id].counts[:, 0].sum()) for run in runs},
        "gold": sum(map(len, best.gold_entities)),
        "sentences": len(best.gold),
        "confusions": frequent_confusions(predictions),
        "slices": found.slices,
        "plots": [_embed(plot) for plot in matrices if plot],
        "differing": differing,
        "disagreements": shown,
        "shown_kinds": [kind for kind in KINDS if any(kind in one.kinds for one in shown)],
    }


def _notes(found: Findings, log_text: bool) -> list[str]:
    """Return a sentence about each thing that the section leaves out, and why."""
    section, evidence = found.section, found.evidence
    notes = []
    without = [run.label for run in section.unranked if run.status == "FINISHED"]
    if without and (section.digest or section.experiment):
        notes.append(f"Not ranked, as {section.metric} is missing or not finite: {_listed(without)}.")
    if not section.ranked:
        return notes
    if len(section.differing) > MAX_COLUMNS:
        shown = f"{MAX_COLUMNS} of {len(section.differing)}"
        notes.append(f"The table shows {shown} differing parameters; runs.csv has all.")
    if not found.top:
        return [*notes, f"Plots and errors are shown only for the {MAX_DETAILED} sections with the most runs."]
    if len(section.settings) > len(found.first):
        covered = f"the {len(found.first)} best of {len(section.settings)} settings"
        notes.append(f"The table of settings, the curves and the comparisons cover {covered}; runs.csv ranks all.")
    if len(section.ranked) > MAX_PLOTTED:
        notes.append(f"The other plots show the {MAX_PLOTTED} best runs; lines through means include all runs.")
    for curve in CURVES[:2]:
        drawn = [run for setting in found.first for run in setting.runs]
        without = [run.label for run in drawn if (run.id, curve) not in found.histories]
        if without:
            notes.append(f"No curve of {curve}, which was not logged, for: {_listed(without)}.")
    if not section.labels:
        notes.append("No scores by label: no run has metrics named test_f1_<LABEL>.")
    elif not evidence.support:
        notes.append("The number of mentions by label is unknown: no top run has it in entity_report.json.")
    notes += _rare_labels(section, evidence.support)
    names = {run.id: run.label for run in section.ranked}
    by_reason: dict[str, list[str]] = {}
    for identity, reason in evidence.lacking.items():
        by_reason.setdefault(reason, []).append(names[identity])
    for reason, labels in by_reason.items():
        notes.append(f"No interval, comparison or errors for {_listed(labels)}: it {reason}.")
    for run in found.top:
        if run.id in evidence.predictions and (logged := run.score("test_f1")) is not None:
            recomputed = evidence.predictions[run.id].f1
            if abs(logged - recomputed) > 0.0005:
                notes.append(f"{run.label} logged test_f1 {logged:.4f}, but its predictions give {recomputed:.4f}.")
    if len(evidence.predictions) > 1:
        if not log_text:
            notes.append("Sentences are not shown: log_text=no leaves the corpus's text out.")
        elif next(iter(evidence.predictions.values())).tokens is None:
            notes.append("Sentences are not shown: the runs did not log the corpus's text.")
    return notes


def _rare_labels(section: Section, support: Mapping[str, int]) -> list[str]:
    """Return a warning of labels with too few mentions in test for a reliable score, if there are any."""
    few = {label: support[label] for label in section.labels if support.get(label, MIN_MENTIONS) < MIN_MENTIONS}
    if not few:
        return []
    listed = ", ".join(f"{label} ({count})" for label, count in sorted(few.items(), key=lambda pair: pair[1]))
    rarest = min(few.values())
    step = f"; for the rarest, a single mention changes recall by {100 / rarest:.0f} points" if rarest else ""
    what = f"Do not rely on the test F1 of {len(few)} label{'s' if len(few) > 1 else ''}"
    return [f"{what}: test has fewer than {MIN_MENTIONS} mentions of {listed}{step}."]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


def _rivals(section: Section) -> list[tuple[str, Setting]]:
    """Return the settings to show beside the winner: the runner-up, and the best one of every other framework."""
    if section.runner_up is None:
        return []
    rivals = [("Runner-up", section.runner_up)]
    for framework, setting in section.best_by_framework.items():
        if setting not in (section.winner, section.runner_up):
            rivals.append((f"Best of {framework or 'the others'}", setting))
    return rivals


def _embed(plot: Plot) -> dict[str, Any]:
    """Return a plot for the template, its figure as plain JSON without `NaN`."""
    return {**vars(plot), "figure": json.loads(plot.figure.to_json())}


def _counts(runs: Sequence[Run]) -> str:
    """Return the number of runs, in all and by status."""
    states = [run.status for run in runs]
    parts = [f"{states.count(state)} {state.lower()}" for state in ["FINISHED", *sorted({*states} - {"FINISHED"})]]
    return f"{len(runs)} training run{'s' if len(runs) != 1 else ''}: {', '.join(parts)}"


def _value(setting: Setting, metric: str) -> str:
    """Return the mean of a metric over seeds, which at least one must have."""
    value = setting.mean(metric)
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.1f}" if abs(value) < 1e15 else f"{value:.4g}"
