"""Files of records: JSON and parquet; the tests of JSON are those of the formats that use it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twinner.corpus.formats import read_file
from twinner.errors import BadInput

from .conftest import write_parquet

ROWS: list[dict[str, Any]] = [{"tokens": ["Ann", "lacht"], "ner_tags": ["B-PER", "O"]}]


def tags(file: Path) -> list[tuple[str, ...]]:
    return [sentence.tags for sentence in read_file(file, "xx").sentences]


@pytest.mark.parametrize("pack", [False, True])
def test_parquet_is_recognised_by_content(pack: bool, tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "train", ROWS)
    if pack:
        file.write_bytes(gzip.compress(file.read_bytes()))
    assert tags(file) == [("B-PER", "O")]


TOKEN = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=5).filter(
    lambda token: not token.isspace() and token != "-DOCSTART-"
)


@given(rows=st.lists(st.lists(st.tuples(TOKEN, st.sampled_from(["O", "B-A", "B-B"])), min_size=1), min_size=1))
def test_json_and_parquet_are_read_alike(
    rows: list[list[tuple[str, str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    records = [{"tokens": [token for token, _ in row], "ner_tags": [tag for _, tag in row]} for row in rows]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    by_json = read_file(folder / "a.jsonl", "xx").sentences
    assert by_json == read_file(write_parquet(folder / "a.parquet", records), "xx").sentences
    assert [list(zip(s.tokens, s.tags, strict=True)) for s in by_json] == rows


def test_reads_spans_from_parquet(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"text": "Ibu hilft", "spans": [{"start": 0, "end": 3, "label": "DRUG"}]},
        {"text": "Ja", "spans": []},
    ]
    assert tags(write_parquet(tmp_path / "a.parquet", rows)) == [("B-DRUG", "O"), ("O",)]
    wrong = [*rows, {"text": "Ja", "spans": [{"start": 0, "end": 9, "label": "DRUG"}]}]
    with pytest.raises(BadInput, match=r"b.parquet: item 3: the span 0 to 9 \(DRUG\) is outside the text"):
        read_file(write_parquet(tmp_path / "b.parquet", wrong), "xx")


@pytest.mark.parametrize("keep", [4, 60, -1])
def test_rejects_damaged_parquet(keep: int, tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", ROWS)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(BadInput, match=r"a.parquet: the parquet file is damaged .*; download or write it again"):
        read_file(file, "xx")
