"""Errors for the user."""

import pytest
from twinner.errors import BadInput


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((), "the tag is wrong; mend it"),
        (("a.conll",), "a.conll: the tag is wrong; mend it"),
        (("a.conll", 3), "a.conll:3: the tag is wrong; mend it"),
    ],
)
def test_message_is_place_fact_and_remedy(place: tuple[str, int], message: str) -> None:
    error = BadInput("the tag\nis  wrong", "mend it", *place)
    assert str(error) == error.redacted == message


def test_message_is_printable() -> None:
    error = BadInput("\x1b[31mred\x07 \ud83d \u202eabc", "mend\x00it", "\x1b]0;x\x07.conll", 1)
    assert str(error) == r"\x1b]0;x\x07.conll:1: \x1b[31mred\x07 \ud83d \u202eabc; mend\x00it"
    str(error).encode()


def test_redacted_leaves_out_quotes_in_fact_and_remedy() -> None:
    error = BadInput("'Ibu' is not 'Ibuprofen 400'", "write 'Ibu' twice", "a.conll", 3, ["'Ibu'", "'Ibuprofen 400'"])
    assert str(error) == "a.conll:3: 'Ibu' is not 'Ibuprofen 400'; write 'Ibu' twice"
    assert error.redacted == "a.conll:3: … is not …; write … twice"


def test_redacted_prefers_longer_quotes() -> None:
    assert BadInput("Ibu forte hilft", "nimm Ibu", quotes=["Ibu", "Ibu forte"]).redacted == "… hilft; nimm …"


def test_redacted_finds_quotes_that_the_message_spells_differently() -> None:
    for quote in ("'two  spaces'", "'a\nb'", "'\x1b[0m'"):
        assert BadInput(f"{quote} is bad", "drop it", quotes=[quote]).redacted == "… is bad; drop it"


def test_redacted_keeps_place_and_ignores_empty_quotes() -> None:
    assert BadInput("'a' is bad", "drop it", "'a'.txt", quotes=["'a'", ""]).redacted == "'a'.txt: … is bad; drop it"
