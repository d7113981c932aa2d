"""Analyse one section of a report: choice, effects, histories, predictions, significance, advice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from twinner.evaluation.significance import Comparison, Interval, compare, correct, f1_interval
from twinner.report.advice import Advice, advise
from twinner.report.choice import OtherChoice, is_on_dev, other_choice, warnings_about
from twinner.report.commands import rerun_command
from twinner.report.error_analysis import Slice, score_slices
from twinner.report.predictions import Evidence, read_evidence
from twinner.report.sections import Section, rank_on_dev
from twinner.report.settings import Setting
from twinner.report.sweeps import Effect, parameter_effects
from twinner.tracking.read import environment_manager, read_histories
from twinner.tracking.run import History, Run

CURVES = ("ner.losses", "dev_token_f1", "dev_f1")
TOP = 2  # settings whose predictions are shown, besides the best of each framework
MAX_RUNS = 40  # with learning curves and comparisons; a SQLite store scans the metric of all runs for each history
DEV_LABEL = "dev/f1_"  # begins the name of a label's F1 on dev


@dataclass(frozen=True)
class Findings:
    """A section and what its runs' histories and artifacts show.

    command: repeats the winner's best run; empty if unknown. first: the best settings, whose histories and predictions
    were read. top: the best runs of those whose errors are shown, the winner's first. intervals: of mean test F1, by
    setting. comparisons: of the winner with each of the first settings, by that setting; corrected for their number.
    """

    section: Section
    command: str
    effects: Sequence[Effect]
    other: OtherChoice | None
    warnings: Sequence[str]
    first: Sequence[Setting] = ()
    top: Sequence[Run] = ()
    histories: History = field(default_factory=dict)
    evidence: Evidence = field(default_factory=lambda: Evidence({}, {}, {}))
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    slices: Sequence[Slice] = ()
    advice: Sequence[Advice] = ()


def analyse(section: Section, deep: bool = True) -> Findings:
    """Analyse a section; deep: also read the histories and the predictions of its best settings."""
    winner = section.winner
    command = rerun_command(winner.best, environment_manager(winner.best)) if winner else ""
    effects = parameter_effects(section.settings, section.metric)
    choice = other_choice(section), warnings_about(section)
    if not (deep and winner):
        return Findings(section, command, effects, *choice)
    by_dev = section if is_on_dev(section.metric) else rank_on_dev(section)
    suggested = [setting.best for setting in by_dev.best_by_framework.values()]
    first = _first_settings(section.settings, MAX_RUNS)
    drawn = [run for setting in first for run in setting.runs]
    histories = read_histories(list({run.id: run for run in (*drawn, *suggested)}.values()), CURVES)
    shown = {setting.id: setting for setting in (*section.settings[:TOP], *section.best_by_framework.values())}
    top = [setting.best for setting in section.settings if setting.id in shown]
    counted = {run.id: run for setting in (*shown.values(), *first) for run in setting.runs}
    evidence = read_evidence(top, [run for run in counted.values() if run not in top])
    counts = {
        setting.id: found
        for setting in {one.id: one for one in (*first, *shown.values())}.values()
        if (found := [evidence.counts[run.id] for run in setting.runs if run.id in evidence.counts])
    }
    slices = score_slices(evidence.predictions)
    return Findings(
        section,
        command,
        effects,
        *choice,
        first,
        top,
        histories,
        evidence,
        {setting: interval for setting in shown if setting in counts and (interval := f1_interval(counts[setting]))},
        _compare(winner, counts),
        slices,
        _advice(by_dev, histories),
    )


def _compare(winner: Setting, counts: Mapping[str, Sequence[NDArray[np.int64]]]) -> dict[str, Comparison]:
    """Compare the winner with every other setting; counts: of their seeds' predictions, by setting."""
    if winner.id not in counts:
        return {}
    return correct({one: compare(counts[winner.id], of_it) for one, of_it in counts.items() if one != winner.id})


def _advice(by_dev: Section, histories: History) -> list[Advice]:
    """Return what to try next, from a section that is ranked on dev."""
    if by_dev.winner is None:
        return []
    managers = {one.id: environment_manager(one.best) for one in by_dev.best_by_framework.values()}
    if by_dev.runner_up and by_dev.runner_up.id not in managers:
        managers[by_dev.runner_up.id] = environment_manager(by_dev.runner_up.best)
    return advise(by_dev, histories, _label_scores(by_dev.winner), managers)


def _label_scores(winner: Setting) -> dict[str, float]:
    """Return the mean F1 on dev by label, of the epochs whose models were kept."""
    names = sorted({name for run in winner.runs for name in run.metrics if name.startswith(DEV_LABEL)})
    histories = read_histories(winner.runs, names)
    kept = {run.id: run.score("best_epoch") for run in winner.runs}
    scores: dict[str, list[float]] = {}
    for (run_id, name), points in histories.items():
        scores.setdefault(name.removeprefix(DEV_LABEL), []).extend(f1 for epoch, f1 in points if epoch == kept[run_id])
    return {label: mean(values) for label, values in scores.items() if values}


def _first_settings(settings: Sequence[Setting], max_runs: int) -> list[Setting]:
    """Return the first settings that together have at most `max_runs` runs, but at least two, if there are two."""
    first: list[Setting] = []
    runs = 0
    for setting in settings:
        runs += len(setting.runs)
        if len(first) >= TOP and runs > max_runs:
            break
        first.append(setting)
    return first
