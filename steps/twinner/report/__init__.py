"""The pages that people look at: the report over many runs, and the errors of one."""

from twinner.report.choose import Choice
from twinner.report.errors_page import errors_page
from twinner.report.output import check_output, write_output
from twinner.report.page import Report, build_report
from twinner.report.runs import check_store

__all__ = ["Choice", "Report", "build_report", "check_output", "check_store", "errors_page", "write_output"]
