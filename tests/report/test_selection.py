import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from twinner.errors import BadInput
from twinner.report.selection import Selection, parse_ranges
from twinner.tracking.params import plain_params
from twinner.tracking.run import Run


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
def test_parses_values_lists_and_ranges(text: str, ranges: list[tuple[float, float]]) -> None:
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
def test_rejects_malformed_selection(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        parse_ranges("drop_rate", text)
    assert "drop_rate" in str(caught.value)
    assert "give a value (0.2), several (0.1,0.3), a range (0.1:0.3)" in str(caught.value)


def test_compares_values_as_numbers() -> None:
    runs = [run_with(lr="1e-3"), run_with(lr=".0010"), run_with(lr="0.002"), run_with(lr="abc"), run_with()]
    assert Selection(lr="0.001").apply(runs) == runs[:2]


def test_ranges_include_rounded_ends() -> None:
    runs = [run_with(drop_rate=text) for text in ("0.1", "0.2", "0.30000000000000004", "0.31")]
    assert Selection(drop_rate="0.1:0.3").apply(runs) == runs[:3]


def test_selects_a_sweep_by_its_tag_or_param() -> None:
    tagged = replace(run_with(), tags={"twinner.step": "spacy_train", "twinner.sweep": "demo"})
    failed = run_with(sweep="demo")  # before it had its tag
    other = run_with(sweep="other")
    assert Selection(sweep="demo").apply([tagged, run_with(), failed, other]) == [tagged, failed]
    with pytest.raises(BadInput, match="no training run belongs to the sweep 'dem'; choose among: demo, other"):
        Selection(sweep="dem").apply([tagged, failed, other])


def test_combines_selections_in_order() -> None:
    runs = [run_with(drop_rate=d, epochs=e) for d, e in (("0.3", "5"), ("0.1", "5"), ("0.1", "9"))]
    assert Selection(drop_rate="0.1,0.3", epochs="5").apply(runs) == runs[:2]
    assert Selection().apply(runs) == runs


def test_empty_selection_names_values_tried() -> None:
    with pytest.raises(
        BadInput, match=r"no training run has drop_rate 0\.9; choose among the values tried: 0\.1, 0\.2"
    ):
        Selection(drop_rate="0.9").apply([run_with(drop_rate="0.2"), run_with(drop_rate=".1")])
