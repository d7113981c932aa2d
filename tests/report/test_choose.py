import math
from datetime import UTC, datetime

import pytest
from twinner.errors import BadInput
from twinner.report.choose import Choice, parse_ranges
from twinner.tracking.params import plain_params
from twinner.tracking.read import Run


def run_with(**params: str) -> Run:
    plain = plain_params(params)
    return Run("id", "0", "name", "FINISHED", datetime.now(UTC), plain, {}, {"twinner.step": "spacy_train"})


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("", []),
        (" ", []),
        (".20", [(0.2, 0.2)]),
        ("0.1, 0.3", [(0.1, 0.1), (0.3, 0.3)]),
        ("0.1:0.3", [(0.1, 0.3)]),
        ("1e-3:1e-2,5", [(0.001, 0.01), (5, 5)]),
        ("0.1:", [(0.1, math.inf)]),
        (":0.1", [(-math.inf, 0.1)]),
    ],
)
def test_a_choice_is_a_value_a_list_or_a_range(text: str, ranges: list[tuple[float, float]]) -> None:
    assert parse_ranges("lr", text) == ranges


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("abc", "'abc' is neither a number nor a range"),
        ("nan", "'nan' is neither"),
        ("0.1,", "'' is neither"),
        ("0.1:0.2:0.3", "'0.1:0.2:0.3' is neither"),
        (":", "':' is neither"),
        ("0.3:0.1", "the range '0.3:0.1' runs backwards"),
    ],
)
def test_a_choice_that_makes_no_sense_is_named_with_a_remedy(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        parse_ranges("drop_rate", text)
    assert "drop_rate" in str(caught.value)
    assert "give a value (0.2), several (0.1,0.3), a range (0.1:0.3)" in str(caught.value)


def test_values_compare_as_numbers_whatever_their_spelling() -> None:
    runs = [run_with(lr="1e-3"), run_with(lr=".0010"), run_with(lr="0.002"), run_with(lr="abc"), run_with()]
    assert Choice(lr="0.001").of(runs) == runs[:2]


def test_a_range_includes_its_ends_even_as_floats_round() -> None:
    runs = [run_with(drop_rate=text) for text in ("0.1", "0.2", "0.30000000000000004", "0.31")]
    assert Choice(drop_rate="0.1:0.3").of(runs) == runs[:3]


def test_all_choices_hold_at_once_and_the_order_is_kept() -> None:
    runs = [run_with(drop_rate=d, epochs=e) for d, e in (("0.3", "5"), ("0.1", "5"), ("0.1", "9"))]
    assert Choice(drop_rate="0.1,0.3", epochs="5").of(runs) == runs[:2]
    assert Choice().of(runs) == runs


def test_a_choice_that_no_run_meets_names_the_values_that_were_tried() -> None:
    with pytest.raises(BadInput, match=r"no training run has drop_rate 0\.9; choose among those tried: 0\.1, 0\.2"):
        Choice(drop_rate="0.9").of([run_with(drop_rate="0.2"), run_with(drop_rate=".1")])
