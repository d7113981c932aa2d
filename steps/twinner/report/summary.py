"""Write the report for programs (`summary.json`, `runs.csv`) and for the terminal (Markdown)."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from prettytable import PrettyTable, TableStyle

from twinner.evaluation.significance import Comparison
from twinner.report.choice import TOLD, OtherChoice
from twinner.report.findings import Findings
from twinner.report.sections import Section
from twinner.report.settings import Setting
from twinner.terminal import one_line

MAX_ROWS = 20  # of the table on the terminal
MEASURES = {"F1": "test_f1", "Precision": "test_precision", "Recall": "test_recall", "Training (s)": "training_time"}


def summary_json(title: str, metric: str, findings: Sequence[Findings]) -> str:
    """Return winner, runner-up, comparison, warnings, ranking and advice of each test set as JSON without `NaN`."""
    return json.dumps(
        {"title": title, "metric": metric, "test_sets": [_test_set(found) for found in findings]},
        ensure_ascii=False,
        indent=1,
        allow_nan=False,
    )


def runs_csv(findings: Sequence[Findings]) -> str:
    """Return all runs as CSV, best setting first within a test set, with columns named as in MLflow's search.

    rank: of the run's setting.
    """
    rows = []
    for found in findings:
        ranks = found.section.ranks
        for run in found.section.runs:
            row: dict[str, Any] = {
                "test_digest": run.test_digest,
                "rank": ranks.get(run.id),
                "run_id": run.id,
                "name": run.name,
                "status": run.status,
                "framework": run.framework,
                "sweep": run.sweep,
                "corpus": run.corpus,
                "started": run.started.isoformat(),
                "commit": run.commit,
                "error": run.error,
            }
            row |= {f"params.{name}": value for name, value in sorted(run.params.items())}
            rows.append(row | {f"metrics.{name}": value for name, value in sorted(run.metrics.items())})
    return pd.DataFrame(rows).astype({"rank": "Int64"}).to_csv(index=False, lineterminator="\n")


def markdown(title: str, counts: str, findings: Sequence[Findings]) -> str:
    """Return the summary for a terminal: for each test set the winner, a table of the best runs, and advice."""
    lines = [f"# {one_line(title)}", "", f"{one_line(counts)}."]
    for found in findings:
        section = found.section
        lines += ["", f"## {one_line(_heading(section))}", ""]
        winner = section.winner
        if winner:
            lines.append(f"- winner: {_name(section, winner)}: {_result(found, winner)}")
            if section.runner_up:
                lines.append(f"- runner-up: {_name(section, section.runner_up)}: {_behind(found, section.runner_up)}")
            lines += [f"- warning: {one_line(warning)}" for warning in found.warnings]
            if found.command:
                lines += [f"- model: `{winner.best.model_uri}`", f"- run it again: `{one_line(found.command)}`"]
            lines.append("")
        lines.append(_table(found))
        if len(section.runs) > MAX_ROWS:
            lines.append(f"\n{len(section.runs) - MAX_ROWS} more runs are on the page.")
        if found.advice:
            lines += ["", "What to try next:", ""]
            for advice in found.advice:
                lines.append(f"- {one_line(advice.what)}. {one_line(advice.why)}")
                lines += [f"  `{one_line(command)}`" for command in advice.command.splitlines()]
    return "\n".join(lines)


def _name(section: Section, setting: Setting) -> str:
    """A setting by its best run, its framework, and what tells it from the others."""
    details = ", ".join(filter(None, [setting.framework, section.describe(setting)]))
    return setting.best.label + (f" ({details})" if details else "")


def _heading(section: Section) -> str:
    if section.digest:
        return f"Test set {section.digest}"
    return f"Runs of other tools in {section.experiment}" if section.experiment else "Runs without a test set"


def _test_set(found: Findings) -> dict[str, Any]:
    section = found.section
    winner, second = section.winner, section.runner_up
    return {
        "test_digest": section.digest,
        "experiment": section.experiment,
        "metric": section.metric,
        "corpora": sorted({run.corpus for run in section.runs} - {""}),
        "runs": len(section.runs),
        "winner": _setting(found, winner) | {"command": found.command} if winner else None,
        "runner_up": _setting(found, second) if second else None,
        "comparison": _comparison(found, second) if second else None,
        "warnings": list(found.warnings),
        "other_choice": _other_choice(found.other) if found.other else None,
        "ranking": [_ranked(found, setting) for setting in section.settings],
        "unranked": {run.id: run.status for run in section.unranked},
        "advice": [vars(advice) for advice in found.advice],
    }


def _setting(found: Findings, setting: Setting) -> dict[str, Any]:
    """A setting, by its best run; value: mean of the metric over seeds."""
    run, interval = setting.best, found.intervals.get(setting.id)
    return {
        "run_id": run.id,
        "name": run.name,
        "framework": run.framework,
        "value": setting.mean(found.section.metric),
        "test_f1": setting.mean(TOLD) if setting.has(TOLD) else None,
        "test_f1_interval": [interval.low, interval.high] if interval else None,
        "model_uri": None if run.is_foreign else run.model_uri,
        "params": dict(run.params),
        "metrics": _finite(run.metrics),
    }


def _ranked(found: Findings, setting: Setting) -> dict[str, Any]:
    """A setting's runs, one per seed, and its mean and standard deviation over them (None for a single one)."""
    metric = found.section.metric
    return {
        "runs": [run.id for run in setting.runs],
        "repeats": [run.id for run in setting.repeats],
        "value": setting.mean(metric),
        "sd": setting.spread(metric),
        "test_f1": setting.mean(TOLD) if setting.has(TOLD) else None,
        "test_f1_sd": setting.spread(TOLD),
        "comparison": _comparison(found, setting),
    }


def _other_choice(other: OtherChoice) -> dict[str, Any]:
    return {
        "metric": other.metric,
        "runs": [run.id for run in other.setting.runs],
        "test_f1": other.setting.mean(TOLD),
        "flattery": other.flattery,
    }


def _comparison(found: Findings, setting: Setting) -> dict[str, Any] | None:
    """The winner compared with another setting."""
    compared = found.comparisons.get(setting.id)
    if not compared:
        return None
    return {**vars(compared), "comparisons": len(found.comparisons), "significant": compared.significant}


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _result(found: Findings, setting: Setting) -> str:
    """The mean of the metric, and what the setting is told by: test F1 with its interval."""
    metric, interval = found.section.metric, found.intervals.get(setting.id)
    value = setting.mean(metric)
    result = f"{metric} " + (f"{value:.4f}" if abs(value) < 1e15 else f"{value:.4g}")
    if metric != TOLD and setting.has(TOLD):
        result += f", {TOLD} {setting.mean(TOLD):.4f}"
    if len(setting.runs) > 1:
        result += f", means of {setting.seeds}"
    if interval:
        result += f" (95 % interval of test F1: {interval.low:.4f} to {interval.high:.4f})"
    return result


def _behind(found: Findings, setting: Setting) -> str:
    lead = found.section.margin(setting)
    on = f" in {found.section.metric}" if found.section.metric != TOLD else ""
    result = f"{_result(found, setting)}; {lead}{'' if lead == 'the same value' else ' behind'}{on}"
    compared = found.comparisons.get(setting.id)
    return f"{result}; {verdict(compared, len(found.comparisons))}" if compared else result


def verdict(compared: Comparison, comparisons: int) -> str:
    """Return in words whether another setting than the winner differs from it on test."""
    side = f"{compared.side} on test F1"
    p_values = f"p = {compared.corrected:.3g} corrected for {comparisons} comparison{'s' if comparisons > 1 else ''}"
    return (
        f"{side}, {'' if compared.significant else 'not '}significant ({p_values}, {compared.p_value:.3g} uncorrected)"
    )


def _table(found: Findings) -> str:
    section = found.section
    measures = {title: key for title, key in MEASURES.items() if any(key in run.metrics for run in section.runs)}
    swept = list(dict.fromkeys(effect.parameter for effect in found.effects))
    swept += ["seed"] if any(len(setting.runs) > 1 for setting in section.settings) else []
    fixed = ["Rank", "Run", "Framework", *swept]
    if section.metric not in measures.values():
        # Titles must be unique, and other tools may log a metric called `Run` or `F1`.
        title = section.metric if section.metric not in [*fixed, *MEASURES] else f"metric {section.metric}"
        measures = {title: section.metric, **measures}
    table = PrettyTable([*map(one_line, [*fixed, *measures])])
    table.set_style(TableStyle.MARKDOWN)
    table.align = "r"
    table.align["Run"] = table.align["Framework"] = "l"
    for run in section.runs[:MAX_ROWS]:
        values = [f"{run.metrics[key]:.4g}" if key in run.metrics else "–" for key in measures.values()]
        state = "" if run.status == "FINISHED" else f" ({run.status.lower()})"
        cells = [str(section.ranks.get(run.id, "–")), f"{run.label}{state}", run.framework or "–"]
        cells += [run.params.get(name, "–") for name in swept]
        table.add_row([one_line(cell).replace("|", "\\|") for cell in cells] + values)
    return str(table.get_string())
