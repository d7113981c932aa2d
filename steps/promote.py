"""Give the alias `champion` to the best version of a registered model, if it beats the present champion."""

from typing import TYPE_CHECKING, Literal

from twinner import cli
from twinner.errors import BadInput, Failure
from twinner.parameters import check_parameters

if TYPE_CHECKING:
    from twinner.tracking.registry import RegisteredModel

YesNo = Literal["yes", "no"]


def promote(
    model_name: str = "",
    max_drop: float = 0.02,
    dry_run: YesNo = "no",
    force: YesNo = "no",
    reason: str = "",
    rollback: YesNo = "no",
) -> None:
    """Give the alias `champion` to the best version of a registered model, if it beats the present champion.

    model_name: the registered model. max_drop: how far the F1 of a label with at least 30 mentions may fall.
    dry_run: show the decision, change nothing. force: promote the best version whatever the gate says; reason: why,
    kept as a tag. rollback: give the alias back to the version that had it before.
    Errors: BadInput for what can't be decided, Failure if the gate refuses.
    """
    settings = locals()
    check_parameters(settings)
    if not model_name.strip():
        raise BadInput("model_name is empty", "give the name of a registered model")
    if force == "yes" and not reason.strip():
        raise BadInput("force=yes has no reason", "say why with reason")
    if force == "no" and reason.strip():
        raise BadInput("reason is given, but force is not", "give force=yes too, or leave reason out")
    if force == rollback == "yes":
        raise BadInput("force and rollback are both yes", "give one of them")

    from twinner.promotion import Decision, decide, find_candidates, show
    from twinner.tracking.registry import CHAMPION, PREVIOUS, move_aliases, read_registered_model
    from twinner.tracking.store import check_store
    from twinner.tracking.write import tracked_run

    check_store()
    with tracked_run("promote") as run:
        run.log_params(settings)
        model = read_registered_model(model_name)
        if rollback == "yes":
            _roll_back(model, dry_run == "yes")
            return
        candidates = find_candidates(model, force == "yes")
        if force == "yes" and candidates.best != candidates.champion:
            decision = Decision(
                candidates.best, f"version {candidates.best.number} is the best on dev, and force is yes"
            )
        else:
            decision = decide(candidates, max_drop)
        page = show(candidates, decision, max_drop)
        print(page, end="\n\n")
        text = f"{page}\n\n{decision.why}\n"
        run.log_pages({"promotion.md": text}, description=text)
        if dry_run == "yes":
            outcome = f"version {decision.promoted.number} would be promoted" if decision.promoted else "nothing to do"
            outcome = "it would not be promoted" if decision.refused else outcome
            print(f"dry run, {outcome}: {decision.why}")
            return
        if decision.refused:
            raise Failure(f"not promoted: {decision.why}")
        if decision.promoted:
            aliases = {CHAMPION: decision.promoted.number}
            if candidates.champion:  # first, so that it is not lost if the second request fails
                aliases = {PREVIOUS: candidates.champion.number, **aliases}
            move_aliases(model_name, aliases, {"twinner.force_reason": reason} if force == "yes" else {})
            print(f"promoted models:/{model_name}@{CHAMPION}: {decision.why}")
        else:
            print(decision.why)


def _roll_back(model: "RegisteredModel", dry_run: bool) -> None:
    """Exchange the aliases of the champion and of the version before it."""
    from twinner.tracking.registry import CHAMPION, PREVIOUS, move_aliases

    champion, previous = model.version(CHAMPION), model.version(PREVIOUS)
    if previous is None:
        problem = f"the registered model {model.name!r} has no version with the alias {PREVIOUS}"
        raise BadInput(problem, "there is nothing to go back to")
    told = f"version {previous.number} is {CHAMPION} again"
    if champion:
        told += f", and version {champion.number} is {PREVIOUS}"
    if dry_run:
        print(f"dry run: {told} after a rollback")
        return
    move_aliases(model.name, {CHAMPION: previous.number, **({PREVIOUS: champion.number} if champion else {})})
    print(told)


if __name__ == "__main__":
    cli.run(promote)
