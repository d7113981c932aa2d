"""Render HTML pages: the parts that all share, and the errors page."""
