"""Repeat a tracked training from its commit and compare the results: `python steps/reproduce.py --run-id ID`."""

from typing import TYPE_CHECKING

from twinner import cli
from twinner.errors import Failure
from twinner.parameters import check_parameters

if TYPE_CHECKING:
    from twinner.reproduction import Comparison


def reproduce(run_id: str = "", tolerance: float = 0.001) -> "Comparison":
    """Repeat a training from its commit, with its parameters, and compare every metric then and now.

    run_id: of the training; empty: the winner of the current experiment, as `report` chooses it. tolerance: the largest
    difference of a value up to 1, of a larger one the largest share of it, that does not count as different.
    Errors: BadInput if it can't be repeated as it was, Failure if the results are different.
    """
    settings = locals()
    check_parameters(settings)

    from twinner.reproduction import Comparison, checked_out, compare_runs, find_original, inspect, repeated_settings
    from twinner.reproduction.comparison import DIFFERENT, differing_data
    from twinner.tracking.address import where_to_look
    from twinner.tracking.opening import persist
    from twinner.tracking.read import read_runs
    from twinner.tracking.store import check_store
    from twinner.tracking.tags import REPRODUCES
    from twinner.tracking.write import tracked_run

    check_store()
    with tracked_run("reproduce") as run:
        run.log_params(settings)
        original = find_original(run_id, run.experiment_id)
        link = {REPRODUCES: original.id}
        run.set_tags(link)
        with checked_out(original) as project:
            repeated = repeated_settings(original, project)
            found = inspect(original, project, repeated, run.tags.get("mlflow.project.env", ""))
            if data := found.digests and differing_data(original.digests, found.digests):
                compared = Comparison((), tolerance, {"data": data})
            else:
                if found.pins:
                    print(f"the pinned versions differ, so {found.env_manager} builds the environment of that commit:")
                    print("\n".join(found.pins))
                child = run.start_child(project, original.step, repeated, found.env_manager, link)
                repetition = persist(lambda: read_runs([child]))[child]
                compared = persist(lambda: compare_runs(original, repetition, tolerance, found.pins))
                run.tag_child(child, _tags(compared))
        text = f"# Run {original.id}, repeated\n\n{compared.markdown}\n\n{compared.sentence}\n"
        run.set_tags(_tags(compared))
        run.log_pages({"reproduction.md": text, "reproduction.csv": compared.csv}, description=text)
        print(compared.markdown, end="\n\n")
        for name, value in {
            "then": original.id,
            "now": child if compared.values else "not trained",
            "verdict": compared.sentence,
            "look": where_to_look(run.experiment_id, run.run_id),
        }.items():
            print(f"{name:<11}{value}")
        if compared.verdict == DIFFERENT:
            raise Failure(compared.sentence)
    return compared


def _tags(compared: "Comparison") -> dict[str, str]:
    return {"twinner.verdict": compared.verdict, "twinner.verdict_why": compared.sentence}


if __name__ == "__main__":
    cli.run(reproduce)
