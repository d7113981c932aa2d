"""Suggest what to try next, each suggestion with the figures behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinner.evaluation.significance import LEVEL, Comparison
from twinner.report.error_analysis import Slice
from twinner.report.predictions import Evidence
from twinner.report.sections import Section
from twinner.report.sweeps import Effect, Setting
from twinner.tracking.read import LOWER_IS_BETTER, History, Run

MAX_LISTED = 8  # values of a parameter
MIN_MENTIONS = 30  # of a label in test, for its score to mean much
MIN_IMBALANCE = 0.03  # between precision and recall
MIN_UNSEEN_GAP = 0.1  # between the recall of entities seen and not seen in training
MIN_WEAKNESS = 0.05  # of a label's F1 below the overall F1
MIN_OVERSHOOT = 0.01  # of the last epoch's score below the best one


@dataclass(frozen=True)
class Advice:
    """One suggestion and the figures behind it."""

    what: str
    why: str


def advise(
    section: Section,
    histories: History,
    evidence: Evidence,
    settings: Sequence[Setting],
    effects: Sequence[Effect],
    comparisons: Mapping[str, Comparison],
    slices: Sequence[Slice],
) -> list[Advice]:
    """Return the suggestions for a section that has a winner, the most important first."""
    winner = section.winner
    assert winner is not None
    return [
        *_close_rivals(section, comparisons),
        *(advice for run in section.best_by_framework.values() for advice in _training_length(run, histories)),
        *(advice for effect in effects for advice in _range_edge(effect, section.metric)),
        *_seeds(section, settings),
        *_memorisation(winner, slices),
        *_labels(section, winner, evidence.support),
        *_precision_and_recall(winner),
        *([] if effects or section.experiment else [_no_sweep(section)]),
    ]


def _close_rivals(section: Section, comparisons: Mapping[str, Comparison]) -> list[Advice]:
    """Whether the runner-up differs significantly from the winner, and how much time it saves."""
    winner, second = section.winner, section.runner_up
    compared = comparisons.get(second.id) if second else None
    if section.metric != "test_f1" or winner is None or second is None or compared is None or compared.significant:
        return []
    why = (
        f"Winner and runner-up differ on {compared.differing:,} of {compared.sentences:,} test sentences; "
        f"p = {compared.p_value:.2f} is not below {LEVEL}"
    )
    times = winner.score("training_time"), second.score("training_time")
    if times[0] and times[1] and times[0] > 1.5 * times[1]:
        why += f"; the runner-up trained in {times[1]:,.0f} s, the winner in {times[0]:,.0f} s"
    what = "Test on more sentences, or choose by cost: the two best do not differ significantly"
    return [Advice(what, f"{why}.")]


def _training_length(run: Run, histories: History) -> list[Advice]:
    """Whether the dev score was still rising at the end, or had peaked long before."""
    metric = next((name for name in ("dev_f1", "dev_token_f1") if len(histories.get((run.id, name), ())) > 1), "")
    if not metric:
        return []
    points = histories[run.id, metric]
    framework = run.framework or "Unknown framework"
    (before, earlier), (last, final) = points[-2:]
    best_epoch, best = max(points, key=lambda point: (point[1], -point[0]))
    if best_epoch == last and final > earlier:
        why = f"{metric} was still rising at the end, from {earlier:.3f} (epoch {before}) to {final:.3f} (epoch {last})"
        return [Advice(f"{framework}: train for more than {last} epochs", f"In {run.label}, {why}.")]
    if best_epoch <= last / 2 and best - final >= MIN_OVERSHOOT:
        why = f"{metric} peaked at epoch {best_epoch} ({best:.3f}) and ended at {final:.3f} (epoch {last})"
        return [Advice(f"{framework}: try a higher drop_rate or fewer epochs", f"In {run.label}, {why}.")]
    return []


def _range_edge(effect: Effect, metric: str) -> list[Advice]:
    """Whether a parameter's best value is the lowest or highest tried; for epochs, see the learning curves."""
    if not effect.numeric or len(effect.means) < 3 or effect.parameter == "epochs":
        return []
    choose = min if metric in LOWER_IS_BETTER else max
    best = choose(effect.means, key=lambda value: effect.means[value])
    *_, last = effect.means
    first = next(iter(effect.means))
    if best not in (first, last) or len(set(effect.means.values())) == 1:
        return []
    side, word = ("lowest", "lower") if best == first else ("highest", "higher")
    why = f"The best value, {best:g}, is the {side} of {len(effect.means)} tried"
    if len(effect.means) <= MAX_LISTED:
        tried = ", ".join(f"{value:g} ({score:.3f})" for value, score in effect.means.items())
        why += f"; mean {metric} by value: {tried}"
    return [Advice(f"{effect.framework or 'Unknown framework'}: try a {word} {effect.parameter}", f"{why}.")]


def _seeds(section: Section, settings: Sequence[Setting]) -> list[Advice]:
    """Whether the winner's lead exceeds the spread over seeds, if there are several."""
    winner, second, metric = section.winner, section.runner_up, section.metric
    assert winner is not None
    own = next(setting for setting in settings if any(run.id == winner.id for run in setting.runs))
    spread = own.spread(metric)
    if spread is None:
        if second is None or section.experiment:
            return []
        repeat = "Repeat the winner with other seeds, such as seed=1 and seed=2"
        lead = f"its lead is {section.margin(second)}"
        return [Advice(repeat, f"It was run with a single seed, so its variance is unknown; {lead}.")]
    others = [setting for setting in settings if setting is not own]
    if not others:
        return []
    ahead = abs(own.mean(metric) - others[0].mean(metric))
    if ahead < spread:
        seeds = f"its standard deviation over {len(own.runs)} seeds is {spread:.4f}"
        why = f"The winner's mean is {ahead:.4f} from that of the next setting; {seeds}"
        return [Advice("Run more seeds before choosing: the winner's lead is within the spread over seeds", f"{why}.")]
    return []


def _memorisation(winner: Run, slices: Sequence[Slice]) -> list[Advice]:
    """Whether entities seen in training are found much more often than others."""
    recalls = [part for part in slices if part.measure == "recall" and winner.id in part.scores]
    if len(recalls) != 2:
        return []
    seen, new = recalls
    if seen.scores[winner.id] - new.scores[winner.id] < MIN_UNSEEN_GAP:
        return []
    why = (
        f"The winner finds {seen.scores[winner.id]:.1%} of the {seen.size:,} test entities whose text occurs in "
        f"training, and {new.scores[winner.id]:.1%} of the {new.size:,} others."
    )
    return [Advice("Add more varied entities to the training data, or use pretrained vectors or embeddings", why)]


def _labels(section: Section, winner: Run, support: Mapping[str, int]) -> list[Advice]:
    """Labels with too few mentions for a reliable score, and the weakest of the others."""
    advice = []
    few = {label: support[label] for label in section.labels if support.get(label, MIN_MENTIONS) < MIN_MENTIONS}
    if few:
        listed = ", ".join(f"{label} ({count})" for label, count in sorted(few.items(), key=lambda pair: pair[1]))
        rarest = min(few.values())
        step = f"; for the rarest, a single mention changes recall by {100 / rarest:.0f} points" if rarest else ""
        what = f"Do not rely on the F1 of {len(few)} label{'s' if len(few) > 1 else ''}: test has too few mentions"
        advice.append(Advice(what, f"Fewer than {MIN_MENTIONS}: {listed}{step}."))
    trusted = [label for label in section.labels if label in support and label not in few]
    scores = {label: score for label in trusted if (score := winner.score(f"test_f1_{label}")) is not None}
    overall = winner.score("test_f1")
    if scores and overall is not None:
        weakest = min(scores, key=lambda label: scores[label])
        if scores[weakest] < overall - MIN_WEAKNESS:
            mentions = f"{support[weakest]:,} mentions"
            why = f"Its test F1 is {scores[weakest]:.3f} over {mentions}; the overall F1 is {overall:.3f}."
            advice.append(Advice(f"Annotate more {weakest} mentions for training, or clarify its guideline", why))
    return advice


def _precision_and_recall(winner: Run) -> list[Advice]:
    """Whether precision and recall differ much."""
    precision, recall = winner.score("test_precision"), winner.score("test_recall")
    if precision is None or recall is None or abs(precision - recall) < MIN_IMBALANCE:
        return []
    why = f"The winner's precision is {precision:.3f}, its recall {recall:.3f}."
    if recall < precision:
        return [Advice("Recall is below precision: look for unannotated mentions in train, or train longer", why)]
    return [Advice("Precision is below recall: look at the spurious entities below, or try a higher drop_rate", why)]


def _no_sweep(section: Section) -> Advice:
    rates = sorted({f"{run.framework}: {run.params.get('drop_rate', 'unknown')}" for run in section.ranked})
    what = "Try other values of drop_rate, epochs and lr"
    return Advice(what, f"Each framework was run with a single setting; drop_rate, {', '.join(rates)}.")
