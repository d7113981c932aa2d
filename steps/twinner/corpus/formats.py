"""Which format a file is in, recognised by its name and content."""

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from twinner.corpus.blog_json import read_blog_json
from twinner.corpus.brat import read_brat, read_brat_documents
from twinner.corpus.columns import separator_of, split_columns, starts_document
from twinner.corpus.conll import read_blog_tsv, read_conll
from twinner.corpus.docbin import read_docbin
from twinner.corpus.documents import documents_in, has_annotations, is_annotations
from twinner.corpus.json_lines import read_json_lines
from twinner.corpus.label_studio import is_label_studio, read_label_studio
from twinner.corpus.lines import numbered_lines, open_bytes
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.records import is_parquet, records_of
from twinner.corpus.sentence import MAX_CHARACTERS
from twinner.corpus.token_rows import is_token_row, read_token_rows
from twinner.corpus.webanno import FORMAT, read_webanno, read_webanno_documents
from twinner.errors import BadInput

Reader = Callable[[Path, str], ParsedFile]  # file, lang -> content

_WITH_TAG_COLUMN = (read_conll, read_blog_tsv, read_token_rows, read_webanno)
_FOREIGN = (  # how a file begins, what it is, what to do
    (b"ARROW1", "an Arrow file", "write parquet: Dataset.load_from_disk(FOLDER).to_parquet(FILE)"),
    (b"SQLite format 3", "an SQLite database", "export the corpus from the tool that made it"),
)


def read_file(file: Path, lang: str, tag_column: str = "") -> ParsedFile:
    """Read one file, or a folder of documents, in any format; the result has at least one sentence.

    tag_column: which column or list holds the tags, in formats that have several.
    Errors: BadInput for a file that is missing, empty, in none of the formats, or has a sentence of more than
    MAX_CHARACTERS; for a tag_column where the format has none.
    """
    if file.is_dir():
        parsed = _read_folder(file, lang, tag_column)
    else:
        with open_bytes(file) as stream:
            if not stream.read(1) and not is_annotations(file):  # brat leaves those of a text without entities empty
                raise BadInput("the file is empty", "give a file with annotated sentences", file)
        parsed = _read(file, lang, tag_column)
    if not parsed.sentences:
        raise BadInput("the file has no sentences", "give a file with annotated sentences", file)
    for number, sentence in enumerate(parsed.sentences, start=1):
        if len(sentence.text) > MAX_CHARACTERS:
            start = repr(sentence.text[:40])
            problem = f"sentence {number}, {start}…, has {len(sentence.text):,} characters"
            remedy = f"mark the ends of sentences; spaCy takes {MAX_CHARACTERS:,} characters"
            raise BadInput(problem, remedy, file, quotes=[start])
    return parsed


def _read(file: Path, lang: str, tag_column: str) -> ParsedFile:
    reader = reader_of(file)
    if not tag_column:
        return reader(file, lang)
    for with_tag_column in _WITH_TAG_COLUMN:
        if reader is with_tag_column:
            return with_tag_column(file, lang, tag_column)
    raise _no_columns(file, tag_column)


def _read_folder(folder: Path, lang: str, tag_column: str) -> ParsedFile:
    documents = documents_in(folder)
    if not is_annotations(documents[0]):
        return read_webanno_documents(documents, lang, tag_column)
    if tag_column:
        raise _no_columns(folder, tag_column)
    return read_brat_documents(documents, lang)


def _no_columns(file: Path, tag_column: str) -> BadInput:
    problem = f"tag_column is {tag_column!r}, but this format has no columns of tags"
    return BadInput(problem, "leave tag_column empty", file)


def reader_of(file: Path) -> Reader:
    """The reader for a file: `.spacy` and brat's files by name, JSON by name or content, others by content."""
    ending = Path(file.name.removesuffix(".gz")).suffix.lower()
    if ending == ".spacy":
        return read_docbin
    if is_annotations(file) or has_annotations(file):
        return read_brat
    if is_parquet(file):
        return _record_reader(file)
    _refuse_foreign(file)
    if ending in (".json", ".jsonl", ".ndjson") or _starts_as_json(file):
        return _record_reader(file)
    if next((line for _, line in numbered_lines(file)), "").startswith(FORMAT):
        return read_webanno
    return read_blog_tsv if _is_blog_tsv(file) else read_conll


def _starts_as_json(file: Path) -> bool:
    """Whether the first lines open a JSON object, in an array or not; `{` and `[` alone may be tokens."""
    lines = (line for _, line in numbered_lines(file) if line.strip(" \t"))
    start = re.sub(r"\s", "", "".join(islice(lines, 3)))
    return bool(re.match(r'\[?\{"[^"]*":', start))


def _refuse_foreign(file: Path) -> None:
    with open_bytes(file) as stream:
        head = stream.read(16)
    for start, what, remedy in _FOREIGN:
        if head.startswith(start):
            raise BadInput(f"the file is {what}", remedy, file)


def _record_reader(file: Path) -> Reader:
    for place, record in records_of(file):
        if "content" in record:
            return read_blog_json
        if is_label_studio(record):
            return read_label_studio
        if is_token_row(record):
            return read_token_rows
        if "text" in record:
            return read_json_lines
        keys = ", ".join(map(repr, record))[:80] or "nothing"
        problem = f"the record has neither a text nor tokens nor a content, but {keys}"
        raise place.bad_input(problem, 'write {"text": …, "spans": […]} or {"tokens": […], "ner_tags": […]}', [keys])
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
