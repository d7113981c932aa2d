"""Search the parameters of a training step: `python steps/sweep.py --space "drop_rate=0.1:0.5 lr=1e-4:1e-2:log"`."""

from typing import TYPE_CHECKING, Literal

from report import report
from twinner import cli
from twinner.parameters import check_parameters

if TYPE_CHECKING:
    from twinner.sweep.plan import Plan
    from twinner.sweep.pool import Pool
    from twinner.sweep.study import Outcome


def sweep(
    step: str = "spacy_train",
    space: str = "",
    trials: int = 20,
    sampler: Literal["tpe", "random", "grid"] = "tpe",
    prune: Literal["yes", "no"] = "yes",
    seeds: int = 1,
    objective: str = "best_dev_f1",
    jobs: str = "auto",
    timeout: int = 0,
    seed: int = 0,
    name: str = "",
    spark_master: str = "",
    spark_conf: str = "",
    **settings: str,
) -> "Outcome":
    """Train a step with many settings, several at once, and score the best of them on test.

    Every parameter of the step that `space` does not name can be given too; it is the same for all trials.

    step: `spacy_train` or `sparknlp_train`. space: the values to try, see `parse_space`. trials: how many settings.
    sampler: how they are chosen. prune: whether trials that are behind the others after some epochs are stopped.
    seeds: how many trainings each setting has; their mean counts. objective: a score on dev. jobs: trainings at once;
    `auto`: one a core, as far as memory allows. timeout: seconds after which no more trial is begun; 0: none. seed: of
    the search, and the first one of the trainings. name: a sweep of that name that was stopped is continued.
    spark_master, spark_conf: a cluster whose executors do the trainings; those of Spark NLP use it themselves.
    Errors: BadInput before the first trial; Failure if trials fail alike, or all of them.
    """
    given = {key: value for key, value in locals().items() if key != "settings"}
    check_parameters(given)

    from twinner.sweep.plan import make_plan

    plan = make_plan(**given, settings=settings)
    with _start_pool(plan) as pool:  # its processes import what they need while this one does so, too
        from twinner.sweep.study import Sweep
        from twinner.sweep.summary import summarize, trials_csv
        from twinner.tracking.opening import child_of
        from twinner.tracking.store import check_store
        from twinner.tracking.study import find_sweep, study_tags
        from twinner.tracking.write import tracked_run

        check_store()
        earlier = find_sweep(plan.name, plan.searched) if name else None
        with tracked_run("sweep", earlier or "", in_background=True) as run:
            run.log_params({**given, **settings})
            run.set_tags(study_tags(plan.name, plan.searched))
            run.reopen()
            outcome = Sweep(plan, pool, run.experiment_id, run.run_id, is_new=not earlier).run()
            pool.dismiss()
            text = summarize(plan, outcome)
            run.log_pages({"sweep.md": text, "trials.csv": trials_csv(outcome)}, description=text)
            print(text)
            with child_of(run.run_id):
                report(sweep=plan.name, metric=objective)
    return outcome


def _start_pool(plan: "Plan") -> "Pool":
    if plan.spark_master:
        from twinner.sweep.cluster import ClusterPool

        return ClusterPool(plan)
    from twinner.sweep.local import LocalPool

    return LocalPool(plan)


if __name__ == "__main__":
    cli.run(sweep)
