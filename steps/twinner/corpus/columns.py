"""The layout of column files: separator, comments, and which columns hold the tokens and the tags."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from pathlib import Path

from twinner.corpus.lines import numbered_lines
from twinner.corpus.schemes import is_tag, misspelt_tag
from twinner.errors import BadInput

DOCSTART: list[str] = []  # stands for a row that begins a document
_DOCSTART = "-DOCSTART-"
_BLANK: list[str] = []
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
    others: indices of further columns that hold tags. note: a warning for the user; may be empty.
    """

    separator: str
    width: int
    first_line: int
    token: int = 0
    tag: int = -1
    numbered: bool = False
    others: tuple[int, ...] = ()
    note: str = ""


def read_rows(file: Path, tag_column: str = "") -> tuple[Layout | None, Iterator[tuple[int, list[str]]]]:
    """The layout of a column file, None if it has no rows, and its rows as (line, columns).

    There are no columns at a blank line; at the start of a document they are DOCSTART itself. Comments are skipped.
    tag_column: as in `read_conll`.
    Errors: BadInput for a file of no known layout and, while iterating, for a row that does not fit.
    """
    lines = numbered_lines(file)
    sample = list(islice(lines, _SAMPLE))
    layout = _recognise_layout(file, sample, tag_column)
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


def starts_document(line: str) -> bool:
    """Whether a line is CoNLL's mark for the start of a document."""
    return line.startswith(_DOCSTART)


def _recognise_layout(file: Path, sample: Sequence[tuple[int, str]], tag_column: str) -> Layout | None:
    rows = [(number, line) for number, line in sample if line.strip(" \t") and not starts_document(line)]
    if not rows:
        return None
    first, line = next((row for row in rows if not row[1].startswith("#")), rows[0])
    separator = separator_of(line)
    columns = split_columns(line, separator)
    layout = Layout(separator, len(columns), first)
    words = {columns[0].lower()} & _HEADER_TOKENS, {columns[-1].lower()} & _HEADER_TAGS
    if any(words) and not any(map(is_tag, columns)):
        start = repr(line[:40])
        raise BadInput(f"the row {start} is a header", "remove it: each row is a token", file, first, [start])
    sentences: list[list[list[str]]] = [[]]
    for _, line in sample:
        columns = split_columns(line, separator)
        if not columns or starts_document(line):
            sentences.append([])
        elif not sentences[-1] and line[0] == "#" and _is_comment(line, columns, layout):
            continue
        elif len(columns) == layout.width and not _MULTIWORD.fullmatch(columns[0]):
            sentences[-1].append(columns)
    sentences = [sentence for sentence in sentences if sentence]
    if layout.width > 2:
        layout = replace(layout, numbered=_counts_tokens(file, layout, sentences))
    if tag_column:
        return _with_tag(layout, _chosen_tag(file, layout, tag_column))
    return _guess_tag(file, layout, [row for sentence in sentences for row in sentence])


def _counts_tokens(file: Path, layout: Layout, sentences: Sequence[Sequence[Sequence[str]]]) -> bool:
    """Whether the first column numbers the tokens of each sentence. Errors: BadInput for numbers that do not."""
    numbers = [[int(row[0]) if re.fullmatch("[0-9]{1,9}", row[0]) else None for row in each] for each in sentences]
    follow = [after == before + 1 for each in numbers for before, after in pairwise(each) if before is not None]
    first = [each[0] in (0, 1) for each in numbers]
    if (follow or len(first) > 1) and _is_mostly(follow) and _is_mostly(first):
        return True
    if sum(map(len, numbers)) >= _MIN_NUMBERS and all(number is not None for each in numbers for number in each):
        problem = "the first column holds numbers, but they don't count the tokens of a sentence as 1, 2, 3, …"
        raise BadInput(problem, "remove that column: the token comes first", file, layout.first_line)
    return False


def _chosen_tag(file: Path, layout: Layout, tag_column: str) -> int:
    if not re.fullmatch("-?[0-9]{1,9}", tag_column):
        problem = f"tag_column is {tag_column!r}, but the columns of this file have no names"
        raise BadInput(problem, "give a number: 1 is the first column, -1 the last", file)
    number = int(tag_column)
    tag = number - 1 if number > 0 else layout.width + number
    if not 0 <= tag < layout.width:
        problem = f"tag_column is {number}, but the rows have {layout.width} columns"
        raise BadInput(problem, "1 is the first column, -1 the last", file, layout.first_line)
    if layout.width == 1 or (layout.numbered and tag == 0):
        what = "numbers the tokens" if layout.numbered else "is the only one"
        remedy = "give the column that holds the tags"
        raise BadInput(f"tag_column is {number}, but that column {what}", remedy, file, layout.first_line)
    return tag


def _guess_tag(file: Path, layout: Layout, rows: Sequence[Sequence[str]]) -> Layout:
    """The layout with the tags in the last column, or in another if that one is clearly meant.

    Of numbered rows it is the first column that holds entity tags: in GermEval, which has a second one for the
    entities within, those are the outer entities.
    Errors: BadInput if several columns could be meant.
    """
    last = layout.width - 1
    tags = [
        index for index in range(2 * layout.numbered, layout.width) if _is_mostly([is_tag(row[index]) for row in rows])
    ]
    tags = [index for index in tags if _holds_entities([row[index] for row in rows], index == last)]
    names = [str(index + 1) for index in tags]
    if not tags:
        return _with_tag(layout, last)
    if layout.numbered or len(tags) == 1 or last in tags:
        tag = tags[0] if layout.numbered or last not in tags else last
        others = tuple(index for index in tags if index not in (tag, 0))
        note = ""
        if others:
            which = "which in GermEval holds the outer entities" if layout.numbered else "the last"
            note = f"columns {' and '.join(names)} hold tags; column {tag + 1} is used, {which}; see tag_column"
        elif tag != last and not layout.numbered:
            note = f"the tags are taken from column {tag + 1}, the only one that holds tags; see tag_column"
        return replace(_with_tag(layout, tag), others=others, note=note)
    problem = f"columns {' and '.join(names)} hold tags, and the last does not"
    remedy = f"choose one: {' or '.join(f'tag_column={name}' for name in names)}"
    raise BadInput(problem, remedy, file, layout.first_line)


def _holds_entities(values: Sequence[str], is_last: bool) -> bool:
    """Whether a column of tags holds those of entities; only of the last may all be `O`."""
    labels = [value[2:] for value in values if is_tag(value) and value != "O"]
    return not all(label in _CHUNKS for label in labels) if labels else is_last


def _with_tag(layout: Layout, tag: int) -> Layout:
    """The layout with a tag column; the token is in the first column that is left."""
    token = int(layout.numbered)
    return replace(layout, token=token + (tag == token), tag=tag)


def _is_mostly(fits: Sequence[bool]) -> bool:
    return sum(fits) >= _MOSTLY * len(fits)


def _rows(file: Path, lines: Iterator[tuple[int, str]], layout: Layout) -> Iterator[tuple[int, list[str]]]:
    separator, width, token = layout.separator, layout.width, layout.token
    counted = -1  # the number of the previous row of the sentence; -1 before the first
    begins = True  # a sentence may begin here
    for number, line in lines:
        if line[:1] == "-" and starts_document(line):
            yield number, DOCSTART
            counted, begins = -1, True
            continue
        columns = split_columns(line, separator)
        if not columns:
            yield number, _BLANK
            counted, begins = -1, True
            continue
        if begins and line[0] == "#" and _is_comment(line, columns, layout):
            if _NEW_DOCUMENT.match(line):
                yield number, DOCSTART
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
        yield number, columns


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
        which = ("first", "second", "third")[layout.token]
        problem, remedy = f"{start} has no token in its {which} column", "write the token there"
    else:
        count = f"{found} {'column' if found == 1 else 'columns'}"
        problem = f"{start} has {count} where line {layout.first_line} has {layout.width}"
        remedy = "give every line the same columns"
    return BadInput(problem, remedy, file, number, [start])
