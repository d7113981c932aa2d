"""Compare training runs on one page: which setting won, by how much, and how all of them did."""

from typing import TYPE_CHECKING, Literal

from twinner import cli

if TYPE_CHECKING:
    from twinner.report import Report


def report(
    drop_rate: str = "",
    epochs: str = "",
    lr: str = "",
    experiments: str = "",
    filter: str = "",
    sweep: str = "",
    metric: str = "best_dev_f1",
    log_text: Literal["yes", "no"] = "yes",
    output: str = "",
) -> "Report":
    """Report on the training runs in MLflow: one HTML page, logged as the artifact `report.html`.

    drop_rate, epochs, lr: select runs by a value, `0.1,0.3` or a range `0.1:0.3`; empty: all. experiments:
    comma-separated names or ids; empty: the current one. filter: in MLflow's search syntax. sweep: only runs of that
    sweep. metric: its mean over seeds ranks the settings. log_text: `no` leaves the corpus's text out. output: a file
    that also gets the page; `summary.json` and `runs.csv` are written beside it and logged.
    Raises BadInput if there is no run to report, the store does not answer, or a file cannot be written.
    """
    settings = locals()

    from twinner.report import Selection, build_report, check_output, write_output
    from twinner.tracking.address import where_to_look
    from twinner.tracking.store import check_store
    from twinner.tracking.write import tracked_run

    check_output(output)
    check_store()
    with tracked_run("report") as run:
        run.log_params(settings)
        selection = Selection(drop_rate, epochs, lr, sweep)
        built = build_report(selection, experiments or run.experiment_id, filter, metric, log_text == "yes")
        files = {"report.html": built.html, "summary.json": built.summary, "runs.csv": built.runs}
        if output:
            write_output(output, files)
        run.log_pages(files, description=built.markdown)
    print(built.markdown)
    print()
    print(f"{'page':<11}report.html of run {run.run_id}{f', also {output}' if output else ''}")
    print(f"{'look':<11}{where_to_look(run.experiment_id, run.run_id)}")
    return built


if __name__ == "__main__":
    cli.run(report)
