"""A report for other programs and for the terminal: `summary.json`, `runs.csv` and a table in Markdown."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from prettytable import PrettyTable, TableStyle

from twinner.report.sections import command_again
from twinner.report.study import Study
from twinner.tracking.read import Run

MOST_ROWS = 20  # of a table on a terminal
MEASURES = {"F1": "test_f1", "Precision": "test_precision", "Recall": "test_recall", "Training (s)": "training_time"}


def summary_json(title: str, metric: str, studies: Sequence[Study]) -> str:
    """The answer of each test set as JSON: winner, runner-up, comparison, ranking, seeds, advice. It has no `NaN`."""
    return json.dumps(
        {"title": title, "metric": metric, "test_sets": [_test_set(study) for study in studies]},
        ensure_ascii=False,
        indent=1,
        allow_nan=False,
    )


def runs_csv(studies: Sequence[Study]) -> str:
    """All runs, a line each, best first within a test set; columns named as MLflow's search names them."""
    rows = []
    for study in studies:
        ranked = {run.id: rank for rank, run in enumerate(study.section.ranked, 1)}
        for run in study.section.runs:
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


def markdown(title: str, counts: str, studies: Sequence[Study]) -> str:
    """The summary for a terminal: the answer, a table of the best runs, what to try next, for each test set."""
    lines = [f"# {_shown(title)}", "", f"{counts}."]
    for study in studies:
        section = study.section
        name = f"Test set {section.digest}" if section.digest else "Runs without a test set"
        lines += ["", f"## {_shown(name)}", ""]
        winner = section.winner
        if winner:
            lines += [f"- winner: {_shown(winner.name)} ({winner.framework}), {_result(study, winner)}"]
            if section.runner_up:
                lines.append(f"- runner-up: {_shown(section.runner_up.name)}, {_behind(study, section.runner_up)}")
            lines += [f"- model: `{winner.model_uri}`", f"- again: `{_shown(command_again(winner))}`", ""]
        lines.append(_table(study))
        if len(section.runs) > MOST_ROWS:
            lines.append(f"\n{len(section.runs) - MOST_ROWS} more runs are on the page.")
        if study.advice:
            lines += ["", "What to try next:", ""]
            lines += [f"- {_shown(advice.what)}. {_shown(advice.why)}" for advice in study.advice]
    return "\n".join(lines)


def _test_set(study: Study) -> dict[str, Any]:
    section = study.section
    winner, second = section.winner, section.runner_up
    return {
        "test_digest": section.digest,
        "corpora": sorted({run.corpus for run in section.runs} - {""}),
        "runs": len(section.runs),
        "winner": _run(study, winner) | {"command": command_again(winner)} if winner else None,
        "runner_up": _run(study, second) if second else None,
        "comparison": _comparison(study, second) if second else None,
        "ranking": [run.id for run in section.ranked],
        "unranked": {run.id: run.status for run in section.unranked},
        "seeds": [
            {
                "runs": [run.id for run in setting.runs],
                "mean": setting.mean(section.metric),
                "sd": setting.spread(section.metric),
            }
            for setting in study.settings
            if len(setting.runs) > 1
        ],
        "advice": [vars(advice) for advice in study.advice],
    }


def _run(study: Study, run: Run) -> dict[str, Any]:
    interval = study.intervals.get(run.id)
    return {
        "run_id": run.id,
        "name": run.name,
        "framework": run.framework,
        "value": run.metrics[study.section.metric],
        "test_f1_interval": list(interval) if interval else None,
        "model_uri": run.model_uri,
        "params": dict(run.params),
        "metrics": _finite(run.metrics),
    }


def _comparison(study: Study, run: Run) -> dict[str, Any] | None:
    compared = study.comparisons.get(run.id)
    return {**vars(compared), "significant": compared.significant} if compared else None


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _result(study: Study, run: Run) -> str:
    interval = study.intervals.get(run.id)
    words = f"{study.section.metric} {run.metrics[study.section.metric]:.4f}"
    return words + (f" (95 % interval of test F1: {interval[0]:.4f} to {interval[1]:.4f})" if interval else "")


def _behind(study: Study, run: Run) -> str:
    words = f"{_result(study, run)}: {study.section.margin(run)}"
    compared = study.comparisons.get(run.id)
    if compared:
        words += f", {'significant' if compared.significant else 'not significant'} (p = {compared.p_value:.3g})"
    return words


def _table(study: Study) -> str:
    section = study.section
    measures = {title: key for title, key in MEASURES.items() if any(key in run.metrics for run in section.runs)}
    if section.metric not in measures.values():
        measures = {section.metric: section.metric, **measures}
    swept = list(dict.fromkeys(effect.parameter for effect in study.effects))
    table = PrettyTable(["Rank", "Run", "Framework", *map(_shown, swept), *measures])
    table.set_style(TableStyle.MARKDOWN)
    table.align = "r"
    table.align["Run"] = table.align["Framework"] = "l"
    ranks = {run.id: str(rank) for rank, run in enumerate(section.ranked, 1)}
    for run in section.runs[:MOST_ROWS]:
        values = [f"{run.metrics[key]:.4g}" if key in run.metrics else "–" for key in measures.values()]
        state = "" if run.status == "FINISHED" else f" ({run.status.lower()})"
        cells = [ranks.get(run.id, "–"), f"{run.name}{state}", run.framework, *(run.params.get(p, "–") for p in swept)]
        table.add_row([_shown(cell).replace("|", "\\|") for cell in cells] + values)
    return str(table.get_string())


def _shown(text: str) -> str:
    """A text that does nothing on a terminal: one line, no control characters, no marks that turn it round."""
    return "".join(letter if letter.isprintable() else "�" for letter in " ".join(text.split()))
