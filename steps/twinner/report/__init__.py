"""The report that compares many training runs: an HTML page for people, JSON and CSV for programs."""

from twinner.report.output import check_output, write_output
from twinner.report.page import Report, build_report
from twinner.report.sections import find_sections
from twinner.report.selection import Selection

__all__ = ["Report", "Selection", "build_report", "check_output", "find_sections", "write_output"]
