"""Repeat a tracked training from its commit, and tell whether the results are the same, and if not, why."""

from twinner.reproduction.checkout import checked_out
from twinner.reproduction.comparison import Comparison, compare_runs
from twinner.reproduction.inspection import Inspection, inspect
from twinner.reproduction.original import find_original, repeated_settings

__all__ = [
    "Comparison",
    "Inspection",
    "checked_out",
    "compare_runs",
    "find_original",
    "inspect",
    "repeated_settings",
]
