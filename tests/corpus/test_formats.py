"""Formats are recognised by name and content."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.corpus.blog_json import read_blog_json
from twinner.corpus.conll import read_blog_tsv, read_conll
from twinner.corpus.docbin import read_docbin
from twinner.corpus.formats import Reader, read_file, reader_of
from twinner.corpus.json_lines import read_json_lines
from twinner.corpus.label_studio import read_label_studio
from twinner.corpus.token_rows import read_token_rows
from twinner.corpus.webanno import read_webanno
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
        ("a.jsonl", '{"tokens": ["Ibu"], "ner_tags": ["B-A"]}\n', read_token_rows),
        ("a.jsonl", '{"text": "Ibu", "tokens": ["Ibu"], "ner_tags": ["B-A"]}\n', read_token_rows),
        ("a.jsonl", '{"text": "Ibu", "words": ["Ibu"], "labels": [[0, 3, "A"]]}\n', read_json_lines),
        ("a.jsonl", '{"text": "Ibu", "tokens": [{"text": "Ibu", "id": 0}], "spans": []}\n', read_json_lines),
        ("a", '[{"id": 1, "annotations": [], "data": {"text": "Ibu"}}]', read_label_studio),
        ("a.json", '[{"text": "Ibu", "label": [], "annotator": 1, "annotation_id": 2}]', read_label_studio),
        ("a.tsv", "#FORMAT=WebAnno TSV 3.3\n", read_webanno),
    ],
)
@pytest.mark.parametrize("pack", [False, True])
def test_recognises_formats(name: str, content: str, reader: Reader, pack: bool, write: Write) -> None:
    file = write(f"{name}.gz", gzip.compress(content.encode())) if pack else write(name, content)
    assert reader_of(file) is reader


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.conll", "", "a.conll: the file is empty; give a file with annotated sentences"),
        ("a.conll.gz", gzip.compress(b"", mtime=0), "the file is empty"),
        ("a.conll", "\n-DOCSTART- O\n\n", "a.conll: the file has no sentences"),
        ("a.jsonl", '{"text": "a", "answer": "reject"}\n', "a.jsonl: the file has no sentences"),
        (
            "a.jsonl",
            '{"sentence": "Ja", "id": 1}\n',
            "a.jsonl:1: the record has neither .* but 'sentence', 'id'; write",
        ),
        ("a.json", "[\n", "a.json:1: broken JSON"),
        ("a.conll", b"\x89PNG\r\n", "a.conll:1: the line is not UTF-8 text"),
        ("data.arrow", b"ARROW1\0\0", r"data.arrow: the file is an Arrow file; write parquet: Dataset"),
        ("a.db", b"SQLite format 3\0", r"a.db: the file is an SQLite database; export the corpus"),
    ],
)
def test_rejects_files_of_no_format(name: str, content: str | bytes, words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words):
        read_file(write(name, content), "xx")


@pytest.mark.parametrize(
    ("content", "reader"),
    [
        ('[{"text": "Ibu"}]', read_json_lines),
        ('[\n {\n  "content": "Ibu"\n }\n]', read_blog_json),
        ("[ O\n{ O\n", read_conll),
        ("[\tO\n\n", read_conll),
    ],
)
def test_recognises_json_arrays(content: str, reader: Reader, write: Write) -> None:
    assert reader_of(write("corpus", content)) is reader


def test_rejects_text_that_spacy_can_not_take(write: Write) -> None:
    import spacy

    text = "Ibu " * 250_000  # 1,000,000 characters
    line = json.dumps({"text": text, "spans": [[0, 3, "A"]]})
    assert len(read_file(write("a.jsonl", line), "xx").sentences[0].tokens) == 250_000
    spacy.blank("xx").make_doc(text)
    for longer in (f"{text}x", text + text):
        with pytest.raises(ValueError, match="E088"):
            spacy.blank("xx").make_doc(longer)
        line = json.dumps({"text": longer, "spans": [[0, 3, "A"]]})
        with pytest.raises(
            BadInput, match=r"a.jsonl:1: the text has [12],000,00[01] characters, more than the 1,000,000"
        ):
            read_file(write("a.jsonl", line), "xx")


def test_rejects_column_file_without_sentence_ends(write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.conll: sentence 2, 'Ibu Ibu .*'…, has 1,000,003 characters; mark") as caught:
        read_file(write("a.conll", "Ja O\n\n" + "Ibu B-A\n" * 250_001), "xx")
    assert "Ibu" not in caught.value.redacted
