"""Train with both frameworks and compare them: child runs of one parent, as `mlflow run .` starts them."""

from twinner import cli
from twinner.errors import BadInput
from twinner.source_code import PROJECT

# Enough for the demo corpus; together the two trainings take about 3 minutes on 2 cores.
QUICK = {"spacy_train": {"epochs": "6"}, "sparknlp_train": {"epochs": "5"}}


def main(corpus: str = "demo", drop_rate: str = "", epochs: str = "", lr: str = "") -> list[str]:
    """Train with spaCy and with Spark NLP, then write the report; return the ids of the child runs.

    drop_rate, epochs, lr: for both trainings; empty: the step's own default, or a quick setting of `main`.
    Where Spark NLP can't run, spaCy alone is trained.
    Errors: ChildFailed if a child run fails.
    """
    settings = locals()

    from twinner.tracking.store import check_store
    from twinner.tracking.write import tracked_run

    check_store()
    given = {name: value for name, value in settings.items() if value}
    with tracked_run("main") as run:
        run.log_params(settings)
        trainings = [run.start_child(PROJECT, step, QUICK[step] | given) for step in _steps_for_this_machine()]
        return [*trainings, run.start_child(PROJECT, "report", {"filter": f"tags.mlflow.parentRunId = '{run.run_id}'"})]


def _steps_for_this_machine() -> list[str]:
    from twinner.spark.jars import check_platform

    try:
        check_platform()
    except BadInput as error:
        print(f"sparknlp_train is left out: {error}")
        return ["spacy_train"]
    return list(QUICK)


if __name__ == "__main__":
    cli.run(main)
