"""Suggest what to try next: the figures behind each suggestion, of dev alone, and the command that does it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from twinner.parameters import PARAMETERS
from twinner.report.commands import Changes, rerun_command
from twinner.report.sections import Section
from twinner.report.settings import Setting
from twinner.report.sweeps import Effect, parameter_effects
from twinner.tracking.params import number
from twinner.tracking.run import History

MAX_LISTED = 8  # values of a parameter
MIN_IMBALANCE = 0.03  # between precision and recall
MIN_WEAKNESS = 0.05  # of a label's F1 below the overall F1
MIN_OVERSHOOT = 0.01  # of the last epoch's score below the best one
MAX_SACRIFICE = 0.01  # of the score, for a training that is much faster
MIN_SPEEDUP = 1.5
MORE_SEEDS = 2  # in a suggestion
STEP = 0.1  # of drop_rate
RATIOS = frozenset({"lr", "batch_size"})  # tried at equal ratios; other parameters at equal distances
UNORDERED = frozenset({"epochs", "patience", "limit"})  # see the curves for epochs; of the others 0 is no low value


@dataclass(frozen=True)
class Advice:
    """One suggestion, the figures behind it, and the shell commands that follow it.

    command: one a line; empty if no run does what is suggested.
    """

    what: str
    why: str
    command: str = ""


def advise(
    section: Section, histories: History, label_scores: Mapping[str, float], managers: Mapping[str, str]
) -> list[Advice]:
    """Return the suggestions for a section that is ranked on dev and has a winner, the most important first.

    histories: of dev scores. label_scores: the winner's mean F1 on dev by label. managers: the `--env-manager` of the
    best runs, by run id.
    """
    return list(_Adviser(section, histories, label_scores, managers).advice())


@dataclass(frozen=True)
class _Adviser:
    section: Section
    histories: History
    label_scores: Mapping[str, float]
    managers: Mapping[str, str]

    def advice(self) -> Iterator[Advice]:
        section = self.section
        assert section.winner is not None
        effects = parameter_effects(section.settings, section.metric)
        yield from self._cost()
        for setting in section.best_by_framework.values():
            yield from self._training_length(setting)
        for effect in effects:
            yield from self._range_edge(effect)
        if not section.experiment:
            yield from self._seeds()
        yield from self._labels(section.winner)
        yield from self._precision_and_recall(section.winner)
        if not effects and not section.experiment:
            yield self._no_sweep()

    def _command(self, setting: Setting, changes: Changes | None = None) -> str:
        return rerun_command(setting.best, self.managers.get(setting.id, ""), changes)

    def _try(self, setting: Setting, name: str, neighbour: float) -> str:
        """The command that tries further values of a parameter, away from another value; empty if there are none."""
        value = number(setting.best.params.get(name))
        further = [] if value is None else values_beyond(name, value, neighbour)
        return self._command(setting, {name: further}) if further else ""

    def _cost(self) -> Iterator[Advice]:
        """Whether the runner-up is nearly as good, and much faster."""
        winner, second, metric = self.section.winner, self.section.runner_up, self.section.metric
        if not (winner and second and winner.has("training_time") and second.has("training_time")):
            return
        slow, fast = winner.mean("training_time"), second.mean("training_time")
        if winner.mean(metric) - second.mean(metric) <= MAX_SACRIFICE and fast > 0 and slow > MIN_SPEEDUP * fast:
            scores = f"its {metric} is {second.mean(metric):.4f}, the winner's {winner.mean(metric):.4f}"
            why = f"The runner-up trained in {fast:,.0f} s, the winner in {slow:,.0f} s; {scores}."
            yield Advice("Consider the runner-up: nearly as good on dev, and faster", why, self._command(second))

    def _training_length(self, setting: Setting) -> Iterator[Advice]:
        """Whether the dev score was still rising at the end, or had peaked long before."""
        run, histories = setting.best, self.histories
        metric = next((name for name in ("dev_f1", "dev_token_f1") if len(histories.get((run.id, name), ())) > 1), "")
        if not metric:
            return
        points = histories[run.id, metric]
        framework = setting.framework or "Unknown framework"
        (before, earlier), (last, final) = points[-2:]
        best_epoch, best = max(points, key=lambda point: (point[1], -point[0]))
        if best_epoch == last and final > earlier:
            rise = f"from {earlier:.3f} (epoch {before}) to {final:.3f} (epoch {last})"
            why = f"In {run.label}, {metric} was still rising at the end, {rise}."
            longer = self._command(setting, {"epochs": [2 * last]})
            yield Advice(f"{framework}: train for more than {last} epochs", why, longer)
        elif best_epoch <= last / 2 and best - final >= MIN_OVERSHOOT:
            peak = f"peaked at epoch {best_epoch} ({best:.3f}) and ended at {final:.3f} (epoch {last})"
            rate = number(run.params.get("drop_rate"))
            command = "" if rate is None else self._try(setting, "drop_rate", rate - STEP)
            yield Advice(f"{framework}: try a higher drop_rate", f"In {run.label}, {metric} {peak}.", command)

    def _range_edge(self, effect: Effect) -> Iterator[Advice]:
        """Whether a parameter's best value is the lowest or highest tried."""
        setting = self.section.best_by_framework.get(effect.framework)
        if not setting or not effect.numeric or len(effect.means) < 3 or effect.parameter in UNORDERED:
            return
        values = [value for value in effect.means if isinstance(value, float)]
        best = max(values, key=lambda value: effect.means[value])
        if best not in (values[0], values[-1]) or len(set(effect.means.values())) == 1:
            return
        is_lowest = best == values[0]
        side, word = ("lowest", "lower") if is_lowest else ("highest", "higher")
        further = values_beyond(effect.parameter, best, values[1] if is_lowest else values[-2])
        if not further:
            return
        why = f"The best value, {best:g}, is the {side} of {len(values)} tried"
        if len(values) <= MAX_LISTED:
            tried = ", ".join(f"{value:g} ({effect.means[value]:.3f})" for value in values)
            why += f"; mean {self.section.metric} by value: {tried}"
        what = f"{effect.framework or 'Unknown framework'}: try a {word} {effect.parameter}"
        yield Advice(what, f"{why}.", self._command(setting, {effect.parameter: further}))

    def _seeds(self) -> Iterator[Advice]:
        """Whether the winner's lead exceeds the spread over seeds, if there are several."""
        winner, second, metric = self.section.winner, self.section.runner_up, self.section.metric
        if not winner or not second:
            return
        spreads = {"winner": winner.spread(metric), "runner-up": second.spread(metric)}
        single = [role for role, spread in spreads.items() if spread is None]
        commands = _lines(
            self._command(setting, {"seed": _other_seeds(setting)})
            for role, setting in zip(spreads, (winner, second), strict=True)
            if role in single or not single
        )
        tie = winner.mean(metric) == second.mean(metric)
        lead = (
            f"both have the same {metric}" if tie else f"the winner's lead in {metric} is {self.section.margin(second)}"
        )
        if single:
            what = f"Repeat the {' and the '.join(single)} with other seeds"
            yield Advice(what, f"With a single seed the variance is unknown; {lead}.", commands)
            return
        widest = max(spread for spread in spreads.values() if spread is not None)
        ahead = abs(winner.mean(metric) - second.mean(metric))
        if ahead < widest:
            seeds = f"the larger standard deviation over their seeds is {widest:.4f}"
            why = f"The winner's mean {metric} is {ahead:.4f} from that of the next setting; {seeds}."
            what = "Run more seeds before choosing: the winner's lead is within the spread over seeds"
            yield Advice(what, why, commands)

    def _labels(self, winner: Setting) -> Iterator[Advice]:
        """The weakest label, if it is much weaker than all together."""
        if not self.label_scores or not winner.has("best_dev_f1"):
            return
        overall = winner.mean("best_dev_f1")
        weakest = min(self.label_scores, key=lambda label: self.label_scores[label])
        score = self.label_scores[weakest]
        if score < overall - MIN_WEAKNESS:
            why = f"Its F1 on dev is {score:.3f}; the overall F1 on dev is {overall:.3f}."
            yield Advice(f"Annotate more {weakest} mentions for training, or clarify its guideline", why)

    def _precision_and_recall(self, winner: Setting) -> Iterator[Advice]:
        """Whether precision and recall differ much."""
        names = "best_dev_precision", "best_dev_recall"
        if not all(map(winner.has, names)):
            return
        precision, recall = map(winner.mean, names)
        why = f"On dev the winner's precision is {precision:.3f}, its recall {recall:.3f}."
        if precision - recall >= MIN_IMBALANCE:
            epochs = number(winner.best.params.get("epochs"))
            command = self._command(winner, {"epochs": [int(2 * epochs)]}) if epochs else ""
            what = "Recall is below precision: look for unannotated mentions in train, or train longer"
            yield Advice(what, why, command)
        elif recall - precision >= MIN_IMBALANCE:
            rate = number(winner.best.params.get("drop_rate"))
            command = "" if rate is None else self._try(winner, "drop_rate", rate - STEP)
            what = "Precision is below recall: look at the errors on dev, or try a higher drop_rate"
            yield Advice(what, why, command)

    def _no_sweep(self) -> Advice:
        rates, commands = [], []
        for framework, setting in self.section.best_by_framework.items():
            text = setting.best.params.get("drop_rate", "")
            rates.append(f"{framework}: {text or 'unknown'}")
            if (rate := number(text)) is not None:
                lower, higher = (values_beyond("drop_rate", rate, rate + step) for step in (STEP, -STEP))
                around = [*lower[:1], *higher]
                commands.append(self._command(setting, {"drop_rate": around}))
        why = f"Each framework was run with a single setting; drop_rate, {', '.join(rates)}."
        return Advice("Try other values of drop_rate, then of lr", why, _lines(commands))


def values_beyond(name: str, value: float, neighbour: float) -> list[int | float]:
    """Return up to two values of a parameter, on the side of `value` that is away from a neighbour, as far apart.

    Where none is in range, one is returned that is half-way to its end, or none at the end.
    """
    parameter = PARAMETERS[name]
    if name in RATIOS and value > 0 and neighbour > 0:
        candidates = [value * (value / neighbour) ** power for power in (1, 2)]
    else:
        candidates = [value + times * (value - neighbour) for times in (1, 2)]
    halfway = value / 2 if value < neighbour else (1 + value) / 2

    def spelled(candidate: float) -> int | float:
        # Without `round`, 0.1 + 2 * (0.1 - 0.15) is not 0.
        return round(candidate) if parameter.kind is int else float(f"{round(candidate, 12):.4g}")

    valid = [one for one in map(spelled, candidates) if parameter.is_valid(one) and one != value]
    if not valid and parameter.is_valid(spelled(halfway)) and spelled(halfway) != value:
        valid = [spelled(halfway)]
    return list(dict.fromkeys(valid))


def _other_seeds(setting: Setting) -> Sequence[int]:
    """The lowest seeds that a setting was not run with."""
    used = {run.params.get("seed") for run in setting.runs}
    return [seed for seed in range(len(used) + MORE_SEEDS) if str(seed) not in used][:MORE_SEEDS]


def _lines(commands: Iterable[str]) -> str:
    return "\n".join(filter(None, commands))
