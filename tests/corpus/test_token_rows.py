"""Rows of tokens and tags, as Hugging Face data sets have them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twinner.corpus.formats import read_file
from twinner.corpus.token_rows import read_token_rows
from twinner.errors import BadInput

Write = Callable[..., Path]
NAMES = ["O", "B-PER", "I-PER", "B-LOC"]
ROWS: list[dict[str, Any]] = [
    {"id": "0", "tokens": ["Ann", "Bo", "wohnt"], "ner_tags": [1, 2, 0]},
    {"id": "1", "tokens": ["Ulm"], "ner_tags": [3]},
]
NAMED = [row | {"ner_tags": [NAMES[tag] for tag in row["ner_tags"]]} for row in ROWS]
TAGS = [("B-PER", "I-PER", "O"), ("B-LOC",)]


def lines(rows: list[dict[str, Any]]) -> str:
    return "\n".join(map(json.dumps, rows))


def tags(file: Path) -> list[tuple[str, ...]]:
    return [sentence.tags for sentence in read_file(file, "xx").sentences]


@pytest.mark.parametrize("key", ["ner_tags", "tags", "labels", "ner"])
@pytest.mark.parametrize("array", [False, True])
def test_reads_names_in_lines_and_arrays(key: str, array: bool, write: Write) -> None:
    rows = [{"tokens": row["tokens"], key: row["ner_tags"]} for row in NAMED]
    file = write("a.json", json.dumps(rows, indent=1) if array else lines(rows))
    assert tags(file) == TAGS
    assert read_file(file, "xx").sentences[0].text == "Ann Bo wohnt"


def test_tag_column_names_a_list(write: Write) -> None:
    file = write("a.jsonl", lines([row | {"fine": ["O"] * len(row["tokens"])} for row in NAMED]))
    assert {tag for s in read_file(file, "xx", "fine").sentences for tag in s.tags} == {"O"}
    with pytest.raises(
        BadInput, match=r"a.jsonl:1: tag_column is 'coarse', but the row has 'id', 'tokens', 'ner_tags'"
    ):
        read_file(file, "xx", "coarse")


def test_converts_schemes_and_drops_empty_tokens(write: Write) -> None:
    rows: list[dict[str, Any]] = [
        {"tokens": ["", "Ann", "\xa0", "Bo"], "tags": ["I-PER"] * 4},
        {"tokens": [], "tags": []},
    ]
    (sentence,) = read_token_rows(write("a.jsonl", lines(rows))).sentences
    assert (sentence.tokens, sentence.tags) == (("Ann", "Bo"), ("B-PER", "I-PER"))


def test_docstart_rows_mark_documents(write: Write) -> None:
    mark = {"tokens": ["-DOCSTART-"], "tags": ["O"]}
    row = {"tokens": ["Ulm"], "tags": ["B-LOC"]}
    parsed = read_token_rows(write("a.jsonl", lines([mark, row, row, mark, row])))
    assert (len(parsed.sentences), parsed.documents) == (3, [0, 2])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {"tokens": ["Ann"], "ner_tags": [1]},
            r"a.jsonl: the tags in 'ner_tags' are numbers, and nothing",
        ),
        (
            {"tokens": ["Ann"], "ner_tags": []},
            r'a.jsonl:2: the "ner_tags" are not a list of 1 tags, one for each token',
        ),
        ({"tokens": ["Ann"], "ner_tags": "O"}, r'a.jsonl:2: the "ner_tags" are not a list of 1 tags'),
        (
            {"tokens": ["Ann"], "ner_tags": [None]},
            r'a.jsonl:2: the tag None in "ner_tags" is neither a text nor a number',
        ),
        ({"tokens": ["Ann"], "ner_tags": ["PER"]}, r"a.jsonl:2: 'PER' is not a tag; write O, or B- or I-"),
        (
            {"tokens": ["Ann"], "pos": ["NN"]},
            r"a.jsonl:2: the row has none of ner_tags, .*, but 'tokens', 'pos'; name the",
        ),
        (
            {"tokens": ["Ann", 4], "ner_tags": ["O", "O"]},
            r'a.jsonl:2: the "tokens" are not a list of texts but \["Ann", 4\]',
        ),
        ({"tokens": ["A\ud83d"], "ner_tags": ["O"]}, r"a.jsonl:2: the \"tokens\" holds half a character"),
    ],
)
def test_rejects_invalid_rows(row: object, words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        read_token_rows(write("a.jsonl", f"{json.dumps(NAMED[0])}\n{json.dumps(row)}"))
    assert "Ann" not in caught.value.redacted


@pytest.mark.parametrize("number", [-100, -1, 4])
def test_rejects_numbers_without_a_name(number: int, write: Write) -> None:
    write("ner_tags_names.txt", "\n".join(NAMES))
    with pytest.raises(BadInput, match=rf'a.jsonl:1: the tag {number} in "ner_tags" is not a number from 0 to 3'):
        read_token_rows(write("a.jsonl", json.dumps({"tokens": ["Ann"], "ner_tags": [number]})))


def test_names_item_with_tags_of_no_scheme(write: Write) -> None:
    rows = [{"tokens": ["Ann"], "tags": [tag]} for tag in ("U-PER", "O", "S-PER")]
    with pytest.raises(BadInput, match=r"a.json: item 3: the tag 'S-PER' is not of the scheme BILOU"):
        read_token_rows(write("a.json", json.dumps(rows)))
