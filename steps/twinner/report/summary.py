"""Write the report for programs (`summary.json`, `runs.csv`) and for the terminal (Markdown)."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from prettytable import PrettyTable, TableStyle

from twinner.report.findings import Findings
from twinner.report.sections import Section
from twinner.terminal import one_line
from twinner.tracking.read import Run

MAX_ROWS = 20  # of the table on the terminal
MEASURES = {"F1": "test_f1", "Precision": "test_precision", "Recall": "test_recall", "Training (s)": "training_time"}


def summary_json(title: str, metric: str, findings: Sequence[Findings]) -> str:
    """Return winner, runner-up, comparison, ranking, seeds and advice of each test set as JSON without `NaN`."""
    return json.dumps(
        {"title": title, "metric": metric, "test_sets": [_test_set(found) for found in findings]},
        ensure_ascii=False,
        indent=1,
        allow_nan=False,
    )


def runs_csv(findings: Sequence[Findings]) -> str:
    """Return all runs as CSV, best first within a test set, with columns named as in MLflow's search."""
    rows = []
    for found in findings:
        ranked = {run.id: rank for rank, run in enumerate(found.section.ranked, 1)}
        for run in found.section.runs:
            row: dict[str, Any] = {
                "test_digest": run.test_digest,
                "rank": ranked.get(run.id),
                "run_id": run.id,
                "name": run.name,
                "status": run.status,
                "framework": run.framework,
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
            framework = f" ({winner.framework})" if winner.framework else ""
            lines.append(f"- winner: {winner.label}{framework}, {_result(found, winner)}")
            if section.runner_up:
                lines.append(f"- runner-up: {section.runner_up.label}, {_behind(found, section.runner_up)}")
            if found.command:
                lines += [f"- model: `{winner.model_uri}`", f"- run it again: `{one_line(found.command)}`"]
            lines.append("")
        lines.append(_table(found))
        if len(section.runs) > MAX_ROWS:
            lines.append(f"\n{len(section.runs) - MAX_ROWS} more runs are on the page.")
        if found.advice:
            lines += ["", "What to try next:", ""]
            lines += [f"- {one_line(advice.what)}. {one_line(advice.why)}" for advice in found.advice]
    return "\n".join(lines)


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
        "winner": _run(found, winner) | {"command": found.command} if winner else None,
        "runner_up": _run(found, second) if second else None,
        "comparison": _comparison(found, second) if second else None,
        "ranking": [run.id for run in section.ranked],
        "unranked": {run.id: run.status for run in section.unranked},
        "seeds": [
            {
                "runs": [run.id for run in setting.runs],
                "mean": setting.mean(section.metric),
                "sd": setting.spread(section.metric),
            }
            for setting in found.settings
            if len(setting.runs) > 1
        ],
        "advice": [vars(advice) for advice in found.advice],
    }


def _run(found: Findings, run: Run) -> dict[str, Any]:
    interval = found.intervals.get(run.id)
    return {
        "run_id": run.id,
        "name": run.name,
        "framework": run.framework,
        "value": run.metrics[found.section.metric],
        "test_f1_interval": list(interval) if interval else None,
        "model_uri": None if run.is_foreign else run.model_uri,
        "params": dict(run.params),
        "metrics": _finite(run.metrics),
    }


def _comparison(found: Findings, run: Run) -> dict[str, Any] | None:
    compared = found.comparisons.get(run.id)
    return {**vars(compared), "significant": compared.significant} if compared else None


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _result(found: Findings, run: Run) -> str:
    interval = found.intervals.get(run.id)
    value = run.metrics[found.section.metric]
    result = f"{found.section.metric} " + (f"{value:.4f}" if abs(value) < 1e15 else f"{value:.4g}")
    return result + (f" (95 % interval of test F1: {interval[0]:.4f} to {interval[1]:.4f})" if interval else "")


def _behind(found: Findings, run: Run) -> str:
    lead = found.section.margin(run)
    result = f"{_result(found, run)}: {lead}{'' if lead == 'the same value' else ' behind'}"
    compared = found.comparisons.get(run.id)
    if compared:
        result += f", {'significant' if compared.significant else 'not significant'} (p = {compared.p_value:.3g})"
    return result


def _table(found: Findings) -> str:
    section = found.section
    measures = {title: key for title, key in MEASURES.items() if any(key in run.metrics for run in section.runs)}
    swept = list(dict.fromkeys(effect.parameter for effect in found.effects))
    fixed = ["Rank", "Run", "Framework", *swept]
    if section.metric not in measures.values():
        # Titles must be unique, and other tools may log a metric called `Run` or `F1`.
        title = section.metric if section.metric not in [*fixed, *MEASURES] else f"metric {section.metric}"
        measures = {title: section.metric, **measures}
    table = PrettyTable([*map(one_line, [*fixed, *measures])])
    table.set_style(TableStyle.MARKDOWN)
    table.align = "r"
    table.align["Run"] = table.align["Framework"] = "l"
    ranks = {run.id: str(rank) for rank, run in enumerate(section.ranked, 1)}
    for run in section.runs[:MAX_ROWS]:
        values = [f"{run.metrics[key]:.4g}" if key in run.metrics else "–" for key in measures.values()]
        state = "" if run.status == "FINISHED" else f" ({run.status.lower()})"
        cells = [ranks.get(run.id, "–"), f"{run.label}{state}", run.framework or "–"]
        cells += [run.params.get(name, "–") for name in swept]
        table.add_row([one_line(cell).replace("|", "\\|") for cell in cells] + values)
    return str(table.get_string())
