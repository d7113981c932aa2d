"""The report over many runs: one page, for people, and the same as data, for programs."""

from twinner.report.choose import Choice
from twinner.report.output import check_output, write_output
from twinner.report.page import Report, build_report

__all__ = ["Choice", "Report", "build_report", "check_output", "write_output"]
