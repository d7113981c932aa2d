"""Column formats: one token per line, with its tag."""

from pathlib import Path
from sys import intern

from twinner.corpus.columns import DOCSTART, read_rows
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.place import Place
from twinner.corpus.schemes import BORDER, begins_entity
from twinner.corpus.tagged import TaggedSentences


def read_conll(file: Path, lang: str = "xx", tag_column: str = "") -> ParsedFile:
    """Read CoNLL columns: a token and its tag on each line, a blank line after each sentence.

    A row looks like `Ibuprofen NN I-NP B-DRUG`, or `Ibuprofen<TAB>B-DRUG`: two or more columns, separated by tabs if
    the first row has one, else by spaces. `-DOCSTART-` and the comment `# newdoc` mark the start of a document; other
    comments, `#` lines before a sentence, are skipped.
    The tag is in the last column, or in the only other one that holds tags. If the first column counts the tokens of
    each sentence (1, 2, 3, …), the token is in the second and the tag in the first that holds entity tags, which in
    GermEval 2014 are the outer entities; the others are counted. `tag_column` names a column instead: 1 is the first,
    -1 the last.
    Tags are IOB2, IOB1, BILOU or IOBES; a few stray tags are read as conlleval does. Tokens that are only white space
    are dropped. The file is read once. lang: not used, the file is tokenized.
    Errors: BadInput for a row with a different number of columns, an invalid tag, tags of no scheme, or no such column.
    """
    return _read_columns(file, tag_column, sentence_end="")


def read_blog_tsv(file: Path, lang: str = "xx", tag_column: str = "") -> ParsedFile:
    """Read the TSV of the blog's German medical corpus: no blank lines, the token `.` ends a sentence.

    A row looks like `Ibuprofen<TAB>b-med`: a tab, and tags with lower-case prefixes (IOB2). lang: not used.
    Errors: as `read_conll`.
    """
    return _read_columns(file, tag_column, sentence_end=".")


def _read_columns(file: Path, tag_column: str, sentence_end: str) -> ParsedFile:
    """Read a column format; a sentence ends at a blank line and, if given, after the token `sentence_end`.

    With `sentence_end`, prefixes may be in lower case.
    """
    layout, rows = read_rows(file, tag_column)
    if not layout:
        return ParsedFile()
    found = TaggedSentences(file)
    tokens: list[str] = []
    tags: list[str] = []
    lines: list[int] = []
    others = dict.fromkeys(layout.others, BORDER)  # the previous tag of each
    left_out = 0
    for number, columns in rows:
        if columns:
            token, tag = columns[layout.token], columns[layout.tag]
            tokens.append(intern(token))
            tags.append(intern(tag[:1].upper() + tag[1:] if sentence_end else tag))
            lines.append(number)
            if others:
                left_out += sum(begins_entity(before, columns[index]) for index, before in others.items())
                others = {index: columns[index] for index in others}
            if token != sentence_end:
                continue
        if tokens:
            found.add(tokens, tags, lines)
            tokens.clear()
            tags.clear()
            lines.clear()
            others = dict.fromkeys(others, BORDER)
        if columns is DOCSTART:
            found.start_document()
    if tokens:
        found.add(tokens, tags, lines)
    note = f"{Place(file)}: {layout.note}" if layout.note else ""
    if left_out:
        note += f"; {left_out:,} entities of the others are left out"
    return found.finish([note])
