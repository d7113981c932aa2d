"""What a sweep has found, in Markdown and as a table of its trials."""

import pandas as pd
from optuna.trial import TrialState
from prettytable import PrettyTable, TableStyle

from twinner.report.commands import rerun_command
from twinner.sweep.plan import Plan
from twinner.sweep.space import shown, spell
from twinner.sweep.study import Outcome
from twinner.terminal import one_line
from twinner.tracking.read import environment_manager, read_runs

SHOWN = 10  # of the best trials


def summarize(plan: Plan, outcome: Outcome) -> str:
    """Return the winner with its test score and its command, the best trials, and the weight of each parameter."""
    states = [trial.state for trial in outcome.trials]
    counts = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    counted = ", ".join(f"{states.count(state)} {word}" for word, state in counts.items() if state in states)
    runs = read_runs(list(outcome.runs.values()))
    winner = outcome.winner
    lines = [f"# Sweep {plan.name}", "", f"{len(states)} trials of {plan.step}: {counted}.", ""]
    lines += [f"- winner: trial {winner.number + 1}, {spell(winner.params)}"]
    lines += [f"- {plan.objective}: {winner.value:.4f}{_mean(plan)}, by which it was chosen"]
    scores = [run.metrics["test_f1"] for run in runs.values() if "test_f1" in run.metrics]
    if scores:
        lines += [f"- test F1: {sum(scores) / len(scores):.4f}{_mean(plan)}; no other trial was scored on test"]
    for run_id, run in runs.items():
        lines += [f"- run: {run_id}", f"- train it again: `{one_line(rerun_command(run, environment_manager(run)))}`"]
    table = PrettyTable(["Trial", *plan.space, plan.objective])
    table.set_style(TableStyle.MARKDOWN)
    complete = [trial for trial in outcome.trials if trial.state == TrialState.COMPLETE]
    for trial in sorted(complete, key=lambda trial: -(trial.value or 0.0))[:SHOWN]:
        values = [shown(trial.params[name]) for name in plan.space]
        table.add_row([trial.number + 1, *values, f"{trial.value:.4f}"])
    table.align = "r"
    lines += ["", str(table)]
    if outcome.importance:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in outcome.importance.items())
        lines += ["", f"Share of each parameter in the differences between trials (fANOVA): {shares}."]
    else:
        lines += ["", "Too few trials were finished with different scores to tell the share of each parameter."]
    return "\n".join(lines)


def trials_csv(outcome: Outcome) -> str:
    """Return a row for each trial: number, state, value, seconds, and its parameters."""
    rows = [
        {
            "trial": trial.number + 1,
            "state": trial.state.name.lower(),
            "value": trial.value,
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            "epochs_seen": max(trial.intermediate_values, default=0),
            **{f"params.{name}": value for name, value in trial.params.items()},
        }
        for trial in outcome.trials
    ]
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")


def _mean(plan: Plan) -> str:
    return f" (mean of {len(plan.seeds)} seeds)" if len(plan.seeds) > 1 else ""
