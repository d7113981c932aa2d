"""Decide which version of a registered model becomes its champion, and show why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prettytable import PrettyTable, TableStyle

from twinner.errors import BadInput
from twinner.evaluation.scores import precision_recall_f1, sentence_counts
from twinner.evaluation.significance import compare
from twinner.report.predictions import Predictions, read_evidence
from twinner.terminal import one_line
from twinner.tracking.read import read_runs
from twinner.tracking.registry import CHAMPION, RegisteredModel, Version
from twinner.tracking.run import Run

MIN_MENTIONS = 30  # gold entities in test from which on a label may not fall
FORCE = "or promote the best version with force=yes and a reason"
TOLERANCE = 1e-9  # a fall by exactly `max_drop` is none, whatever the rounding


@dataclass(frozen=True)
class LabelScore:
    """Strict F1 of a label before and after a promotion; mentions: gold entities in test."""

    label: str
    mentions: int
    before: float
    after: float

    def falls(self, max_drop: float) -> bool:
        """Whether it has enough mentions, and F1 falls by more than `max_drop`."""
        return self.mentions >= MIN_MENTIONS and self.before - self.after > max_drop + TOLERANCE


@dataclass(frozen=True)
class Decision:
    """Whether a version becomes champion.

    promoted: the version that does; None if the champion stays. why: in words. refused: whether the gate kept a better
    version by dev from becoming champion. labels: empty if nothing was compared.
    """

    promoted: Version | None
    why: str
    refused: bool = False
    labels: Sequence[LabelScore] = ()


@dataclass(frozen=True)
class Candidates:
    """The versions of a registered model, newest first, with the runs that made them by id.

    test_digest: of the test set that the choice is made on. best: by `best_dev_f1` among those tested on it.
    """

    model: RegisteredModel
    runs: Mapping[str, Run]
    test_digest: str
    best: Version

    @property
    def champion(self) -> Version | None:
        """The version with the alias `champion`."""
        return self.model.version(CHAMPION)


def find_candidates(model: RegisteredModel, force: bool = False) -> Candidates:
    """Find the best version among those tested on the champion's test set; without a champion, on the newest one's.

    force: where the champion's run is gone, or no other version was tested on its test set, the newest one's counts.
    Errors: BadInput if no version can be chosen.
    """
    runs = read_runs([version.run_id for version in model.versions if version.run_id])
    champion = model.version(CHAMPION)
    newest = next((digest for version in model.versions if (digest := _digest(version, runs))), "")
    name = f"the registered model {model.name!r}"
    if not newest:
        problem = f"no version of {name} has a finished run of a training with a score on dev"
        raise BadInput(problem, "train one with `mlflow run . -e spacy_train -P model_name=…`")
    digest = _digest(champion, runs) if champion else newest
    rivals = [version for version in model.versions if _digest(version, runs) == digest and version != champion]
    if force and not (digest and rivals):
        digest = newest
    elif champion and not digest:
        problem = f"the run of the champion of {name}, version {champion.number}, is gone or has no scores"
        raise BadInput(problem, f"restore the run {champion.run_id or '(unknown)'}, {FORCE}")
    elif champion and not rivals and newest != digest:
        others = ", ".join(str(one.number) for one in model.versions if _digest(one, runs) not in ("", digest))
        problem = f"no other version of {name} was tested on the champion's test set {digest}"
        problem += f"; tested on others: version {others}"
        raise BadInput(problem, f"train with the champion's test data, {FORCE}")
    fitting = [version for version in model.versions if _digest(version, runs) == digest]
    best = max(fitting, key=lambda one: (_dev_f1(one, runs), one == champion, one.number))
    return Candidates(model, runs, digest, best)


def decide(candidates: Candidates, max_drop: float) -> Decision:
    """Decide whether the best version becomes champion.

    Errors: BadInput if the predictions of one of the two cannot be compared.
    """
    best, champion = candidates.best, candidates.champion
    if champion is None:
        why = f"version {best.number} has the best F1 on dev, and there is no champion"
        return Decision(best, f"{why}; the test set is that of the newest version")
    if best == champion:
        return Decision(None, f"version {champion.number} is champion already, and has the best F1 on dev")
    runs = [candidates.runs[version.run_id] for version in (champion, best)]
    evidence = read_evidence(runs)
    for version, run, role in zip((champion, best), runs, ("the champion, ", ""), strict=True):
        if lack := evidence.lacking.get(run.id):
            problem = f"{role}version {version.number} can't be compared: its run {run.id} {lack}"
            raise BadInput(problem, f"restore the artifacts of that run, {FORCE}")
    before, after = (evidence.predictions[run.id] for run in runs)
    return judge(best, champion, before, after, max_drop)


def judge(best: Version, champion: Version, before: Predictions, after: Predictions, max_drop: float) -> Decision:
    """Decide between two versions by their predictions, of the champion and of the best one by dev, on one test set."""
    compared = compare([after.counts], [before.counts])
    labels = label_scores(before, after)
    change = f"F1 on test {before.f1:.4f} → {after.f1:.4f}, p = {compared.p_value:.3g}"
    pair = f"version {best.number}, the best on dev, against version {champion.number}, the champion: {change}"
    if not (compared.difference > 0 and compared.significant):
        why = "no significant gain" if compared.difference > 0 else "no gain"
        return Decision(None, f"{why}: {pair}", refused=True, labels=labels)
    if fallen := [score for score in labels if score.falls(max_drop)]:
        told = ", ".join(f"{one_line(one.label)} {one.before:.4f} → {one.after:.4f}" for one in fallen)
        why = f"F1 falls by more than {max_drop:g} for {told}"
        return Decision(None, f"{why}: {pair}", refused=True, labels=labels)
    return Decision(best, f"a significant gain, and no label falls: {pair}", labels=labels)


def label_scores(before: Predictions, after: Predictions) -> list[LabelScore]:
    """Return the F1 of every label of the gold entities before and after, those with the most mentions first."""
    scores = []
    for label in {label for entities in before.gold_entities for _, _, label in entities}:
        counts = [sentence_counts(found.gold, found.predicted, label).sum(axis=0) for found in (before, after)]
        old, new = (precision_recall_f1([tuple(one)])[2] for one in counts)
        found, _, missed = counts[0]
        scores.append(LabelScore(label, int(found + missed), old, new))
    return sorted(scores, key=lambda score: (-score.mentions, score.label))


def show(candidates: Candidates, decision: Decision, max_drop: float) -> str:
    """Return the decision as Markdown: a table of the versions, and one of the labels if two were compared."""
    table = _table("Version", "Alias", "Framework", "Dev F1", "Test F1", "Test set", "Run", "Note")
    names: dict[int, list[str]] = {}
    for alias, number in candidates.model.aliases.items():
        names.setdefault(number, []).append(alias)
    for version in candidates.model.versions:
        run = candidates.runs.get(version.run_id)
        cells = [version.number, ", ".join(sorted(names.get(version.number, []))) or "–"]
        cells += (
            [run.framework, _score(run, "best_dev_f1"), _score(run, "test_f1"), run.test_digest] if run else 4 * "–"
        )
        table.add_row([_cell(cell) for cell in (*cells, version.run_id, _note(version, candidates))])
    parts = [f"# {one_line(candidates.model.name)}", str(table)]
    if decision.labels:
        table = _table("Label", "Mentions", "Before", "After", "Change", "Note")
        for score in decision.labels:
            note = "falls too far" if score.falls(max_drop) else ""
            if score.mentions < MIN_MENTIONS:
                note = f"under {MIN_MENTIONS} mentions: not judged"
            values = [f"{value:.4f}" for value in (score.before, score.after)]
            change = f"{score.after - score.before:+.4f}"
            table.add_row([_cell(cell) for cell in (score.label, score.mentions, *values, change, note)])
        parts.append(str(table))
    return "\n\n".join(parts)


def _digest(version: Version, runs: Mapping[str, Run]) -> str:
    """The test set of a version that can be chosen; empty for others."""
    run = runs.get(version.run_id)
    return run.test_digest if run and run.ranks("best_dev_f1") else ""


def _dev_f1(version: Version, runs: Mapping[str, Run]) -> float:
    return runs[version.run_id].metrics["best_dev_f1"]


def _note(version: Version, candidates: Candidates) -> str:
    digest = _digest(version, candidates.runs)
    if not digest:
        return "its run is gone" if version.run_id not in candidates.runs else "its run has no scores, or is unfinished"
    if digest != candidates.test_digest:
        return "another test set"
    return "best on dev" if version == candidates.best else ""


def _score(run: Run, metric: str) -> str:
    score = run.score(metric)
    return "–" if score is None else f"{score:.4f}"


def _table(*columns: str) -> PrettyTable:
    table = PrettyTable(columns)
    table.set_style(TableStyle.MARKDOWN)
    table.align = "l"
    for name in {"Version", "Dev F1", "Test F1", "Mentions", "Before", "After", "Change"} & set(columns):
        table.align[name] = "r"
    return table


def _cell(value: object) -> str:
    return one_line(str(value)).replace("|", "\\|")
