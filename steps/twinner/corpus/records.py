"""Files of records: one JSON object per line, one JSON array of objects, or the rows of a parquet table."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from twinner.corpus.lines import numbered_lines, open_bytes
from twinner.corpus.place import Place
from twinner.errors import BadInput

_PARQUET_MAGIC = b"PAR1"
_BATCH = 1000  # rows of parquet in memory


def records_of(file: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield (place, record) of a file. Errors: BadInput for broken JSON or parquet, and for JSON of no objects."""
    return _rows(file) if is_parquet(file) else _json_objects(file)


def is_parquet(file: Path) -> bool:
    """Whether a file is parquet, by its first bytes."""
    with open_bytes(file) as stream:
        return stream.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC


def parquet_metadata(file: Path) -> dict[bytes, bytes]:
    """The metadata of a parquet file's schema. Errors: BadInput if it is damaged."""
    with open_bytes(file) as stream:
        return _parquet(stream, file).schema_arrow.metadata or {}


def _rows(file: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    item = 0
    with open_bytes(file) as stream:
        table = _parquet(stream, file)
        try:
            for batch in table.iter_batches(_BATCH):
                for record in batch.to_pylist():
                    item += 1
                    yield Place(file, item=item), record
        except (OSError, ValueError) as error:
            raise _damaged(file, error) from error


def _parquet(stream: BinaryIO, file: Path) -> Any:
    from pyarrow.parquet import ParquetFile  # takes a third of a second that other formats need not wait for

    try:
        return ParquetFile(stream)
    except (OSError, ValueError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> BadInput:
    return BadInput(f"the parquet file is damaged ({error})", "download or write it again", file)


def _json_objects(file: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    lines = numbered_lines(file)
    first = True
    for number, line in lines:
        if not line.strip(" \t"):
            continue
        if first and line.lstrip(" \t").startswith("["):
            array = parse_json("\n".join([line, *(rest for _, rest in lines)]), file, number)
            for item, record in enumerate(array, start=1):
                yield (place := Place(file, item=item)), _as_object(record, place)
            return
        first = False
        yield (place := Place(file, number)), _as_object(parse_json(line, file, number), place)


def parse_json(text: str, file: Path, line: int) -> Any:
    """Parse JSON that begins in the given line. Errors: BadInput if it is broken."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        shown = repr(error.doc.splitlines()[error.lineno - 1][:40] if error.doc.strip() else "")
        problem = f"broken JSON ({error.msg}, column {error.colno}) in {shown}"
        remedy = "write one whole JSON object per line, or one array of objects"
        raise BadInput(problem, remedy, file, line + error.lineno - 1, [shown]) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists nested as deeply
        raise BadInput(f"the JSON can't be read ({error})", "write texts with spans", file, line) from error


def _as_object(record: Any, place: Place) -> dict[str, Any]:
    if not isinstance(record, dict):
        shown = repr(json.dumps(record, ensure_ascii=False)[:40])
        raise place.bad_input(f"{shown} is not a JSON object", 'write {"text": …, "spans": […]}', [shown])
    return record


def text_of(record: dict[str, Any], key: str, place: Place) -> str:
    """The text of a record. Errors: BadInput if it is missing, or not text that UTF-8 can hold."""
    text = record.get(key)
    if not isinstance(text, str):
        shown = repr(text)[:40]
        raise place.bad_input(f'the "{key}" is {shown}, not a text', f'give every object a "{key}"', [shown])
    return check_text(text, key, place)


def check_text(text: str, key: str, place: Place) -> str:
    """Return a text that stands under a key. Errors: BadInput if UTF-8 can't hold it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        problem = f'the "{key}" holds half a character, {text[error.start]!r}'
        raise place.bad_input(problem, "export the file again as UTF-8") from error
    return text
