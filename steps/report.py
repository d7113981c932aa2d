"""Compare the training runs of both frameworks on one page: which won, by how much, and how all of them did."""

from pathlib import Path

from twinner import cli
from twinner.errors import BadInput
from twinner.report import Choice, Report, build_report
from twinner.tracking import tracked_run, where_to_look


def report(
    drop_rate: str = "",
    epochs: str = "",
    lr: str = "",
    experiments: str = "",
    filter: str = "",
    metric: str = "test_f1",
    output: str = "",
) -> Report:
    """Write the report over the training runs in MLflow: one HTML page, the artifact `report.html` of its run.

    drop_rate, epochs, lr: which runs, as a value, `0.1,0.3` or a range `0.1:0.3`; empty: all. experiments: names or ids
    with commas between; empty: the current one. filter: in MLflow's search syntax. metric: what ranks the runs.
    output: a file that also gets the page.
    Errors: BadInput where there is no run to report, or the page can't be written.
    """
    settings = locals()
    with tracked_run("report") as run:
        run.log_params(settings)
        built = build_report(Choice(drop_rate, epochs, lr), experiments or run.experiment_id, filter, metric)
        if output:
            try:
                Path(output).expanduser().write_text(built.html, encoding="utf-8")
            except OSError as error:
                problem = f"the report can't be written: {error.strerror}"
                raise BadInput(problem, "give output another file", output) from error
        run.log_page(built.html, "report.html")
    print(f"{built.runs_count} runs; the best by {metric}: {built.winner.name} ({built.winner.framework})")
    print(f"{'page':<11}report.html of run {run.run_id}{f', also {output}' if output else ''}")
    print(f"{'look':<11}{where_to_look(run)}")
    return built


if __name__ == "__main__":
    cli.run(report)
