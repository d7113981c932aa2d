"""The names of numbered tags."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.corpus.class_names import class_names
from twinner.errors import BadInput

from .conftest import write_parquet

Write = Callable[..., Path]
NAMES = ["O", "B-PER", "I-PER", "B-LOC"]
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
def test_finds_names_of_numbers(name: str, content: object, folder: str, write: Write) -> None:
    write(
        name if folder == "." else f"data/{Path(name).name}",
        content if isinstance(content, str) else json.dumps(content),
    )
    assert class_names(write("data/train.jsonl", "{}"), "ner_tags") == NAMES


@pytest.mark.parametrize("features", [{"ner_tags": SEQUENCE}, {"ner_tags": LIST}])
def test_finds_names_in_the_schema_of_parquet(features: object, tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "train-00000-of-00001.parquet", [{"ner_tags": [1]}], features)
    assert class_names(file, "ner_tags") == NAMES


def test_own_names_come_before_those_of_the_schema(write: Write, tmp_path: Path) -> None:
    write("ner_tags_names.txt", "O\nB-X\nI-X\nB-Y\n")
    file = write_parquet(tmp_path / "a.parquet", [{"ner_tags": [1]}], {"ner_tags": LIST})
    assert class_names(file, "ner_tags") == ["O", "B-X", "I-X", "B-Y"]


def test_says_how_to_name_numbers(write: Write, tmp_path: Path) -> None:
    write("README.md", "---\n: [\n---\n")
    write("dataset_info.json", "{")
    with pytest.raises(BadInput) as caught:
        class_names(write("a.jsonl", "{}"), "ner_tags")
    assert f"write their names to {tmp_path}/ner_tags_names.txt, one on each line from number 0" in str(caught.value)


def test_rejects_configurations_that_differ(write: Write) -> None:
    other = {"feature": {"names": NAMES[::-1], "_type": "ClassLabel"}, "_type": "List"}
    infos = {"a": {"features": {"ner_tags": LIST}}, "b": {"features": {"ner_tags": other}}}
    write("dataset_infos.json", json.dumps(infos))
    with pytest.raises(
        BadInput, match=r"dataset_infos.json names the tags of 'ner_tags' differently for different conf"
    ):
        class_names(write("a.jsonl", "{}"), "ner_tags")
