"""Downloads are checked, retried, resumed and never half there: against a real server that misbehaves."""

import hashlib
from pathlib import Path

import pytest
from twinner.corpus.download import fetch, without_password
from twinner.errors import BadInput

from .conftest import Server

BODY = b"Ibuprofen\tB-DRUG\n" * 10_000
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "shelf" / "eng.train"


def resumed_at(server: Server) -> int:
    """The first byte that the last request asked for."""
    asked = server.requests[-1][1]
    return int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0


def test_arrives_whole_and_alone(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    assert fetch(f"{server.url}/a", target, "by hand", SHA256).read_bytes() == BODY
    assert {file.name for file in target.parent.iterdir()} <= {"eng.train", "eng.train.lock"}


def test_needs_no_network_the_second_time(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    fetch(f"{server.url}/a", target, "by hand", SHA256)
    server.stop()
    assert fetch(f"{server.url}/a", target, "by hand", SHA256).read_bytes() == BODY
    assert len(server.requests) == 1


def test_a_truncated_answer_is_gone_on_with_where_it_ended(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    server.faults = [-100_000]
    assert fetch(f"{server.url}/a", target, "by hand", SHA256).read_bytes() == BODY
    assert len(server.requests) == 2
    assert 0 < resumed_at(server) <= 100_000


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    server.faults = [-100_000, 500, 500, 500]
    with pytest.raises(BadInput, match="the server answered 500"):
        fetch(f"{server.url}/a", target, "by hand", SHA256)
    assert not target.exists()
    assert fetch(f"{server.url}/a", target, "by hand", SHA256).read_bytes() == BODY
    assert 0 < resumed_at(server) <= 100_000


def test_a_file_that_changed_meanwhile_is_fetched_anew(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    server.faults = [-100_000, 500, 500, 500]
    with pytest.raises(BadInput):
        fetch(f"{server.url}/a", target, "by hand")
    server.files["/a"] = other = b"Aspirin\tB-DRUG\n" * 12_000
    assert fetch(f"{server.url}/a", target, "by hand").read_bytes() == other


def test_without_a_version_from_the_server_a_part_is_not_trusted(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    server.etags = False
    server.faults = [-100_000]
    assert fetch(f"{server.url}/a", target, "by hand").read_bytes() == BODY
    assert [asked for _, asked in server.requests] == [None, None]


def test_500_then_ok(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    server.faults = [500, 503]
    assert fetch(f"{server.url}/a", target, "by hand", SHA256).read_bytes() == BODY


def test_a_wrong_checksum_leaves_nothing_in_the_cache(server: Server, target: Path) -> None:
    server.files["/a"] = BODY + b"more"
    with pytest.raises(BadInput, match=rf"{server.url}/a can't be downloaded \(its checksum is wrong\); by hand"):
        fetch(f"{server.url}/a", target, "by hand", SHA256)
    assert {file.name for file in target.parent.iterdir()} <= {"eng.train.lock"}


def test_a_damaged_file_in_the_cache_is_fetched_again(server: Server, target: Path) -> None:
    server.files["/a"] = BODY
    target.parent.mkdir()
    target.write_bytes(BODY[:-1])
    assert fetch(f"{server.url}/a", target, "by hand", SHA256).read_bytes() == BODY


def test_a_file_that_fails_its_check_leaves_nothing_in_the_cache(server: Server, target: Path) -> None:
    def check(file: Path) -> None:
        raise ValueError("it has 3 sentences, not 4")

    server.files["/a"] = BODY
    with pytest.raises(BadInput, match="3 sentences, not 4"):
        fetch(f"{server.url}/a", target, "by hand", check=check)
    assert {file.name for file in target.parent.iterdir()} <= {"eng.train.lock"}


def test_404_is_not_tried_again(server: Server, target: Path) -> None:
    with pytest.raises(BadInput, match="the server answered 404"):
        fetch(f"{server.url}/a", target, "by hand")
    assert len(server.requests) == 1


def test_a_dead_server_is_one_line_with_the_remedy(server: Server, target: Path) -> None:
    server.stop()
    with pytest.raises(BadInput) as caught:
        fetch(f"{server.url}/a", target, "fetch it by hand")
    assert str(caught.value) == f"{server.url}/a can't be downloaded (no connection); fetch it by hand"


def test_passwords_are_not_shown() -> None:
    assert without_password("https://me:secret@host/a@b") == "https://host/a@b"
    assert without_password("https://host/a@b") == "https://host/a@b"
