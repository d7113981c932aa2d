"""JSON of annotation tools."""

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
def test_reads_spellings_of_all_tools_alike(entities: dict[str, object], write: Write) -> None:
    file = write("a.jsonl", json.dumps({"text": "Ibu hilft", **entities}) + "\n\n")
    (sentence,) = read_json_lines(file, "de").sentences
    assert (sentence.tokens, sentence.tags) == (("Ibu", "hilft"), ("B-DRUG", "O"))


def test_reads_only_accepted_answers(write: Write) -> None:
    lines = [json.dumps({"text": answer, "answer": answer}) for answer in ("accept", "reject", "ignore")]
    sentences = read_json_lines(write("a.jsonl", "\n".join(lines)), "xx").sentences
    assert [sentence.text for sentence in sentences] == ["accept"]


def test_each_line_is_a_sentence(write: Write) -> None:
    sentences = read_json_lines(write("a.jsonl", '{"text": "Gut. Sehr gut."}\n' + GOOD), "de").sentences
    assert [len(sentence.entities) for sentence in sentences] == [0, 1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            '{"text": "Ibu", "spans": [',
            r"bad.jsonl:7: broken JSON \(.*\) in '{\"text\": .*; write one whole JSON object per line",
        ),
        ('["Ibu"]', r"bad.jsonl:7: '\[\"Ibu\"\]' is not a JSON object; write {"),
        ('{"text": 5}', 'bad.jsonl:7: the "text" is 5, not a text'),
        ('{"meta": {}}', 'bad.jsonl:7: the "text" is None, not a text; give every object a "text"'),
        ('{"text": "Ibu \\ud83d"}', r"bad.jsonl:7: the \"text\" holds half a character, '\\ud83d'"),
        ('{"text": "Ibu", "spans": [{"start": 0, "label": "A"}]}', 'bad.jsonl:7: the entity {"start": 0, .* lacks'),
        ('{"text": "Ibu", "spans": [[0, "3", "A"]]}', r"bad.jsonl:7: the entity \[0, \"3\", \"A\"\] lacks"),
        (
            '{"text": "Ibu", "spans": {"A": [0, 3]}}',
            r"bad.jsonl:7: the \"spans\" is not a list but .*; write \"spans\": \[",
        ),
        ('{"text": "Ibu", "spans": ["Ibu"]}', 'bad.jsonl:7: the entity "Ibu" lacks'),
        ('{"text": "Ibu", "spans": [[0, 4, "A"]]}', r"bad.jsonl:7: the span 0 to 4 \(A\) is outside the text"),
        (
            '{"text": "Ibu ja", "annotations": [{"label": 4, "start_offset": 0, "end_offset": 3, "user": 1}]}',
            "bad.jsonl:7: the label of the entity .* is a number; export the names",
        ),
    ],
)
def test_names_invalid_line(line: str, words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words):
        read_json_lines(write("bad.jsonl", f"{GOOD}\n" * 6 + line), "de")


def test_reads_doccano_with_nested_labels(write: Write) -> None:
    line = {"id": 4, "text": "Uni Jena hilft", "label": [[4, 8, "LOC"], [0, 8, "ORG"]], "Comments": []}
    parsed = read_json_lines(write("a.jsonl", json.dumps(line)), "de")
    assert parsed.sentences[0].tags == ("B-ORG", "I-ORG", "O")
    assert "a.jsonl:1 is the first of the entities left out" in parsed.notes[0]


def test_takes_entities_from_the_list_that_is_not_empty(write: Write) -> None:
    line = {"text": "Bonn hilft", "spans": [], "entities": [[0, 4, "LOC"]], "labels": ["news"]}
    (sentence,) = read_json_lines(write("a.jsonl", json.dumps(line)), "de").sentences
    assert sentence.tags == ("B-LOC", "O")


def test_two_lists_must_hold_the_same_entities(write: Write) -> None:
    same = {
        "text": "Bonn hilft",
        "spans": [{"start": 0, "end": 4, "label": "LOC"}],
        "entities": [[0, 4, "LOC", "Bonn"]],
    }
    assert read_json_lines(write("a.jsonl", json.dumps(same)), "de").sentences[0].tags == ("B-LOC", "O")
    other = same | {"label": [[0, 4, "ORG"]]}
    with pytest.raises(
        BadInput, match=r'a.jsonl:1: the lists "spans" and "entities" and "label" hold different entities'
    ):
        read_json_lines(write("a.jsonl", json.dumps(other)), "de")


ARRAY = [
    {"text": "Ibu hilft", "spans": [{"start": 0, "end": 3, "label": "DRUG"}]},
    {"text": "Ja", "spans": [[0, 3, "DRUG"]]},
]


@pytest.mark.parametrize("indent", [None, 2])
def test_reads_array(indent: int | None, write: Write) -> None:
    parsed = read_json_lines(write("a.json", "\n" + json.dumps(ARRAY[:1] * 3, indent=indent) + "\n"), "de")
    assert [sentence.tags for sentence in parsed.sentences] == [("B-DRUG", "O")] * 3


@pytest.mark.parametrize("indent", [None, 2])
def test_names_invalid_item_of_array(indent: int | None, write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.json: item 2: the span 0 to 3 \(DRUG\) is outside the text"):
        read_json_lines(write("a.json", json.dumps(ARRAY, indent=indent)), "de")
    with pytest.raises(BadInput, match=r"a.json: item 2: '5' is not a JSON object"):
        read_json_lines(write("a.json", json.dumps([ARRAY[0], 5], indent=indent)), "de")


def test_names_line_of_broken_array(write: Write) -> None:
    text = "\n" + json.dumps(ARRAY[:1], indent=1).replace('"label": "DRUG"', '"label" "DRUG"')
    with pytest.raises(BadInput, match=r"a.json:9: broken JSON \(.*\) in ' \"label\" \"DRUG\"'; .* or one array"):
        read_json_lines(write("a.json", text), "de")


# The offsets that JavaScript and Python count for "Ibu", by their own rules: an emoji is two UTF-16 units.
EMOJI = "😀😀 Ibu hilft 😀"
IN_UNITS, IN_CHARACTERS = (5, 8), (3, 6)


def emoji(offsets: tuple[int, int], quote: str | None = None) -> dict[str, object]:
    span = {"start": offsets[0], "end": offsets[1], "label": "DRUG"}
    return {"text": EMOJI, "spans": [span if quote is None else span | {"text": quote}]}


def drugs(write: Write, *records: dict[str, object]) -> tuple[list[list[str]], list[str]]:
    """The tokens of the entities of each record, and the notes."""
    parsed = read_json_lines(write("a.jsonl", "\n".join(map(json.dumps, records))), "de")
    found = [[s.tokens[i] for start, end, _ in s.entities for i in range(start, end)] for s in parsed.sentences]
    return found, parsed.notes


def test_offsets_of_javascript_are_those_of_utf16() -> None:
    units = EMOJI.encode("utf-16-le")
    assert units[2 * IN_UNITS[0] : 2 * IN_UNITS[1]].decode("utf-16-le") == EMOJI[slice(*IN_CHARACTERS)] == "Ibu"


@pytest.mark.parametrize("position", [0, 1])
def test_converts_utf16_offsets_of_the_whole_file(position: int, write: Write) -> None:
    records = [emoji(IN_UNITS), emoji(IN_UNITS)]
    records.insert(position, emoji(IN_UNITS, "Ibu"))
    found, notes = drugs(write, *records, json.loads(GOOD))
    assert found == [["Ibu"]] * 4
    (note,) = notes
    assert f"a.jsonl:{position + 1}: the quoted spans show that offsets count UTF-16 units" in note


def test_keeps_offsets_in_characters(write: Write) -> None:
    quoted = emoji(IN_CHARACTERS, " Ibu")  # white space apart
    assert drugs(write, quoted, emoji(IN_CHARACTERS)) == ([["Ibu"], ["Ibu"]], [])
    assert drugs(write, emoji(IN_CHARACTERS)) == ([["Ibu"]], [])


def test_quote_may_be_the_fourth_item(write: Write) -> None:
    record: dict[str, object] = {"text": EMOJI, "spans": [[*IN_UNITS, "DRUG", "Ibu"]]}
    assert drugs(write, record)[0] == [["Ibu"]]


def test_decides_by_record_if_a_file_counts_both_ways(write: Write) -> None:
    both = [emoji(IN_CHARACTERS, "Ibu"), emoji(IN_UNITS, "Ibu")]
    assert drugs(write, *both)[0] == [["Ibu"], ["Ibu"]]
    with pytest.raises(
        BadInput, match=r"a.jsonl:3: some texts .* UTF-16 units \(.*a.jsonl:2\), others characters \(.*a.jsonl:1\)"
    ):
        drugs(write, *both, emoji(IN_UNITS))


def test_rejects_utf16_offset_inside_a_character(write: Write) -> None:
    with pytest.raises(
        BadInput, match=r"a.jsonl:2: an offset is inside a character .* UTF-16 units, as in .*a.jsonl:1; count"
    ):
        drugs(write, emoji(IN_UNITS, "Ibu"), emoji((1, 2)))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (emoji((4, 7), "Ibu"), r"a.jsonl:1: the span 4 to 7 \(DRUG\) quotes 'Ibu', but 'bu ' stands there; correct"),
        ({"text": "Ibu", "spans": [[0, 2, "A", "Ibu"]]}, r"a.jsonl:1: the span 0 to 2 \(A\) quotes 'Ibu', but 'Ib' st"),
        ({"text": "Ibu", "spans": [[0, 9, "A", "Ibu"]]}, r"a.jsonl:1: the span 0 to 9 \(A\) is outside the text"),
    ],
)
def test_rejects_quotes_that_do_not_fit(record: dict[str, object], words: str, write: Write) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        drugs(write, record)
    assert "Ib" not in caught.value.redacted


@pytest.mark.parametrize("number", ["true", "1.0", "1_0", '"1"'])
def test_offsets_must_be_integers(number: str, write: Write) -> None:
    with pytest.raises(BadInput, match=r"a.jsonl:1: "):
        read_json_lines(write("a.jsonl", f'{{"text": "Ibu hilft ja", "spans": [[0, {number}, "A"]]}}'), "de")


@pytest.mark.parametrize(
    "line",
    [
        '{"text": ["Smith"]}',
        '{"text": "Smith wohnt", ',
        '["Smith"]',
        '["Smith", ',
        '{"text": "Smith", "spans": ["Smith"]}',
        '{"text": "Smith", "spans": {"a": "Smith"}}',
        '{"text": "Smith", "spans": [[0, 4, "A", "Smith"]]}',
    ],
)
def test_redacts_text(line: str, write: Write) -> None:
    with pytest.raises(BadInput) as caught:
        read_json_lines(write("a.jsonl", line), "de")
    assert "Smith" not in caught.value.redacted.partition("a.jsonl")[2]
