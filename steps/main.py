"""Train with both frameworks and compare them: three child runs of one parent, as `mlflow run .` starts them."""

import os
import sys
from pathlib import Path

from twinner import cli
from twinner.tracking.write import tracked_run

PROJECT = Path(__file__).resolve().parent.parent
# Enough for the demo corpus, so that both trainings take about 3 minutes on 2 cores.
QUICK = {"spacy_train": {"epochs": "6"}, "sparknlp_train": {"epochs": "5"}}


def main(corpus: str = "demo", drop_rate: str = "", epochs: str = "", lr: str = "") -> list[str]:
    """Train with spaCy and with Spark NLP, then write the report; return the ids of the three runs.

    drop_rate, epochs, lr: for both trainings; empty: each step's own default, or what main needs to be quick.
    Errors: ChildFailed if one of the three fails.
    """
    settings = locals()
    given = {name: value for name, value in settings.items() if value}
    # The children run in this environment: their `python` must be ours even where it was not activated.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with tracked_run("main") as run:
        run.log_params(settings)
        trainings = [run.start_child(PROJECT, step, quick | given) for step, quick in QUICK.items()]
        ours = f"tags.mlflow.parentRunId = '{run.run_id}'"
        return [*trainings, run.start_child(PROJECT, "report", {"filter": ours})]


if __name__ == "__main__":
    cli.run(main)
