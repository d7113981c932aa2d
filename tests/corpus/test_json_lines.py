"""JSON lines of annotation tools."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.corpus.json_lines import read_json_lines
from twinner.errors import BadInput

Write = Callable[..., Path]
GOOD = '{"text": "Ibu hilft", "spans": [{"start": 0, "end": 3, "label": "DRUG"}]}'


@pytest.mark.parametrize(
    "entities",
    [
        {"spans": [{"start": 0, "end": 3, "label": "DRUG", "token_start": 0}]},
        {"entities": [[0, 3, "DRUG"]]},
        {"entities": [{"start": 0, "end": 3, "label": "DRUG"}]},
        {"entities": [{"id": 7, "start_offset": 0, "end_offset": 3, "label": "DRUG"}], "relations": []},
        {"label": [[0, 3, "DRUG"]]},
        {"labels": [[0, 3, "DRUG"]]},
        {"spans": [[0, 3, "DRUG"]], "label": "relevant", "answer": "accept"},
    ],
)
def test_the_tools_spellings_read_the_same(entities: dict[str, object], write: Write) -> None:
    file = write("a.jsonl", json.dumps({"text": "Ibu hilft", **entities}) + "\n\n")
    (sentence,) = read_json_lines(file, "de").sentences
    assert (sentence.tokens, sentence.tags) == (("Ibu", "hilft"), ("B-DRUG", "O"))


def test_only_accepted_answers_are_read(write: Write) -> None:
    lines = [json.dumps({"text": answer, "answer": answer}) for answer in ("accept", "reject", "ignore")]
    sentences = read_json_lines(write("a.jsonl", "\n".join(lines)), "xx").sentences
    assert [sentence.text for sentence in sentences] == ["accept"]


def test_one_line_is_one_sentence_and_may_have_no_entity(write: Write) -> None:
    sentences = read_json_lines(write("a.jsonl", '{"text": "Gut. Sehr gut."}\n' + GOOD), "de").sentences
    assert [len(sentence.entities) for sentence in sentences] == [0, 1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            '{"text": "Ibu", "spans": [',
            r"bad.jsonl:7: broken JSON \(.*\) in '{\"text\": .*; write one whole JSON object",
        ),
        ('["Ibu"]', r"bad.jsonl:7: '\[\"Ibu\"\]' is no JSON object; write one JSON object a line, not a list"),
        ('{"text": 5}', 'bad.jsonl:7: the "text" is 5, not a text'),
        ('{"meta": {}}', 'bad.jsonl:7: the "text" is None, not a text; give every line a "text"'),
        ('{"text": "Ibu \\ud83d"}', r"bad.jsonl:7: the \"text\" holds half a character, '\\ud83d'"),
        ('{"text": "Ibu", "spans": [{"start": 0, "label": "A"}]}', 'bad.jsonl:7: the entity {"start": 0, .* lacks'),
        ('{"text": "Ibu", "spans": [[0, "3", "A"]]}', r"bad.jsonl:7: the entity \[0, \"3\", \"A\"\] lacks"),
        (
            '{"text": "Ibu", "spans": {"A": [0, 3]}}',
            r"bad.jsonl:7: the \"spans\" is no list but .*; write \"spans\": \[",
        ),
        ('{"text": "Ibu", "spans": ["Ibu"]}', 'bad.jsonl:7: the entity "Ibu" lacks'),
        ('{"text": "Ibu", "spans": [[0, 4, "A"]]}', r"bad.jsonl:7: the span 0 to 4 \(A\) is outside the text"),
        ('{"text": "Ibu ja", "spans": [[0, 5, "A"], [4, 6, "A"]]}', "bad.jsonl:7: the spans .* overlap"),
    ],
)
def test_line_7_is_named_when_it_is_bad(line: str, words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words):
        read_json_lines(write("bad.jsonl", f"{GOOD}\n" * 6 + line), "de")
