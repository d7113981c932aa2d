"""The pages that people look at: the report over many runs, and the errors of one."""

from twinner.report.choose import Choice
from twinner.report.errors_page import errors_page
from twinner.report.page import Report, build_report

__all__ = ["Choice", "Report", "build_report", "errors_page"]
