"""Files as numbered lines."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from twinner.corpus.lines import numbered_lines
from twinner.errors import BadInput


def test_reads_bom_crlf_and_gzip(write: Callable[..., Path]) -> None:
    text = "Müller\nkommt\n\nheute"
    plain = list(numbered_lines(write("plain", text)))
    assert plain == [(1, "Müller"), (2, "kommt"), (3, ""), (4, "heute")]
    assert list(numbered_lines(write("windows", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()))) == plain
    assert list(numbered_lines(write("packed.gz", gzip.compress(text.encode())))) == plain
    assert list(numbered_lines(write("packed-too", gzip.compress(text.encode())))) == plain


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\xa0", "\x0b", "\x0c", "\x1c"])
def test_only_line_feeds_end_lines(char: str, write: Callable[..., Path]) -> None:
    assert list(numbered_lines(write("a", f"a{char}b\nc"))) == [(1, f"a{char}b"), (2, "c")]


def test_names_first_line_that_is_not_utf8(write: Callable[..., Path]) -> None:
    file = write("latin1.txt", "gut\ngrün\n".encode("latin1"))
    with pytest.raises(BadInput, match=r"latin1.txt:2: the line is not UTF-8 text \(byte 0xfc\); convert"):
        list(numbered_lines(file))


def test_recognises_utf16_without_bom(write: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match=r"utf16.txt:1: .* looks like UTF-16LE; convert the file: iconv -f UTF-16LE"):
        list(numbered_lines(write("utf16.txt", "gut\n".encode("utf-16-le"))))


def test_rejects_truncated_gzip(write: Callable[..., Path]) -> None:
    packed = gzip.compress(bytes(range(256)) * 50)
    with pytest.raises(BadInput, match=r"cut.gz: the gzip file is damaged .*; download or compress it again"):
        list(numbered_lines(write("cut.gz", gzip.compress(b"a\n" * 5000)[:-12])))
    with pytest.raises(BadInput, match="holds a zero byte, so the file is not text"):
        list(numbered_lines(write("binary.gz", packed)))


def test_rejects_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none.txt: can't be read \(No such file or directory\)"):
        list(numbered_lines(tmp_path / "none.txt"))


def zip_of(text: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("a.conll", text)
    return archive.getvalue()


def tar_of(text: bytes) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as out:
        member = tarfile.TarInfo("a.conll")
        member.size = len(text)
        out.addfile(member, io.BytesIO(text))
    return archive.getvalue()


TEXT = "Müller\tB-PER\n" * 9


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (TEXT.encode("utf-16"), "a.conll: the file is UTF-16 text, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "a.conll: the file is UTF-16 text, not UTF-8"),
        (TEXT.encode("utf-16-be"), "a.conll:1: .* looks like UTF-16BE; convert the file: iconv -f UTF-16BE -t UTF-8"),
        (TEXT.encode("utf-32"), "a.conll: the file is UTF-32 text, not UTF-8; convert it: iconv -f UTF-32"),
        (gzip.compress(TEXT.encode("utf-16"), mtime=0), "a.conll: the file is UTF-16 text"),
        (bz2.compress(TEXT.encode()), "a.conll: the file is packed by bzip2; unpack it: bunzip2"),
        (lzma.compress(TEXT.encode()), "a.conll: the file is packed by xz; unpack it: unxz"),
        (zip_of(TEXT.encode()), "a.conll: the file is a zip archive; unpack it: unzip"),
        (tar_of(TEXT.encode()), "a.conll: the file is a tar archive; unpack it: tar -xf"),
        ("<!DOCTYPE html>\n<title>Login", "a.conll: the file is a web page, not a corpus; download the corpus itself"),
        ("\n<html lang='de'>\n<title>Login", "a.conll: the file is a web page"),
        ("\ufeff<?xml version='1.0'?><Error/>", "a.conll: the file is a web page"),
        ("a\tO\nb\0c\tO\n", "a.conll:2: the line holds a zero byte, so the file is not text; give a text file"),
    ],
)
def test_recognises_other_kinds_of_files(content: str | bytes, words: str, write: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match=words):
        list(numbered_lines(write("a.conll", content)))


@pytest.mark.parametrize("text", ["BZh9\tO\n", "PK O\n", "<html> O\n</html> O\n", "7z B-SOFT\n", "<?xml O\n"])
def test_reads_tokens_that_resemble_other_files(text: str, write: Callable[..., Path]) -> None:
    assert next(numbered_lines(write("a.conll", text))) == (1, text.splitlines()[0])


def test_rejects_pipe_without_waiting_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(
        BadInput, match=r"pipe: a pipe or device can't be read as a corpus, .*; save it to a file first"
    ):
        list(numbered_lines(pipe))
