"""Recognising tagging schemes and converting them to IOB2, checked against seqeval."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from seqeval.scheme import IOB1, IOB2, IOBES, BILOU, Entities  # isort: skip
from twinner.corpus.schemes import TagPairs
from twinner.errors import BadInput

Entity = tuple[str, int, int]  # label, first token, end token
SEQEVAL = {"IOB1": IOB1, "IOB2": IOB2, "IOBES": IOBES, "BILOU": BILOU}


def pairs_of(*sentences: str) -> TagPairs:
    """The pairs of sentences given as tags separated by spaces; each tag is on a line, with blank lines between."""
    pairs, line = TagPairs(Path("f.conll")), 1
    for sentence in sentences:
        tags = sentence.split()
        pairs.add(tags, range(line, line + len(tags)))
        line += len(tags) + 1
    return pairs


def converted(pairs: TagPairs, tags: list[str]) -> list[str]:
    return pairs.add(tags, range(1, len(tags) + 1))


def written(entities: list[Entity], length: int, scheme: str) -> list[str]:
    """The tags of entities by the definition of a scheme."""
    tags = ["O"] * length
    behind = {(label, end) for label, _, end in entities}
    for label, start, end in entities:
        first, last = {
            "IOB2": ("B", "I"),
            "IOB1": ("B" if (label, start) in behind else "I", "I"),
            "BILOU": ("B", "L"),
            "IOBES": ("B", "E"),
        }[scheme]
        if end - start == 1:
            tags[start] = f"{ {'BILOU': 'U', 'IOBES': 'S'}.get(scheme, first) }-{label}"
        else:
            tags[start:end] = [f"{first}-{label}", *[f"I-{label}"] * (end - start - 2), f"{last}-{label}"]
    return tags


@st.composite
def sentences(draw: st.DrawFn) -> tuple[list[Entity], int]:
    """Entities, and the length of their sentence."""
    entities: list[Entity] = []
    position = draw(st.integers(0, 2))
    for label in draw(st.lists(st.sampled_from(["PER", "LOC"]), max_size=4)):
        end = position + draw(st.integers(1, 3))
        entities.append((label, position, end))
        position = end + draw(st.integers(0, 1))
    return entities, max(position, 1) + draw(st.integers(0, 2))


@pytest.mark.parametrize("scheme", SEQEVAL)
@given(sentence=sentences())
def test_converts_every_scheme_to_iob2(scheme: str, sentence: tuple[list[Entity], int]) -> None:
    entities, length = sentence
    tags = written(entities, length, scheme)
    by_scheme = [entity.to_tuple()[1:] for entity in Entities([tags], SEQEVAL[scheme]).entities[0]]
    assert by_scheme == entities  # seqeval agrees on the tags
    pairs = pairs_of(" ".join(tags))
    iob2 = converted(pairs, tags)
    assert [(label, start, last + 1) for label, start, last in get_entities(iob2)] == entities
    assert iob2 == written(entities, length, "IOB2")
    if entities:
        assert pairs.scheme().name == scheme


def test_prefers_iob2() -> None:
    assert pairs_of("B-PER I-PER O B-LOC B-LOC").scheme().name == "IOB2"


def test_recognises_iob1() -> None:
    pairs = pairs_of("I-PER I-PER B-PER I-LOC O")
    assert pairs.scheme().name == "IOB1"
    assert converted(pairs, ["I-PER", "I-PER", "B-PER", "I-LOC", "O"]) == ["B-PER", "I-PER", "B-PER", "B-LOC", "O"]


@pytest.mark.parametrize(
    ("sentences", "words"),
    [
        (["O B-PER I-ORG"], r"f.conll:3: the tag 'I-ORG' follows 'B-PER', which the scheme IOB2 .*: write B-ORG"),
        (["O B-PER", "B-LOC O I-LOC"], r"f.conll:6: the tag 'I-LOC' follows 'O', .*IOB1 either: see 'B-PER' in line 2"),
        (["B-PER O", "I-PER O"], r"f.conll:4: the tag 'I-PER' opens a sentence, which the scheme IOB2"),
        (["B-PER L-PER O", "I-PER L-PER"], r"f.conll:5: the tag 'I-PER' opens a sentence, which the scheme BILOU"),
        (["U-PER O", "O B-PER"], r"f.conll:5: the tag 'B-PER' ends a sentence, which the scheme BILOU does not allow"),
        (["B-PER E-LOC"], r"f.conll:2: the tag 'E-LOC' follows 'B-PER', which the scheme IOBES does not allow"),
        (["U-PER O S-PER"], r"f.conll:3: the tag 'S-PER' is not of the scheme BILOU"),
    ],
)
def test_rejects_tags_of_no_scheme(sentences: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        pairs_of(*sentences).scheme()


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("X-PER", "f.conll:2: the tag 'X-PER' has the unknown prefix 'X'; write O, or B- or I- and a label"),
        ("B-", "f.conll:2: the tag 'B-' names no label"),
        ("PER", "f.conll:2: 'PER' is not a tag"),
        ("b-med", "f.conll:2: the tag 'b-med' has the unknown prefix 'b'; write B-med"),
        ("o", r"f.conll:2: 'o' is not a tag; write O \(the capital letter\)"),
    ],
)
def test_rejects_invalid_tags(tag: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        pairs_of(f"O {tag} O")


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("0", r"'0' is not a tag; write O \(the capital letter\)"),
        ("_", r"'_' is not a tag; write O"),
        ("B_PER", "'B_PER' is not a tag; write B-PER"),
        ("I:PER", "'I:PER' is not a tag; write I-PER"),
        ("PER-B", "'PER-B' is not a tag; write B-PER"),
        ("PER_I", "'PER_I' is not a tag; write I-PER"),
        ("B-\x1b[31m ", r"^(?!.*\x1b)"),
    ],
)
def test_suggests_tag_that_was_meant(tag: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        pairs_of("O").add(["O", tag, "X-Y"], [4, 5, 6])


def with_strays(scheme: str, count: int, stray: list[str]) -> list[list[str]]:
    """`count` sentences with two entities each in a scheme, and a sentence of other tags after the second."""
    sentence = written([("PER", 0, 2), ("date", 3, 4)], 5, scheme)
    return [sentence, sentence, stray, *[sentence] * (count - 2)]


@pytest.mark.parametrize("scheme", ["IOB2", "BILOU", "IOBES"])
@pytest.mark.parametrize("stray", ["I-date O O", "O I-date I-date", "B-PER I-date O"])
def test_reads_few_stray_tags_as_seqeval_does(scheme: str, stray: str) -> None:
    tags = with_strays(scheme, 100, stray.split())
    pairs = pairs_of(*map(" ".join, tags))
    assert pairs.scheme().name == scheme
    assert get_entities(converted(pairs, stray.split())) == get_entities(stray.split())
    assert converted(pairs, tags[0]) == ["B-PER", "I-PER", "O", "B-date", "O"]


def test_warns_about_stray_tags() -> None:
    pairs = pairs_of(*map(" ".join, with_strays("IOB2", 100, ["I-date", "O", "I-PER"])))
    assert pairs.stray_tags() == (
        "f.conll:13: the tag 'I-date' opens a sentence, which IOB2 does not allow; "
        "such stray tags, 2 among 202 entities, are read as conlleval does"
    )
    assert pairs_of("B-PER I-PER", "O").stray_tags() == ""
    assert pairs_of("I-PER I-PER B-PER").stray_tags() == ""


@pytest.mark.parametrize(("sentences", "accepted"), [(50, True), (49, False)])
def test_accepts_one_stray_tag_per_hundred_entities(sentences: int, accepted: bool) -> None:
    # With the stray tag's own entity, 50 sentences have 101 entities and 49 have 99.
    pairs = pairs_of(*map(" ".join, with_strays("IOB2", sentences, ["I-date"])))
    if accepted:
        pairs.scheme()
        assert converted(pairs, ["I-date"]) == ["B-date"]
    else:
        with pytest.raises(BadInput, match=r"f.conll:13: the tag 'I-date' opens a sentence, .*: write B-date"):
            pairs.scheme()


def test_reads_iob1_with_few_stray_tags_as_seqeval_does() -> None:
    tags = with_strays("IOB1", 100, ["O", "B-PER", "I-PER"])
    pairs = pairs_of(*map(" ".join, tags))
    assert pairs.scheme().name == "IOB1"
    assert "'B-PER' follows 'O', which IOB1 does not allow; such stray tags, 1 among 201" in pairs.stray_tags()
    assert [get_entities(converted(pairs, sentence)) for sentence in tags] == [get_entities(s) for s in tags]


def test_tags_of_another_scheme_are_not_stray() -> None:
    with pytest.raises(BadInput, match="'S-PER' is not of the scheme BILOU"):
        pairs_of(*map(" ".join, with_strays("BILOU", 500, ["S-PER"]))).scheme()
