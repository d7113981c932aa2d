"""Which format a file is in: told by its name and content, here and nowhere else."""

from collections.abc import Callable
from pathlib import Path

from twinner.corpus.blog_json import read_blog_json
from twinner.corpus.conll import DOCSTART, columns_of, read_blog_tsv, read_conll, separator_of
from twinner.corpus.docbin import read_docbin
from twinner.corpus.json_lines import json_objects, read_json_lines
from twinner.corpus.lines import numbered_lines, open_bytes
from twinner.corpus.part import Part
from twinner.errors import BadInput

Reader = Callable[[Path, str], Part]  # file, lang -> part


def read_file(file: Path, lang: str) -> Part:
    """Read one file in any format; never an empty Part.

    Errors: BadInput for a file that is missing, empty, or not in any of the formats.
    """
    with open_bytes(file) as stream:
        if not stream.read(1):
            raise BadInput("the file is empty", "give a file with annotated sentences", file)
    part = reader_of(file)(file, lang)
    if not part.sentences:
        raise BadInput("the file holds no sentence", "give a file with annotated sentences", file)
    return part


def reader_of(file: Path) -> Reader:
    """The reader for a file: `.spacy` by name, JSON by name or first line, the blog's formats by their content."""
    ending = Path(file.name.removesuffix(".gz")).suffix.lower()
    if ending == ".spacy":
        return read_docbin
    if ending in (".json", ".jsonl", ".ndjson") or _starts_as_json(file):
        return _json_reader(file)
    return read_blog_tsv if _is_blog_tsv(file) else read_conll


def _starts_as_json(file: Path) -> bool:
    """Whether the first line that is not blank opens a JSON object; `{` alone may be a token."""
    first = next((line for _, line in numbered_lines(file) if line.strip(" \t")), "")
    return first.replace(" ", "").startswith('{"') and ":" in first


def _json_reader(file: Path) -> Reader:
    for number, record in json_objects(file):
        if "content" in record:
            return read_blog_json
        if "text" in record:
            return read_json_lines
        problem = f"the JSON object has neither a text nor a content, but {', '.join(record) or 'nothing'}"
        raise BadInput(problem, 'write {"text": …, "spans": […]}', file, number)
    return read_json_lines


def _is_blog_tsv(file: Path) -> bool:
    """Whether the first tag that is not `O` has a prefix in lower case and no blank line was met before it."""
    separator = ""
    for _, line in numbered_lines(file):
        if line.startswith(DOCSTART) or not line.strip(" \t"):
            return False
        separator = separator or separator_of(line)
        tag = columns_of(line, separator)[-1]
        if tag != "O":
            return tag.startswith(("b-", "i-"))
    return False
