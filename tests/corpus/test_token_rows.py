"""Rows of Hugging Face data sets, as JSON and as parquet."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
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
# As `datasets` writes them: `Sequence` until version 3, `List` since.
SEQUENCE = {"feature": {"names": NAMES, "_type": "ClassLabel"}, "length": -1, "_type": "Sequence"}
LIST = {"feature": {"names": NAMES, "_type": "ClassLabel"}, "_type": "List"}
TOKENS = {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}
CARD = """\
---
language: de
dataset_info:
  features:
  - name: tokens
    {list}: string
  - name: ner_tags
    {list}:
      class_label:
        names:
          '0': O
          '1': B-PER
          '2': I-PER
          '3': B-LOC
  splits:
  - name: train
---
# Some data
"""


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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset_info.json", {"features": {"tokens": TOKENS, "ner_tags": SEQUENCE}}),
        ("dataset_info.json", {"features": {"ner_tags": LIST}}),
        ("dataset_info.json", {"features": {"ner_tags": [{"names": NAMES, "_type": "ClassLabel"}]}}),
        ("dataset_infos.json", {"small": {"features": {"ner_tags": LIST}}, "large": {"features": {"ner_tags": LIST}}}),
        ("README.md", CARD.format(list="sequence")),
        ("README.md", CARD.format(list="list")),
        ("data/ner_tags_names.txt", "O\nB-PER\nI-PER\n\nB-LOC\n"),
    ],
)
@pytest.mark.parametrize("folder", ["data", "."])
def test_finds_names_of_numbers(name: str, content: object, folder: str, write: Write, tmp_path: Path) -> None:
    write(
        name if folder == "." else f"data/{Path(name).name}",
        content if isinstance(content, str) else json.dumps(content),
    )
    assert tags(write("data/train.jsonl", lines(ROWS))) == TAGS


def write_parquet(file: Path, rows: list[dict[str, Any]], features: object = None) -> Path:
    table = pa.Table.from_pylist(rows)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, file)
    return file


@pytest.mark.parametrize("features", [{"ner_tags": SEQUENCE}, {"ner_tags": LIST}])
def test_reads_parquet_with_names_in_its_schema(features: object, tmp_path: Path) -> None:
    assert tags(write_parquet(tmp_path / "train-00000-of-00001.parquet", ROWS, features)) == TAGS


def test_parquet_is_recognised_by_content(tmp_path: Path) -> None:
    assert tags(write_parquet(tmp_path / "train", NAMED)) == TAGS


def test_own_names_come_before_those_of_the_schema(write: Write, tmp_path: Path) -> None:
    write("ner_tags_names.txt", "O\nB-X\nI-X\nB-Y\n")
    file = write_parquet(tmp_path / "a.parquet", ROWS, {"ner_tags": LIST})
    assert tags(file) == [("B-X", "I-X", "O"), ("B-Y",)]


def test_tag_column_names_a_list(write: Write) -> None:
    file = write("a.jsonl", lines([row | {"fine": ["O"] * len(row["tokens"])} for row in NAMED]))
    assert {tag for s in read_file(file, "xx", "fine").sentences for tag in s.tags} == {"O"}
    with pytest.raises(
        BadInput, match=r"a.jsonl:1: tag_column is 'coarse', but the row has 'id', 'tokens', 'ner_tags'"
    ):
        read_file(file, "xx", "coarse")


def test_converts_schemes_and_drops_empty_tokens(write: Write) -> None:
    rows = [{"tokens": ["", "Ann", "\xa0", "Bo"], "tags": ["I-PER"] * 4}, {"tokens": [], "tags": []}]
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


def test_says_how_to_name_numbers(write: Write, tmp_path: Path) -> None:
    write("README.md", "---\n: [\n---\n")
    write("dataset_info.json", "{")
    with pytest.raises(BadInput) as caught:
        read_token_rows(write("a.jsonl", lines(ROWS)))
    assert f"write their names to {tmp_path}/ner_tags_names.txt, one on each line from number 0" in str(caught.value)


def test_rejects_configurations_that_differ(write: Write) -> None:
    other = {"feature": {"names": NAMES[::-1], "_type": "ClassLabel"}, "_type": "List"}
    infos = {"a": {"features": {"ner_tags": LIST}}, "b": {"features": {"ner_tags": other}}}
    write("dataset_infos.json", json.dumps(infos))
    with pytest.raises(
        BadInput, match=r"dataset_infos.json names the tags of 'ner_tags' differently for different conf"
    ):
        read_token_rows(write("a.jsonl", lines(ROWS)))


def test_names_item_with_tags_of_no_scheme(write: Write) -> None:
    rows = [{"tokens": ["Ann"], "tags": [tag]} for tag in ("U-PER", "O", "S-PER")]
    with pytest.raises(BadInput, match=r"a.json: item 3: the tag 'S-PER' is not of the scheme BILOU"):
        read_token_rows(write("a.json", json.dumps(rows)))


TOKEN = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5).filter(
    lambda token: not token.isspace() and token != "-DOCSTART-"
)


@given(rows=st.lists(st.lists(st.tuples(TOKEN, st.sampled_from(["O", "B-A", "B-B"])), min_size=1), min_size=1))
def test_json_and_parquet_are_read_alike(
    rows: list[list[tuple[str, str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    records = [{"tokens": [token for token, _ in row], "ner_tags": [tag for _, tag in row]} for row in rows]
    (folder / "a.jsonl").write_text(lines(records), encoding="utf-8")
    by_json = read_file(folder / "a.jsonl", "xx").sentences
    assert by_json == read_file(write_parquet(folder / "a.parquet", records), "xx").sentences
    assert [list(zip(s.tokens, s.tags, strict=True)) for s in by_json] == rows


def test_reads_spans_from_parquet(tmp_path: Path) -> None:
    rows = [{"text": "Ibu hilft", "spans": [{"start": 0, "end": 3, "label": "DRUG"}]}, {"text": "Ja", "spans": []}]
    assert tags(write_parquet(tmp_path / "a.parquet", rows)) == [("B-DRUG", "O"), ("O",)]
    wrong = [*rows, {"text": "Ja", "spans": [{"start": 0, "end": 9, "label": "DRUG"}]}]
    with pytest.raises(BadInput, match=r"b.parquet: item 3: the span 0 to 9 \(DRUG\) is outside the text"):
        read_file(write_parquet(tmp_path / "b.parquet", wrong), "xx")


@pytest.mark.parametrize("keep", [4, 60, -1])
def test_rejects_damaged_parquet(keep: int, tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", NAMED)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(BadInput, match=r"a.parquet: the parquet file is damaged .*; download or write it again"):
        read_file(file, "xx")
