"""Tagging schemes are told apart and become IOB2, checked against seqeval."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from seqeval.scheme import IOB1, IOB2, IOBES, BILOU, Entities  # isort: skip
from twinner.corpus.schemes import TagPairs
from twinner.errors import BadInput

Entity = tuple[str, int, int]  # label, first token, behind the last token
SEQEVAL = {"IOB1": IOB1, "IOB2": IOB2, "IOBES": IOBES, "BILOU": BILOU}


def pairs_of(*sentences: str) -> TagPairs:
    """The pairs of sentences written as tags with spaces between, each token on a line, blank lines between."""
    pairs, line = TagPairs(Path("f.conll")), 1
    for sentence in sentences:
        tags = sentence.split()
        pairs.add(tags, range(line, line + len(tags)))
        line += len(tags) + 1
    return pairs


def converted(pairs: TagPairs, tags: list[str]) -> list[str]:
    table = pairs.iob2()
    return [table[pair] for pair in zip(["", *tags], tags, strict=False)]


def written(entities: list[Entity], length: int, scheme: str) -> list[str]:
    """The tags of some entities in a scheme, by the definition of the scheme."""
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
    """Some entities, and the length of their sentence."""
    entities: list[Entity] = []
    position = draw(st.integers(0, 2))
    for label in draw(st.lists(st.sampled_from(["PER", "LOC"]), max_size=4)):
        end = position + draw(st.integers(1, 3))
        entities.append((label, position, end))
        position = end + draw(st.integers(0, 1))
    return entities, max(position, 1) + draw(st.integers(0, 2))


@pytest.mark.parametrize("scheme", SEQEVAL)
@given(sentence=sentences())
def test_every_scheme_becomes_the_iob2_of_the_same_entities(scheme: str, sentence: tuple[list[Entity], int]) -> None:
    entities, length = sentence
    tags = written(entities, length, scheme)
    by_scheme = [entity.to_tuple()[1:] for entity in Entities([tags], SEQEVAL[scheme]).entities[0]]
    assert by_scheme == entities  # the tags are what seqeval takes them for
    pairs = pairs_of(" ".join(tags))
    iob2 = converted(pairs, tags)
    assert [(label, start, last + 1) for label, start, last in get_entities(iob2)] == entities
    assert iob2 == written(entities, length, "IOB2")
    if entities:
        assert pairs.scheme().name == scheme


def test_iob2_wins_where_every_entity_is_opened_by_b() -> None:
    assert pairs_of("B-PER I-PER O B-LOC B-LOC").scheme().name == "IOB2"


def test_iob1_is_told_by_an_i_that_opens_and_b_only_between_entities_of_a_type() -> None:
    pairs = pairs_of("I-PER I-PER B-PER I-LOC O")
    assert pairs.scheme().name == "IOB1"
    assert converted(pairs, ["I-PER", "I-PER", "B-PER", "I-LOC", "O"]) == ["B-PER", "I-PER", "B-PER", "B-LOC", "O"]


@pytest.mark.parametrize(
    ("sentences", "words"),
    [
        (["O B-PER I-ORG"], r"f.conll:3: the tag 'I-ORG' follows 'B-PER', and the scheme IOB2 .*: write B-ORG"),
        (["O B-PER", "B-LOC O I-LOC"], r"f.conll:6: the tag 'I-LOC' follows 'O', .*IOB1 either: see 'B-PER' in line 2"),
        (["B-PER O", "I-PER O"], r"f.conll:4: the tag 'I-PER' opens a sentence, and the scheme IOB2"),
        (["B-PER L-PER O", "I-PER L-PER"], r"f.conll:5: the tag 'I-PER' opens a sentence, and the scheme BILOU"),
        (["U-PER O", "O B-PER"], r"f.conll:5: the tag 'B-PER' ends a sentence, and the scheme BILOU does not allow"),
        (["B-PER E-LOC"], r"f.conll:2: the tag 'E-LOC' follows 'B-PER', and the scheme IOBES does not allow"),
        (["U-PER O S-PER"], r"f.conll:3: the tag 'S-PER' is of another scheme than BILOU"),
    ],
)
def test_tags_of_no_scheme_are_named_by_line_and_value(sentences: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        pairs_of(*sentences).iob2()


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("X-PER", "f.conll:2: the tag 'X-PER' has the unknown prefix 'X'; the last column takes O, or B-"),
        ("B-", "f.conll:2: the tag 'B-' names no label"),
        ("PER", "f.conll:2: 'PER' is no tag"),
        ("b-med", "f.conll:2: the tag 'b-med' has the unknown prefix 'b'"),
        ("o", "f.conll:2: 'o' is no tag"),
    ],
)
def test_a_tag_that_is_no_tag_is_told_of(tag: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        pairs_of(f"O {tag} O")
