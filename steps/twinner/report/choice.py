"""Runs are chosen on dev and told on test: what the score of a choice is worth, in words."""

import re
from dataclasses import dataclass

from twinner.report.sections import Section
from twinner.report.settings import Setting
from twinner.tracking.ranking import CHOICE, FALLBACK, LOWER_IS_BETTER

TOLD = "test_f1"  # the score of a chosen setting
ON_DEV = r"(best_)?dev[_/].+"
ON_TEST = r"test[_/].+|accuracy|(macro|weighted) avg_.+|([BI]-.+|O)_(precision|recall|f1-score)"
NO_SCORES = LOWER_IS_BETTER | {"test_words_per_second"}
SAME_SENTENCES = "the score rests on the sentences that it was chosen on, so it flatters"


@dataclass(frozen=True)
class OtherChoice:
    """The setting that another metric would have chosen.

    metric: `test_f1` for a choice on dev, `best_dev_f1` for one on test. flattery: mean test F1 of the choice on test
    minus that of the choice on dev.
    """

    metric: str
    setting: Setting
    flattery: float


def is_on_dev(metric: str) -> bool:
    """Whether a metric is a score on dev."""
    return bool(re.fullmatch(ON_DEV, metric))


def is_on_test(metric: str) -> bool:
    """Whether a metric is a score on test."""
    return bool(re.fullmatch(ON_TEST, metric)) and metric not in NO_SCORES


def told_metric(section: Section) -> str:
    """Return the metric of the headline: for a choice on dev test F1, if the winner has it, else what ranks."""
    winner = section.winner
    return TOLD if winner and is_on_dev(section.metric) and winner.has(TOLD) else section.metric


def other_choice(section: Section) -> OtherChoice | None:
    """Return the choice on test for a ranking on dev, and the reverse; None if it is the same or cannot be told."""
    winner = section.winner
    if winner is None or not winner.has(TOLD) or not (is_on_dev(section.metric) or is_on_test(section.metric)):
        return None
    metric = TOLD if is_on_dev(section.metric) else CHOICE
    rivals = [setting for setting in section.settings if setting.has(metric) and setting.has(TOLD)]
    best = max(rivals, key=lambda setting: setting.mean(metric), default=winner)
    if best is winner or (winner.has(metric) and winner.mean(metric) == best.mean(metric)):
        return None
    difference = best.mean(TOLD) - winner.mean(TOLD)
    return OtherChoice(metric, best, difference if metric == TOLD else -difference)


def warnings_about(section: Section) -> list[str]:
    """Return a sentence for each thing that makes the winner's score worth less, or would have made it."""
    winner = section.winner
    if winner is None:
        return []
    warnings = []
    if section.metric == FALLBACK != section.asked:
        warnings.append(f"No run here has {section.asked}, so they are ranked by {FALLBACK}: {SAME_SENTENCES}.")
    elif is_on_test(section.metric):
        warnings.append(f"Ranked by {section.metric}, as asked: {SAME_SENTENCES}. Leave metric out to choose on dev.")
    other = other_choice(section)
    if other:
        description = section.describe(other.setting)
        name = other.setting.best.label + (f" ({description})" if description else "")
        own, its = winner.mean(TOLD), other.setting.mean(TOLD)
        if other.metric == TOLD:
            warnings.append(
                f"Chosen on test, the winner would have been {name}, with a test F1 of {its:.4f} instead of {own:.4f}: "
                f"a claim that flatters by {_points(other.flattery)}, as the sentences that choose a setting cannot "
                "also measure it."
            )
        else:
            warnings.append(
                f"Chosen on dev, by {other.metric}, the winner would have been {name}, with a test F1 of {its:.4f}: "
                f"the choice on test flatters by {_points(other.flattery)}."
            )
    return warnings


def _points(difference: float) -> str:
    return f"{100 * difference:.2f} points"
