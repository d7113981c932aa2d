"""What to try next: plain statements that follow from the numbers, each with its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinner.evaluation.significance import LEVEL, Comparison
from twinner.report.predictions import Evidence
from twinner.report.sections import Section
from twinner.report.sweeps import Effect, Setting
from twinner.report.why import Slice
from twinner.tracking.read import LOWER_IS_BETTER, History, Run

FEW_MENTIONS = 30  # of a label in test; fewer, and its score says little
SMALL_GAP = 0.03  # between precision and recall: one that nobody need mend
BIG_GAP = 0.1  # between the recall of entities seen and not seen in training
WEAK = 0.05  # by which a label must lie below the F1 of all to be named
OVERSHOT = 0.01  # by which the last epoch must lie below the best to be worth a word


@dataclass(frozen=True)
class Advice:
    """One thing to try: in a few words, and the figures that speak for it."""

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
    """All that the numbers of a section with a winner say, the most telling first."""
    winner = section.winner
    assert winner is not None
    return [
        *_rivals(section, comparisons),
        *(advice for run in section.best_by_framework.values() for advice in _epochs(run, histories)),
        *(advice for effect in effects for advice in _edge(effect, section.metric)),
        *_seeds(section, settings),
        *_unseen(winner, slices),
        *_labels(section, winner, evidence.support),
        *_balance(winner),
        *([] if effects else [_no_sweep(section)]),
    ]


def _rivals(section: Section, comparisons: Mapping[str, Comparison]) -> list[Advice]:
    """Runs that can't be told from the winner, and what the cheaper one saves."""
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
    return [Advice("Test on more sentences, or choose by cost: the two best can't be told apart", f"{why}.")]


def _epochs(run: Run, histories: History) -> list[Advice]:
    """Whether the dev score still rose at the end, or had long been falling."""
    metric = next((name for name in ("dev_f1", "dev_token_f1") if len(histories.get((run.id, name), ())) > 1), "")
    if not metric:
        return []
    points = histories[run.id, metric]
    (before, earlier), (last, final) = points[-2:]
    best_epoch, best = max(points, key=lambda point: (point[1], -point[0]))
    if best_epoch == last and final > earlier:
        why = f"{metric} rose from {earlier:.3f} (epoch {before}) to {final:.3f} (epoch {last}), its highest"
        return [Advice(f"{run.framework}: train for more than {last} epochs", f"Of {run.name}, {why}.")]
    if best_epoch <= last / 2 and best - final >= OVERSHOT:
        why = f"{metric} was highest at epoch {best_epoch} ({best:.3f}) and ended at {final:.3f} (epoch {last})"
        return [Advice(f"{run.framework}: a higher drop_rate, or fewer epochs", f"Of {run.name}, {why}.")]
    return []


def _edge(effect: Effect, metric: str) -> list[Advice]:
    """Whether the best value of a parameter lies at the edge of those that were tried; of epochs the curves tell."""
    if not effect.numeric or len(effect.means) < 3 or effect.parameter == "epochs":
        return []
    choose = min if metric in LOWER_IS_BETTER else max
    best = choose(effect.means, key=lambda value: effect.means[value])
    *_, last = effect.means
    first = next(iter(effect.means))
    if best not in (first, last) or len(set(effect.means.values())) == 1:
        return []
    side, word = ("lowest", "lower") if best == first else ("highest", "higher")
    tried = ", ".join(f"{value:g} ({score:.3f})" for value, score in effect.means.items())
    why = f"The best, {best:g}, is the {side} of those tried; mean {metric} of each: {tried}."
    return [Advice(f"{effect.framework}: a {word} {effect.parameter}", why)]


def _seeds(section: Section, settings: Sequence[Setting]) -> list[Advice]:
    """What the spread over seeds says of the winner's lead, or that it is unknown."""
    winner, second, metric = section.winner, section.runner_up, section.metric
    assert winner is not None
    own = next(setting for setting in settings if any(run.id == winner.id for run in setting.runs))
    spread = own.spread(metric)
    if spread is None:
        if second is None:
            return []
        repeat = "Repeat the winner with other seeds, such as seed=1 and seed=2"
        lead = f"its lead is {section.margin(second)}"
        return [Advice(repeat, f"It was run with one seed only, so how far chance moves it is unknown; {lead}.")]
    others = [setting for setting in settings if setting is not own]
    if not others:
        return []
    ahead = abs(own.mean(metric) - others[0].mean(metric))
    if ahead < spread:
        seeds = f"its standard deviation over {len(own.runs)} seeds is {spread:.4f}"
        why = f"Its mean is {ahead:.4f} from that of the next setting; {seeds}"
        return [Advice("More seeds before a setting is chosen: the lead is within their spread", f"{why}.")]
    return []


def _unseen(winner: Run, slices: Sequence[Slice]) -> list[Advice]:
    """Whether entities are found because their text was learnt by heart."""
    recalls = [part for part in slices if part.measure == "recall" and winner.id in part.scores]
    if len(recalls) != 2:
        return []
    seen, new = recalls
    if seen.scores[winner.id] - new.scores[winner.id] < BIG_GAP:
        return []
    why = (
        f"The winner finds {seen.scores[winner.id]:.1%} of the {seen.size:,} test entities whose text is in the "
        f"training data, and {new.scores[winner.id]:.1%} of the {new.size:,} others."
    )
    return [Advice("More varied entities in the training data, or pretrained vectors or embeddings", why)]


def _labels(section: Section, winner: Run, support: Mapping[str, int]) -> list[Advice]:
    """Labels whose score is not to be trusted, and the weakest of the others."""
    advice = []
    few = {label: support[label] for label in section.labels if support.get(label, FEW_MENTIONS) < FEW_MENTIONS}
    if few:
        listed = ", ".join(f"{label} ({count})" for label, count in sorted(few.items(), key=lambda pair: pair[1]))
        one = "one mention more or less moves its recall by"
        rarest = min(few.values())
        step = f"; of the rarest, {one} {100 / rarest:.0f} points" if rarest else ""
        what = f"Do not trust the F1 of {len(few)} label{'s' if len(few) > 1 else ''}: test has too few mentions"
        advice.append(Advice(what, f"Fewer than {FEW_MENTIONS}: {listed}{step}."))
    trusted = [label for label in section.labels if label in support and label not in few]
    scores = {label: score for label in trusted if (score := winner.score(f"test_f1_{label}")) is not None}
    overall = winner.score("test_f1")
    if scores and overall is not None:
        weakest = min(scores, key=lambda label: scores[label])
        if scores[weakest] < overall - WEAK:
            mentions = f"{support[weakest]:,} mentions"
            why = f"Its test F1 is {scores[weakest]:.3f} over {mentions}, that of all labels {overall:.3f}."
            advice.append(Advice(f"More training mentions of {weakest}, or a clearer guideline for it", why))
    return advice


def _balance(winner: Run) -> list[Advice]:
    """Whether it misses more than it invents, or the other way round."""
    precision, recall = winner.score("test_precision"), winner.score("test_recall")
    if precision is None or recall is None or abs(precision - recall) < SMALL_GAP:
        return []
    why = f"The winner's precision is {precision:.3f}, its recall {recall:.3f}."
    if recall < precision:
        return [Advice("It misses more than it invents: look for unannotated mentions in train, or train longer", why)]
    return [Advice("It invents more than it misses: look at the spurious ones below, or drop more", why)]


def _no_sweep(section: Section) -> Advice:
    rates = sorted({f"{run.framework}: {run.params.get('drop_rate', 'unknown')}" for run in section.ranked})
    what = "Try other values of drop_rate, epochs and lr"
    return Advice(what, f"Each framework was run with one setting only; drop_rate, {', '.join(rates)}.")
