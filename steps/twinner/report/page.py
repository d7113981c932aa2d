"""The report: one HTML page that says which training run won, by how much, and how all of them did."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

import mlflow

from twinner.report.choose import Choice
from twinner.report.figures import DRAWN, Picture, draw_curves, draw_labels
from twinner.report.runs import Run, check_metric, find_training_runs, read_histories, read_support
from twinner.report.sections import Section, command_again, sections_of
from twinner.report.templating import render

CURVES = ("ner.losses", "dev_token_f1", "dev_f1")


@dataclass(frozen=True)
class Report:
    """A report: the page, how many runs it covers, and the best run of the test set with the most runs."""

    html: str
    runs_count: int
    winner: Run


def build_report(
    choice: Choice | None = None, experiments: str = "", filter: str = "", metric: str = "test_f1"
) -> Report:
    """Read the training runs from MLflow, which is all that is read, and build the page.

    choice: which drop_rate, epochs and lr; none: all. experiments: names or ids with commas between, empty: the current
    one. filter: in MLflow's search syntax. metric: what ranks the runs.
    Raises BadInput if there is nothing to report on, and for an experiment, filter, choice or metric that can't be met.
    """
    found = find_training_runs(experiments, filter)
    runs = (choice or Choice()).of(found)
    check_metric(runs, metric)
    sections = sections_of(runs, metric)
    winner = sections[0].winner
    assert winner is not None  # check_metric found a run that ranks
    chosen = {name: text for name, text in {**vars(choice or Choice()), "filter": filter}.items() if text.strip()}
    where = f" on {winner.corpus}" if winner.corpus else ""
    html = render(
        "report.html.j2",
        title=f"{winner.framework} leads{where} with {metric} {_value(winner, metric)}",
        metric=metric,
        counts=_counts(runs),
        chosen=chosen,
        sections=[_view(section, number) for number, section in enumerate(sections, 1)],
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=mlflow.__version__,
    )
    return Report(html, len(runs), winner)


def _view(section: Section, number: int) -> dict[str, Any]:
    """What the template shows of one section."""
    drawn = section.ranked[:DRAWN]
    histories = read_histories(drawn, CURVES)
    support = read_support(drawn)
    pictures = [*draw_curves(section, histories), *draw_labels(section, support)]
    missing = []
    if section.ranked:
        if len(section.ranked) > len(drawn):
            missing.append(f"The curves show the {DRAWN} best of {len(section.ranked)} ranked runs.")
        for curve in CURVES[:2]:
            without = [run.name for run in drawn if (run.id, curve) not in histories]
            if without:
                missing.append(f"No curve of {curve}, which they did not log, for: {', '.join(without)}.")
        if not section.labels:
            missing.append("No bars by label: no run has metrics named test_f1_<LABEL>.")
        elif not support:
            missing.append("The bars show no support: no ranked run holds it in entity_report.json.")
    return {
        "number": number,
        "section": section,
        "corpora": sorted({run.corpus for run in section.runs} - {""}),
        "rivals": _rivals(section),
        "command": command_again(section.winner) if section.winner else "",
        "groups": [(name, len(list(group))) for name, group in groupby(section.columns, lambda column: column.group)],
        "links": {run.id: _link(run) for run in section.runs},
        "pictures": [_embedded(picture) for picture in pictures],
        "missing": missing,
        "value": lambda run: _value(run, section.metric),
    }


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


def _link(run: Run) -> str:
    """Where a tracking server shows the run; empty where the store is no server. Passwords in its address stay out."""
    server = urlsplit(mlflow.get_tracking_uri())
    if server.scheme not in ("http", "https"):
        return ""
    host = server.netloc.rpartition("@")[2]
    return f"{server.scheme}://{host}{server.path.rstrip('/')}/#/experiments/{run.experiment_id}/runs/{run.id}"
