"""Downloads are verified, retried and resumed, tested against a real server with faults."""

import hashlib
from pathlib import Path

import pytest
from twinner.corpus.download import download, without_password
from twinner.errors import BadInput

from .conftest import Server

BODY = b"Ibuprofen\tB-DRUG\n" * 10_000
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "eng.train"


def resumed_at(server: Server) -> int:
    """The first byte requested last."""
    asked = server.requests[-1][1]
    return int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0


def test_downloads_whole_file_and_nothing_else(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    assert download(f"{server.url}/a", target, "by hand", SHA256).read_bytes() == BODY
    assert {file.name for file in target.parent.iterdir()} <= {"eng.train", "eng.train.lock"}


def test_second_call_needs_no_network(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    download(f"{server.url}/a", target, "by hand", SHA256)
    server.stop()
    assert download(f"{server.url}/a", target, "by hand", SHA256).read_bytes() == BODY
    assert len(server.requests) == 1


def test_resumes_truncated_response(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    server.faults = [-100_000]
    assert download(f"{server.url}/a", target, "by hand", SHA256).read_bytes() == BODY
    assert len(server.requests) == 2
    assert 0 < resumed_at(server) <= 100_000


def test_resumes_earlier_attempt(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    server.faults = [-100_000, 500, 500, 500]
    with pytest.raises(BadInput, match="the server answered 500"):
        download(f"{server.url}/a", target, "by hand", SHA256)
    assert not target.exists()
    assert download(f"{server.url}/a", target, "by hand", SHA256).read_bytes() == BODY
    assert 0 < resumed_at(server) <= 100_000


def test_restarts_if_file_has_changed(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    server.faults = [-100_000, 500, 500, 500]
    with pytest.raises(BadInput):
        download(f"{server.url}/a", target, "by hand")
    server.files["/a"] = other = b"Aspirin\tB-DRUG\n" * 12_000
    assert download(f"{server.url}/a", target, "by hand").read_bytes() == other


def test_restarts_without_validator(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    server.etags = False
    server.faults = [-100_000]
    assert download(f"{server.url}/a", target, "by hand").read_bytes() == BODY
    assert [asked for _, asked in server.requests] == [None, None]


def test_retries_server_errors(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    server.faults = [500, 503]
    assert download(f"{server.url}/a", target, "by hand", SHA256).read_bytes() == BODY


def test_wrong_checksum_leaves_no_file(server: Server, target: Path) -> None:
    server.files["/a"] = BODY + b"more"
    with pytest.raises(BadInput, match=rf"{server.url}/a can't be downloaded \(its checksum is wrong\); by hand"):
        download(f"{server.url}/a", target, "by hand", SHA256)
    assert {file.name for file in target.parent.iterdir()} <= {"eng.train.lock"}


def test_replaces_damaged_file(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    target.parent.mkdir()
    target.write_bytes(BODY[:-1])
    assert download(f"{server.url}/a", target, "by hand", SHA256).read_bytes() == BODY


def test_failed_check_leaves_no_file(server: Server, target: Path) -> None:
    def check(file: Path) -> None:
        raise ValueError("it has 3 sentences, not 4")

    server.files["/a"] = BODY
    with pytest.raises(BadInput, match="3 sentences, not 4"):
        download(f"{server.url}/a", target, "by hand", check=check)
    assert {file.name for file in target.parent.iterdir()} <= {"eng.train.lock"}


def test_does_not_retry_404(server: Server, target: Path) -> None:
    with pytest.raises(BadInput, match="the server answered 404"):
        download(f"{server.url}/a", target, "by hand")
    assert len(server.requests) == 1


def test_dead_server_gives_one_line(server: Server, target: Path) -> None:
    server.stop()
    with pytest.raises(BadInput) as caught:
        download(f"{server.url}/a", target, "get it by hand")
    assert str(caught.value) == f"{server.url}/a can't be downloaded (no connection); get it by hand"


def test_hides_passwords() -> None:
    assert without_password("https://me:secret@host/a@b") == "https://host/a@b"
    assert without_password("https://host/a@b") == "https://host/a@b"
