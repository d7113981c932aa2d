"""All that a report finds out about the runs of one test set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinner.evaluation.significance import Comparison, compare, f1_interval
from twinner.report.advice import Advice, advise
from twinner.report.curves import DRAWN
from twinner.report.predictions import Evidence, read_evidence
from twinner.report.sections import Section
from twinner.report.sweeps import Effect, Setting, effects_of, settings_of
from twinner.report.why import Slice, slices
from twinner.tracking.read import History, Run, read_histories

CURVES = ("ner.losses", "dev_token_f1", "dev_f1")
TOP = 2  # so many of the best runs have their predictions read, and the best of each framework


@dataclass(frozen=True)
class Study:
    """A section, and what its runs' histories and artifacts say.

    top: the runs whose predictions were looked at, best first. settings: the ranked runs by all but their seed.
    drawn: those of the settings that have histories. intervals: of test F1, by run id. comparisons: of the winner with
    another run, by that run's id.
    """

    section: Section
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


def study(section: Section, deep: bool = True) -> Study:
    """Look at a section: histories of its best settings, predictions of its top runs, nothing of the others.

    deep: no history and no artifact is read if it is not.
    """
    settings = settings_of(section.ranked)
    effects = effects_of(section.ranked, section.metric)
    if not (deep and section.ranked):
        return Study(section, [], settings, [], effects, {}, Evidence({}, {}, {}), {}, {}, [], [])
    drawn = _best(settings, DRAWN)
    histories = read_histories([run for setting in drawn for run in setting.runs], CURVES)
    wanted = {run.id for run in (*section.ranked[:TOP], *section.best_by_framework.values())}
    top = [run for run in section.ranked if run.id in wanted]
    evidence = read_evidence(top)
    counts = {run: found.counts for run, found in evidence.predictions.items()}
    intervals = {run: interval for run, of_run in counts.items() if (interval := f1_interval(of_run))}
    best = section.winner
    comparisons = {
        run: compare(counts[best.id], of_run)
        for run, of_run in counts.items()
        if best and best.id in counts and run != best.id
    }
    parts = slices(evidence.predictions)
    advice = advise(section, histories, evidence, settings, effects, comparisons, parts)
    return Study(section, top, settings, drawn, effects, histories, evidence, intervals, comparisons, parts, advice)


def _best(settings: Sequence[Setting], most: int) -> list[Setting]:
    """The first settings with at most so many runs in all, but one at least.

    Not more: a SQLite store answers each question for a history by reading that metric of all runs.
    """
    best: list[Setting] = []
    runs = 0
    for setting in settings:
        runs += len(setting.runs)
        if best and runs > most:
            break
        best.append(setting)
    return best
