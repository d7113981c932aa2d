"""Formats are told by name and content."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.corpus.blog_json import read_blog_json
from twinner.corpus.conll import read_blog_tsv, read_conll
from twinner.corpus.docbin import read_docbin
from twinner.corpus.formats import Reader, read_file, reader_of
from twinner.corpus.json_lines import read_json_lines
from twinner.errors import BadInput

Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "content", "reader"),
    [
        ("a.conll", "Ibu B-A\n", read_conll),
        ("a.txt", "{ O\n} O\n", read_conll),
        ("a.tsv", "Ibu\tB-A\n.\tO\nJa\tO\n", read_conll),
        ("a.tsv", "Ja\tO\n.\tO\nIbu\tb-med\n", read_blog_tsv),
        ("a.tsv", "Ja\tO\n\nIbu\tb-med\n", read_conll),
        ("eng.train", "\n\n-DOCSTART- O\n\nIbu B-A\n", read_conll),
        ("a.json", '{"content": "Ibu", "annotation": []}\n', read_blog_json),
        ("a", '\n{ "text": "Ibu"}\n', read_json_lines),
        ("a.jsonl", '{"text": "Ibu"}\n', read_json_lines),
        ("a.spacy", "?", read_docbin),
    ],
)
@pytest.mark.parametrize("pack", [False, True])
def test_each_format_finds_its_reader(name: str, content: str, reader: Reader, pack: bool, write: Write) -> None:
    file = write(f"{name}.gz", gzip.compress(content.encode())) if pack else write(name, content)
    assert reader_of(file) is reader


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.conll", "", "a.conll: the file is empty; give a file with annotated sentences"),
        ("a.conll.gz", gzip.compress(b""), "the file is empty"),
        ("a.conll", "\n-DOCSTART- O\n\n", "a.conll: the file holds no sentence"),
        ("a.jsonl", '{"text": "a", "answer": "reject"}\n', "a.jsonl: the file holds no sentence"),
        (
            "a.jsonl",
            '{"tokens": [], "tags": []}\n',
            "a.jsonl:1: the JSON object has neither .* but tokens, tags; write",
        ),
        ("a.json", "[\n", "a.json:1: broken JSON"),
        ("a.conll", b"\x89PNG\r\n", "a.conll:1: the line is not UTF-8 text"),
    ],
)
def test_files_of_no_format_are_told_of(name: str, content: str | bytes, words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words):
        read_file(write(name, content), "xx")
