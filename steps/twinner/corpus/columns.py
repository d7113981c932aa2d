"""The layout of column files: separator, comments, and which columns hold the tokens and the tags."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path

from twinner.corpus.lines import numbered_lines
from twinner.corpus.schemes import is_tag, misspelt_tag
from twinner.errors import BadInput

DOCSTART = "-DOCSTART-"
_SAMPLE = 1000  # lines that a file's layout is recognised from
_MOSTLY = 0.5  # share of the sampled rows that must fit; the others are then reported as errors
_MIN_NUMBERS = 10  # rows of numbers alone that are no coincidence
_HEADER_TOKENS = {"token", "tokens", "word", "words", "form", "text", "id", "index", "sentence", "sentence #"}
_HEADER_TAGS = {"tag", "tags", "ner", "ner_tag", "ner_tags", "label", "labels", "iob", "iob2", "bio", "entity", "ne"}
_CHUNKS = {"NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"}  # syntax, not entities
_MULTIWORD = re.compile(r"\d+[-.]\d+")  # the number of a multiword token or an empty node in CoNLL-U
_NEW_DOCUMENT = re.compile(r"#\s*newdoc\b")  # CoNLL-U's comment


@dataclass(frozen=True)
class Layout:
    """How the rows of a column file are read.

    separator: a tab, or a space for runs of spaces. width: columns of a row, as in line `first_line`.
    token, tag: indices of their columns. numbered: whether the first column numbers the tokens of a sentence.
    note: a warning for the user; may be empty.
    """

    separator: str
    width: int
    first_line: int
    token: int = 0
    tag: int = -1
    numbered: bool = False
    note: str = ""


def read_rows(file: Path) -> tuple[Layout | None, Iterator[tuple[int, str, str]]]:
    """The layout of a column file, None if it has no rows, and its rows as (line, token, tag).

    At a blank line the token is empty, at the start of a document the tag is DOCSTART too. Comments are skipped.
    Errors: BadInput for a file of no known layout and, while iterating, for a row that does not fit.
    """
    lines = numbered_lines(file)
    sample = list(islice(lines, _SAMPLE))
    layout = _recognise_layout(file, sample)
    return layout, _rows(file, chain(sample, lines), layout) if layout else iter(())


def split_columns(line: str, separator: str) -> list[str]:
    """The columns of a line; empty for a blank line. separator: a tab or a space."""
    line = line.rstrip(" \t")
    columns = line.split(separator)
    if separator == " " and "" in columns:  # a run of spaces is one separator
        columns = [column for column in columns if column]
    return columns if line else []


def separator_of(line: str) -> str:
    """A tab if the line has one before its last column, else a space."""
    return "\t" if "\t" in line.rstrip(" \t") else " "


def _recognise_layout(file: Path, sample: Sequence[tuple[int, str]]) -> Layout | None:
    rows = [(number, line) for number, line in sample if line.strip(" \t") and not line.startswith(DOCSTART)]
    if not rows:
        return None
    first, line = next((row for row in rows if not row[1].startswith("#")), rows[0])
    separator = separator_of(line)
    columns = split_columns(line, separator)
    layout = Layout(separator, len(columns), first)
    words = {columns[0].lower()} & _HEADER_TOKENS, {columns[-1].lower()} & _HEADER_TAGS
    if any(words) and not is_tag(columns[-1]):
        start = repr(line[:40])
        raise BadInput(f"the row {start} is a header", "remove it: each row is a token", file, first, [start])
    if layout.width < 3:
        return layout
    sentences: list[list[list[str]]] = [[]]
    for _, line in sample:
        columns = split_columns(line, separator)
        if not columns or line.startswith(DOCSTART):
            sentences.append([])
        elif not sentences[-1] and line[0] == "#" and _is_comment(line, columns, layout):
            continue
        elif len(columns) == layout.width and not _MULTIWORD.fullmatch(columns[0]):
            sentences[-1].append(columns)
    return _recognise_numbers(file, layout, [sentence for sentence in sentences if sentence])


def _recognise_numbers(file: Path, layout: Layout, sentences: Sequence[Sequence[Sequence[str]]]) -> Layout:
    """The layout with the token in the second column if the first one numbers the tokens.

    The tags are then in the first column that holds entity tags: in GermEval, which has a second one for the entities
    within, those are the outer entities.
    """
    rows = [row for sentence in sentences for row in sentence]
    if not rows:
        return layout
    numbers = [[int(row[0]) if re.fullmatch("[0-9]{1,9}", row[0]) else None for row in each] for each in sentences]
    follow = [after == before + 1 for each in numbers for before, after in pairwise(each) if before is not None]
    first = [each[0] in (0, 1) for each in numbers]
    if not ((follow or len(first) > 1) and _is_mostly(follow) and _is_mostly(first)):
        if len(rows) >= _MIN_NUMBERS and all(number is not None for each in numbers for number in each):
            problem = "the first column holds numbers, but they don't count the tokens of a sentence as 1, 2, 3, …"
            raise BadInput(problem, "remove that column: the token comes first", file, layout.first_line)
        return layout
    tags = [index for index in range(2, layout.width) if _is_mostly([_is_entity_tag(row[index]) for row in rows])]
    note = ""
    if len(tags) > 1:
        names = " and ".join(str(index + 1) for index in tags)
        note = f"columns {names} hold tags; column {tags[0] + 1} is used, which in GermEval holds the outer entities"
    tag = tags[0] if tags else layout.width - 1
    return Layout(layout.separator, layout.width, layout.first_line, 1, tag, True, note)


def _is_mostly(fits: Sequence[bool]) -> bool:
    return sum(fits) >= _MOSTLY * len(fits)


def _is_entity_tag(text: str) -> bool:
    return is_tag(text) and text[2:] not in _CHUNKS


def _rows(file: Path, lines: Iterator[tuple[int, str]], layout: Layout) -> Iterator[tuple[int, str, str]]:
    separator, width, token, tag = layout.separator, layout.width, layout.token, layout.tag
    counted = -1  # the number of the previous row of the sentence; -1 before the first
    begins = True  # a sentence may begin here
    for number, line in lines:
        if line.startswith(DOCSTART):
            yield number, "", DOCSTART
            counted, begins = -1, True
            continue
        columns = split_columns(line, separator)
        if not columns:
            yield number, "", ""
            counted, begins = -1, True
            continue
        if begins and line[0] == "#" and _is_comment(line, columns, layout):
            if _NEW_DOCUMENT.match(line):
                yield number, "", DOCSTART
            continue
        begins = False
        if len(columns) != width or width < 2 or not columns[token]:
            raise _ragged(file, number, line, len(columns), layout)
        if layout.numbered:
            if _MULTIWORD.fullmatch(columns[0]):
                continue  # its words follow in rows of their own
            if columns[0] != str(counted + 1) and not (counted == -1 and columns[0] == "1"):
                expected = counted + 1 if counted >= 0 else 1
                problem = f"the row begins with {columns[0]!r} where the number {expected} is expected"
                remedy = "number the tokens of each sentence 1, 2, 3, …, with a blank line between sentences"
                raise BadInput(problem, remedy, file, number, [repr(columns[0])])
            counted = int(columns[0])
        yield number, columns[token], columns[tag]


def _is_comment(line: str, columns: Sequence[str], layout: Layout) -> bool:
    """Whether a line that begins a sentence with `#` is a comment, and not a row whose token begins with `#`."""
    words = line.split()
    if len(columns) == layout.width and (is_tag(columns[layout.tag]) or misspelt_tag(columns[layout.tag])):
        return False
    if words[0] == "#":
        return len(words) != 2 or not is_tag(words[1])  # else a row with a wrong separator
    return len(columns) != layout.width and len(words) > 1 and not is_tag(words[-1])


def _ragged(file: Path, number: int, line: str, found: int, layout: Layout) -> BadInput:
    start = repr(line[:40])
    if layout.width < 2:
        problem, remedy = f"{start} has one column", "write the token first and its tag last, a tab between them"
    elif found == layout.width:
        which = "second" if layout.token else "first"
        problem, remedy = f"{start} has no token in its {which} column", "write the token there"
    else:
        count = f"{found} {'column' if found == 1 else 'columns'}"
        problem = f"{start} has {count} where line {layout.first_line} has {layout.width}"
        remedy = "give every line the same columns, with the tag last"
    return BadInput(problem, remedy, file, number, [start])
