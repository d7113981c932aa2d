"""Files as numbered lines."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.corpus.lines import numbered_lines
from twinner.errors import BadInput


def test_bom_crlf_and_gzip_make_no_difference(write: Callable[..., Path]) -> None:
    text = "Müller\nkommt\n\nheute"
    plain = list(numbered_lines(write("plain", text)))
    assert plain == [(1, "Müller"), (2, "kommt"), (3, ""), (4, "heute")]
    assert list(numbered_lines(write("windows", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()))) == plain
    assert list(numbered_lines(write("packed.gz", gzip.compress(text.encode())))) == plain
    assert list(numbered_lines(write("packed-too", gzip.compress(text.encode())))) == plain


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\xa0", "\x0b", "\x0c", "\x1c"])
def test_only_line_feeds_end_lines(char: str, write: Callable[..., Path]) -> None:
    assert list(numbered_lines(write("a", f"a{char}b\nc"))) == [(1, f"a{char}b"), (2, "c")]


def test_the_first_line_that_is_not_utf8_is_named(write: Callable[..., Path]) -> None:
    file = write("latin1.txt", "gut\ngrün\n".encode("latin1"))
    with pytest.raises(BadInput, match=r"latin1.txt:2: the line is not UTF-8 text \(byte 0xfc\); convert"):
        list(numbered_lines(file))


def test_utf16_is_told_of(write: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match=r"utf16.txt:1: the line is not UTF-8 text"):
        list(numbered_lines(write("utf16.txt", "gut\n".encode("utf-16-le"))))


def test_a_gzip_cut_short_is_told_of(write: Callable[..., Path]) -> None:
    packed = gzip.compress(bytes(range(256)) * 50)
    with pytest.raises(BadInput, match=r"cut.gz: the gzip file is damaged .*; fetch or pack it again"):
        list(numbered_lines(write("cut.gz", gzip.compress(b"a\n" * 5000)[:-12])))
    with pytest.raises(BadInput, match="not UTF-8"):
        list(numbered_lines(write("binary.gz", packed)))


def test_a_missing_file_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none.txt: can't be read \(No such file or directory\)"):
        list(numbered_lines(tmp_path / "none.txt"))
