"""Parse a report: tables as rows of text, figures as Plotly's input."""

import json
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """A parsed page.

    tables: rows of cell texts; settings, sweeps: the same of the tables of those. headings, text: as displayed.
    figures: by title. dark_colours: by light colour. tags: all tags with their attributes.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.settings: list[list[list[str]]] = []
        self.sweeps: list[list[list[str]]] = []
        self._table: list[list[str]] = []
        self.headings: list[str] = []
        self.text = ""
        self.figures: dict[str, Any] = {}
        self.dark_colours: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._stack: list[str] = []
        self._json = ""
        self._script: str | None = ""
        self.feed(page)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._stack.append(tag)
        if tag == "table":
            self._table = []
            named = {"data-settings": self.settings, "data-sweeps": self.sweeps}
            next((tables for name, tables in named.items() if name in dict(attrs)), self.tables).append(self._table)
        elif tag == "tr":
            self._table.append([])
        elif tag in ("td", "th"):
            self._table[-1].append("")
        elif tag in ("h1", "h2", "h3", "h4"):
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._stack.pop() == tag, f"</{tag}> closes another element"
        if tag == "script" and self._json:
            if self._script == "dark-colours":
                self.dark_colours = json.loads(self._json)
            else:
                self.figures[self.headings[-1]] = json.loads(self._json)
            self._json = ""

    def handle_data(self, data: str) -> None:
        if self._stack and self._stack[-1] == "script":
            self._json = data if self.tags[-1][1].get("type") == "application/json" else ""
            self._script = self.tags[-1][1].get("id")
            return
        if self._stack and self._stack[-1] == "style":
            return
        self.text += f"{data} "
        if "td" in self._stack or "th" in self._stack:
            cell = self._table[-1]
            cell[-1] = " ".join(f"{cell[-1]} {data}".split())
        if {"h1", "h2", "h3", "h4"} & {*self._stack}:
            self.headings[-1] = " ".join(f"{self.headings[-1]} {data}".split())

    def column(self, title: str, table: int = 0) -> list[str]:
        """Return the cells of the column with this title."""
        head, *rows = self.tables[table][1:]
        return [row[head.index(title)] for row in rows]
