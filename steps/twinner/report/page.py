"""The report: one HTML page that says which training run won, by how much, why, and what to try next."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from twinner.evaluation.mistakes import KINDS
from twinner.pages.rendering import render
from twinner.report.choose import Choice
from twinner.report.curves import DRAWN, draw_curves
from twinner.report.figures import draw_confusion, draw_cost, draw_effects, draw_labels
from twinner.report.parallel import draw_parallel
from twinner.report.picture import PLOTTED, Picture
from twinner.report.sections import Section, command_again, sections_of
from twinner.report.study import CURVES, Study, study
from twinner.report.summary import markdown, runs_csv, summary_json
from twinner.report.why import confusions, differing_sentences, disagreements, kinds_by_run
from twinner.tracking.read import Run, check_metric, find_training_runs, link_to_run

TEMPLATES = Path(__file__).parent / "templates"
DETAILED = 6  # test sets that are looked into; those with fewer runs get their table alone
ON_PAPER = ("Run", "Parameters", "Ranked by", "Test scores")  # groups of columns, the first ones of the table
MOST_FAILURES = 50  # whose words are shown


@dataclass(frozen=True)
class Report:
    """A report: the page, and how many runs it covers, and the best run of the test set with the most runs.

    summary, runs: the same as JSON and CSV. markdown: for a terminal.
    """

    html: str
    summary: str
    runs: str
    markdown: str
    runs_count: int
    winner: Run


def build_report(
    choice: Choice | None = None,
    experiments: str = "",
    filter: str = "",
    metric: str = "test_f1",
    log_text: bool = True,
) -> Report:
    """Read the training runs from MLflow, which is all that is read, and build the page.

    choice: which drop_rate, epochs and lr; none: all. experiments: names or ids with commas between, empty: the current
    one. filter: in MLflow's search syntax. metric: what ranks the runs. log_text: whether sentences of the corpus may
    be shown, where the runs logged them.
    Raises BadInput if there is nothing to report on, and for an experiment, filter, choice or metric that can't be met.
    """
    found = find_training_runs(experiments, filter)
    runs = (choice or Choice()).of(found)
    check_metric(runs, metric)
    sections = sections_of(runs, metric)
    studies = [study(section, deep=number < DETAILED) for number, section in enumerate(sections)]
    winner = sections[0].winner
    assert winner is not None  # check_metric found a run that ranks
    chosen = {name: text for name, text in {**vars(choice or Choice()), "filter": filter}.items() if text.strip()}
    where = f" on {winner.corpus}" if winner.corpus else ""
    title = f"{winner.framework} leads{where} with {metric} {_value(winner, metric)}"
    html = render(
        TEMPLATES / "report.html.j2",
        scripts=[get_plotlyjs(), (TEMPLATES / "report.js").read_text(encoding="utf-8")],
        title=title,
        metric=metric,
        counts=_counts(runs),
        chosen=chosen,
        sections=[_view(one, number, log_text) for number, one in enumerate(studies, 1)],
        most_failures=MOST_FAILURES,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=version("mlflow"),
    )
    return Report(
        html=html,
        summary=summary_json(title, metric, studies),
        runs=runs_csv(studies),
        markdown=markdown(title, _counts(runs), studies),
        runs_count=len(runs),
        winner=winner,
    )


def _view(studied: Study, number: int, log_text: bool) -> dict[str, Any]:
    """What the template shows of one section."""
    section = studied.section
    groups = [(name, len(list(group))) for name, group in groupby(section.columns, lambda column: column.group)]
    on_paper = [width for name, width in groups if name in ON_PAPER]
    return {
        "number": number,
        "section": section,
        "study": studied,
        "corpora": sorted({run.corpus for run in section.runs} - {""}),
        "rivals": _rivals(section),
        "command": command_again(section.winner) if section.winner else "",
        "groups": groups,
        "printed": 2 + sum(on_paper),  # rank and name come first
        "printed_groups": len(on_paper),
        "links": {run.id: link for run in section.runs if (link := link_to_run(run))},
        "pictures": [_embedded(picture) for picture in _pictures(studied)],
        "seeds": [setting for setting in studied.settings if len(setting.runs) > 1][:DRAWN],
        "missing": _missing(studied, log_text),
        "value": lambda run: _value(run, section.metric),
        "why": _why(studied, log_text),
    }


def _pictures(studied: Study) -> list[Picture]:
    section = studied.section
    if not studied.top:
        return []
    return [
        *draw_curves(section, studied.drawn, studied.histories),
        *draw_cost(section, studied.settings),
        *draw_effects(section, studied.effects),
        *draw_parallel(section, studied.effects),
        *draw_labels(section, studied.evidence.support),
    ]


def _why(studied: Study, log_text: bool) -> dict[str, Any]:
    """What the template shows of the errors; empty where no run holds predictions."""
    found = studied.evidence.predictions
    if not found:
        return {}
    runs = [run for run in studied.top if run.id in found]
    confusion = [draw_confusion(run, found[run.id]) for run in runs[:2]]
    differing, shown = 0, []
    if len(runs) > 1:
        differing = len(differing_sentences(found[runs[0].id], found[runs[1].id]))
        shown = disagreements(found[runs[0].id], found[runs[1].id]) if log_text else []
    kinds = kinds_by_run(found)
    return {
        "runs": runs,
        "kinds": [(kind, words, {run.id: kinds[run.id][kind] for run in runs}) for kind, words in KINDS.items()],
        "correct": {run.id: int(found[run.id].counts[:, 0].sum()) for run in runs},
        "gold": sum(map(len, found[runs[0].id].gold_entities)),
        "sentences": len(found[runs[0].id].gold),
        "confusions": confusions(found),
        "slices": studied.slices,
        "pictures": [_embedded(picture) for picture in confusion if picture],
        "differing": differing,
        "disagreements": shown,
        "shown_kinds": [kind for kind in KINDS if any(kind in one.kinds for one in shown)],
    }


def _missing(studied: Study, log_text: bool) -> list[str]:
    """What the section leaves out, and why, a sentence each."""
    section, evidence = studied.section, studied.evidence
    if not section.ranked:
        return []
    if not studied.top:
        return [f"No pictures and no errors: the {DETAILED} test sets with the most runs have them."]
    missing = []
    if len(studied.settings) > len(studied.drawn):
        missing.append(f"The curves show the {len(studied.drawn)} best of {len(studied.settings)} settings.")
    if len(section.ranked) > PLOTTED:
        missing.append(f"The other pictures show the {PLOTTED} best; lines through means take all runs in.")
    for curve in CURVES[:2]:
        drawn = [run for setting in studied.drawn for run in setting.runs]
        without = [run.name for run in drawn if (run.id, curve) not in studied.histories]
        if without:
            missing.append(f"No curve of {curve}, which they did not log, for: {', '.join(without)}.")
    if not section.labels:
        missing.append("No bars by label: no run has metrics named test_f1_<LABEL>.")
    elif not evidence.support:
        missing.append("The bars show no support: no top run holds it in entity_report.json.")
    names = {run.id: run.name for run in studied.top}
    for identity, why in evidence.lacking.items():
        missing.append(f"No interval, comparison or errors for {names[identity]}: it {why}.")
    for run in studied.top:
        if run.id in evidence.predictions and (logged := run.score("test_f1")) is not None:
            again = evidence.predictions[run.id].f1
            if abs(logged - again) > 0.0005:
                missing.append(f"{run.name} logged test_f1 {logged:.4f}, but its predictions give {again:.4f}.")
    if len(evidence.predictions) > 1:
        if not log_text:
            missing.append("No sentences are shown: log_text=no leaves the corpus's text out.")
        elif next(iter(evidence.predictions.values())).tokens is None:
            missing.append("No sentences are shown: the runs did not log the corpus's text.")
    return missing


def _rivals(section: Section) -> list[tuple[str, Run]]:
    """The runs to name beside the winner: the runner-up, and the best of each framework that is neither."""
    if section.runner_up is None:
        return []
    rivals = [("Runner-up", section.runner_up)]
    for framework, run in section.best_by_framework.items():
        if run not in (section.winner, section.runner_up):
            rivals.append((f"Best {framework} run", run))
    return rivals


def _embedded(picture: Picture) -> dict[str, Any]:
    """A picture for the template; its figure as plain JSON, in which no number is `NaN`."""
    return {**vars(picture), "figure": json.loads(picture.figure.to_json())}


def _counts(runs: Sequence[Run]) -> str:
    """How many runs there are, and how many of them did not finish, in words."""
    states = [run.status for run in runs]
    parts = [f"{states.count(state)} {state.lower()}" for state in ["FINISHED", *sorted({*states} - {"FINISHED"})]]
    return f"{len(runs)} training run{'s' if len(runs) != 1 else ''}: {', '.join(parts)}"


def _value(run: Run, metric: str) -> str:
    value = run.metrics[metric]
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.1f}"
