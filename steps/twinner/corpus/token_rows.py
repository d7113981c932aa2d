"""Rows of Hugging Face data sets: a list of tokens and a list of their tags."""

import json
from collections.abc import Mapping
from pathlib import Path
from sys import intern
from typing import Any

from twinner.corpus.class_names import class_names
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.place import Place
from twinner.corpus.records import check_text, records_of
from twinner.corpus.tagged import TaggedSentences
from twinner.errors import BadInput

_TOKENS = ("tokens", "words")
_TAGS = ("ner_tags", "tags", "labels", "ner")
_DOCSTART = "-DOCSTART-"


def is_token_row(record: Mapping[str, Any]) -> bool:
    """Whether a record is a row of tokens with tags; annotation tools may list tokens too, beside a text and spans."""
    lists = {key: value for key, value in record.items() if isinstance(value, list)}
    tokens = next((lists[key] for key in _TOKENS if key in lists), None)
    if tokens is None or not all(isinstance(token, str) for token in tokens):
        return False
    others = [value for key, value in lists.items() if key not in _TOKENS and len(value) == len(tokens)]
    return "text" not in record or any(isinstance(item, (str, int)) for value in others for item in value)


def read_token_rows(file: Path, lang: str = "xx", tag_column: str = "") -> ParsedFile:
    """Read rows like `{"tokens": ["Nach", "Ulm"], "ner_tags": ["O", "B-LOC"]}`: a sentence each.

    The tags are in `ner_tags`, `tags`, `labels` or `ner`, or in the list that `tag_column` names. They may be numbers
    if their names are known (see `class_names`). The tokens may be in `words`. A row of the token `-DOCSTART-` marks
    the start of a document. Tags and white space are read as in `read_conll`. lang: not used, the rows are tokenized.
    Errors: BadInput that names the line or item.
    """
    found: TaggedSentences | None = None
    names: list[str] = []
    for place, record in records_of(file):
        column = _tag_column(record, tag_column, place)
        tokens = _tokens(record, place)
        tags = record[column]
        if not isinstance(tags, list) or len(tags) != len(tokens):
            problem = f'the "{column}" are not a list of {len(tokens)} tags, one for each token'
            raise place.bad_input(problem, "give each token a tag")
        if any(type(tag) is int for tag in tags):
            names = names or class_names(file, column)
            tags = [_name(tag, names, column, place) for tag in tags]
        found = found or TaggedSentences(file, items=place.item is not None)
        if tokens[:1] == [_DOCSTART]:
            found.start_document()
        elif tokens:
            position = place.item or place.line or 0
            found.add([intern(token) for token in tokens], _texts(tags, column, place), [position] * len(tokens))
    return found.finish() if found else ParsedFile()


def _tag_column(record: Mapping[str, Any], tag_column: str, place: Place) -> str:
    for key in [tag_column] if tag_column else _TAGS:
        if key in record:
            return key
    keys = ", ".join(map(repr, record))[:80]
    if tag_column:
        problem = f"tag_column is {tag_column!r}, but the row has {keys}"
        raise place.bad_input(problem, "name the list that holds the tags", [keys])
    problem = f"the row has none of {', '.join(_TAGS)}, but {keys}"
    raise place.bad_input(problem, "name the list that holds the tags by tag_column", [keys])


def _tokens(record: Mapping[str, Any], place: Place) -> list[str]:
    key = next((key for key in _TOKENS if key in record), _TOKENS[0])
    tokens = record.get(key)
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        shown = json.dumps(tokens, ensure_ascii=False, default=str)[:60]
        raise place.bad_input(f'the "{key}" are not a list of texts but {shown}', "give a list of tokens", [shown])
    return [check_text(token, key, place) for token in tokens]


def _name(number: Any, names: list[str], column: str, place: Place) -> str:
    if type(number) is int and 0 <= number < len(names):
        return names[number]
    problem = f'the tag {number!r} in "{column}" is not a number from 0 to {len(names) - 1}, the tags that have names'
    raise place.bad_input(problem, "correct it, or remove the row if its tags are hidden")


def _texts(tags: list[Any], column: str, place: Place) -> list[str]:
    for tag in tags:
        if not isinstance(tag, str):
            shown = repr(tag)[:40]
            raise _no_text(shown, column, place)
    return [intern(tag) for tag in tags]


def _no_text(shown: str, column: str, place: Place) -> BadInput:
    return place.bad_input(
        f'the tag {shown} in "{column}" is neither a text nor a number', "write O, B-… or I-…", [shown]
    )
