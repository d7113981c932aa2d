"""Column formats: a token a line, the tag last."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from sys import intern

from twinner.corpus.lines import numbered_lines
from twinner.corpus.part import Part
from twinner.corpus.schemes import BORDER, TagPairs
from twinner.corpus.sentence import Sentence
from twinner.errors import BadInput

DOCSTART = "-DOCSTART-"


def read_conll(file: Path, lang: str = "xx") -> Part:
    """Read CoNLL columns: token first, tag last, a blank line behind each sentence.

    A line looks like `Ibuprofen NN I-NP B-DRUG`, or `Ibuprofen<TAB>B-DRUG`: two or more columns, by tabs where the
    first line has one, else by spaces. `-DOCSTART-` marks the start of a document. Tags are IOB2, IOB1, BILOU or
    IOBES. Tokens of white space alone are left out. lang: not used, the tokens stand in the file.
    Errors: BadInput for a line with another number of columns, a tag that is no tag, tags of no scheme.
    """
    return read_columns(file, sentence_end="")


def read_blog_tsv(file: Path, lang: str = "xx") -> Part:
    """Read the TSV of the blog's German medical corpus: no blank lines, a sentence ends with its token `.`.

    A line looks like `Ibuprofen<TAB>b-med`: a tab, and tags with prefixes in lower case (IOB2). lang: not used.
    Errors: as `read_conll`.
    """
    return read_columns(file, sentence_end=".")


def columns_of(line: str, separator: str) -> list[str]:
    """The columns of a line; an empty list for a blank one. separator: a tab or a space."""
    line = line.rstrip(" \t")
    columns = line.split(separator)
    if separator == " " and "" in columns:  # runs of spaces are one separator
        columns = [column for column in columns if column]
    return columns if line else []


def separator_of(line: str) -> str:
    """A tab where the line has one before its last column, else a space."""
    return "\t" if "\t" in line.rstrip(" \t") else " "


def read_columns(file: Path, sentence_end: str) -> Part:
    """Read a column format; a sentence ends at a blank line and, if given, behind the token `sentence_end`.

    With `sentence_end` prefixes may be in lower case, as the blog writes them.
    """
    part = Part()
    pairs = TagPairs(file)
    raw: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    tokens: list[str] = []
    tags: list[str] = []
    lines: list[int] = []

    def end_sentence() -> None:
        if tokens:
            pairs.add(tags, lines)
            raw.append((tuple(tokens), tuple(tags)))
            tokens.clear()
            tags.clear()
            lines.clear()

    for number, token, tag in _rows(file):
        if not token:
            end_sentence()
            if tag == DOCSTART:
                part.documents.append(len(raw))
            continue
        tokens.append(intern(token))
        tags.append(intern(tag[:1].upper() + tag[1:] if sentence_end else tag))
        lines.append(number)
        if token == sentence_end:
            end_sentence()
    end_sentence()

    iob2 = pairs.iob2()
    raw.reverse()  # so that each raw sentence is freed as soon as it is converted
    where = [0]  # from the index of a raw sentence to that of the sentence
    while raw:
        words, marks = raw.pop()
        sentence = _without_white_space(words, [iob2[pair] for pair in pairwise((BORDER, *marks))])
        if sentence:
            part.sentences.append(sentence)
        where.append(len(part.sentences))
    starts = {where[index] for index in part.documents}
    if starts:
        starts.add(0)  # what stands before the first mark is a document too
    part.documents = sorted(starts - {len(part.sentences)})
    return part


def _rows(file: Path) -> Iterator[tuple[int, str, str]]:
    """Yield (line, token, tag); at a blank line the token is empty, at a document's start the tag is DOCSTART too."""
    separator = ""
    width = first = 0
    for number, line in numbered_lines(file):
        if line.startswith(DOCSTART):
            yield number, "", DOCSTART
            continue
        if not separator and line.strip(" \t"):
            separator = separator_of(line)
        columns = columns_of(line, separator or " ")
        if not columns:
            yield number, "", ""
            continue
        if not width:
            width, first = len(columns), number
        if len(columns) != width or width < 2 or not columns[0]:
            raise _ragged(file, number, line, len(columns), width, first)
        yield number, columns[0], columns[-1]


def _ragged(file: Path, number: int, line: str, found: int, width: int, first: int) -> BadInput:
    start = repr(line[:40])
    if width < 2:
        remedy = "write the token first and its tag last, a tab or a space between"
        return BadInput(f"{start} has one column", remedy, file, number)
    if found == width:
        return BadInput(f"{start} has no token in its first column", "write the token there", file, number)
    problem = f"{start} has {found} {'column' if found == 1 else 'columns'} where line {first} has {width}"
    return BadInput(problem, "give every line the same columns, with the tag last", file, number)


def _without_white_space(tokens: tuple[str, ...], tags: list[str]) -> Sentence | None:
    """The sentence without tokens of white space alone, which are no words to tag; None if no token is left."""
    if any(map(str.isspace, tokens)):
        kept: list[tuple[str, str]] = []
        pending = False  # the token that opened this entity was left out
        for token, tag in zip(tokens, tags, strict=True):
            if token.isspace():
                pending = tag.startswith("B-") or (pending and tag.startswith("I-"))
                continue
            kept.append((token, f"B-{tag[2:]}" if pending and tag.startswith("I-") else tag))
            pending = False
        if not kept:
            return None
        words, marks = zip(*kept, strict=True)
        return Sentence.from_tokens(words, marks)
    return Sentence.from_tokens(tokens, tags)
