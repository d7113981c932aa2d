"""Analyse one section of a report: settings, effects, histories, predictions, significance, advice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinner.evaluation.significance import Comparison, compare, f1_interval
from twinner.report.advice import Advice, advise
from twinner.report.error_analysis import Slice, score_slices
from twinner.report.predictions import Evidence, read_evidence
from twinner.report.sections import Section, rerun_command
from twinner.report.sweeps import Effect, Setting, group_by_setting, parameter_effects
from twinner.tracking.read import History, Run, environment_manager, read_histories

CURVES = ("ner.losses", "dev_token_f1", "dev_f1")
TOP = 2  # runs whose predictions are read, besides the best of each framework
MAX_CURVES = 40  # runs with learning curves; a SQLite store scans the metric of all runs for each history


@dataclass(frozen=True)
class Findings:
    """A section and what its runs' histories and artifacts show.

    command: repeats the winner; empty if unknown. top: the runs whose predictions were read, best first. settings: the
    ranked runs grouped by setting. drawn: the settings whose histories were read. intervals: of test F1, by run id.
    comparisons: of the winner with another run, by that run's id.
    """

    section: Section
    command: str
    top: Sequence[Run]
    settings: Sequence[Setting]
    drawn: Sequence[Setting]
    effects: Sequence[Effect]
    histories: History
    evidence: Evidence
    intervals: Mapping[str, tuple[float, float]]
    comparisons: Mapping[str, Comparison]
    slices: Sequence[Slice]
    advice: Sequence[Advice]


def analyse(section: Section, deep: bool = True) -> Findings:
    """Analyse a section; deep: also read the histories of its best settings and the predictions of its top runs."""
    winner = section.winner
    command = rerun_command(winner, environment_manager(winner)) if winner else ""
    settings = group_by_setting(section.ranked)
    effects = parameter_effects(section.ranked, section.metric)
    if not (deep and winner):
        return Findings(section, command, [], settings, [], effects, {}, Evidence({}, {}, {}), {}, {}, [], [])
    drawn = _first_settings(settings, MAX_CURVES)
    histories = read_histories([run for setting in drawn for run in setting.runs], CURVES)
    wanted = {run.id for run in (*section.ranked[:TOP], *section.best_by_framework.values())}
    top = [run for run in section.ranked if run.id in wanted]
    evidence = read_evidence(top)
    counts = {run: found.counts for run, found in evidence.predictions.items()}
    intervals = {run: interval for run, of_run in counts.items() if (interval := f1_interval(of_run))}
    comparisons = {
        run: compare(counts[winner.id], of_run)
        for run, of_run in counts.items()
        if winner.id in counts and run != winner.id
    }
    slices = score_slices(evidence.predictions)
    advice = advise(section, histories, evidence, settings, effects, comparisons, slices)
    return Findings(
        section, command, top, settings, drawn, effects, histories, evidence, intervals, comparisons, slices, advice
    )


def _first_settings(settings: Sequence[Setting], max_runs: int) -> list[Setting]:
    """Return the first settings that together have at most `max_runs` runs, but at least one setting."""
    first: list[Setting] = []
    runs = 0
    for setting in settings:
        runs += len(setting.runs)
        if first and runs > max_runs:
            break
        first.append(setting)
    return first
