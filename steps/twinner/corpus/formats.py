"""Which format a file is in, recognised by its name and content."""

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from twinner.corpus.blog_json import read_blog_json
from twinner.corpus.columns import separator_of, split_columns, starts_document
from twinner.corpus.conll import read_blog_tsv, read_conll
from twinner.corpus.docbin import read_docbin
from twinner.corpus.json_lines import json_objects, read_json_lines
from twinner.corpus.lines import numbered_lines, open_bytes
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.sentence import MAX_CHARACTERS
from twinner.errors import BadInput

Reader = Callable[[Path, str], ParsedFile]  # file, lang -> content


def read_file(file: Path, lang: str) -> ParsedFile:
    """Read one file in any format; the result has at least one sentence.

    Errors: BadInput for a file that is missing, empty, in none of the formats, or has a sentence of more than
    MAX_CHARACTERS.
    """
    with open_bytes(file) as stream:
        if not stream.read(1):
            raise BadInput("the file is empty", "give a file with annotated sentences", file)
    parsed = reader_of(file)(file, lang)
    if not parsed.sentences:
        raise BadInput("the file has no sentences", "give a file with annotated sentences", file)
    for number, sentence in enumerate(parsed.sentences, start=1):
        if len(sentence.text) > MAX_CHARACTERS:
            start = repr(sentence.text[:40])
            problem = f"sentence {number}, {start}…, has {len(sentence.text):,} characters"
            remedy = f"mark the ends of sentences; spaCy takes {MAX_CHARACTERS:,} characters"
            raise BadInput(problem, remedy, file, quotes=[start])
    return parsed


def reader_of(file: Path) -> Reader:
    """The reader for a file: `.spacy` by name, JSON by name or content, the blog's formats by content."""
    ending = Path(file.name.removesuffix(".gz")).suffix.lower()
    if ending == ".spacy":
        return read_docbin
    if ending in (".json", ".jsonl", ".ndjson") or _starts_as_json(file):
        return _json_reader(file)
    return read_blog_tsv if _is_blog_tsv(file) else read_conll


def _starts_as_json(file: Path) -> bool:
    """Whether the first lines open a JSON object, in an array or not; `{` and `[` alone may be tokens."""
    lines = (line for _, line in numbered_lines(file) if line.strip(" \t"))
    start = re.sub(r"\s", "", "".join(islice(lines, 3)))
    return bool(re.match(r'\[?\{"[^"]*":', start))


def _json_reader(file: Path) -> Reader:
    for place, record in json_objects(file):
        if "content" in record:
            return read_blog_json
        if "text" in record:
            return read_json_lines
        keys = ", ".join(map(repr, record))[:80] or "nothing"
        problem = f"the JSON object has neither a text nor a content, but {keys}"
        raise place.bad_input(problem, 'write {"text": …, "spans": […]}', [keys])
    return read_json_lines


def _is_blog_tsv(file: Path) -> bool:
    """Whether the first tag other than `O` has a lower-case prefix, with no blank line before it."""
    separator = ""
    for _, line in numbered_lines(file):
        if starts_document(line) or not line.strip(" \t"):
            return False
        separator = separator or separator_of(line)
        tag = split_columns(line, separator)[-1]
        if tag != "O":
            return tag.startswith(("b-", "i-"))
    return False
