"""The file server, with requests as Hadoop's client sends them (that client itself is in `test_cluster.py`)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from twinner.spark.file_server import FileServer


@pytest.fixture
def files() -> Iterator[FileServer]:
    server = FileServer("spark://127.0.0.1:7077")
    yield server
    server.close()


def url(files: FileServer, path: Path) -> str:
    host, _, rest = files.uri(path).removeprefix("webhdfs://").partition("/")
    return f"http://{host}/webhdfs/v1/{rest}"


def test_writes_in_chunks_and_reads_at_any_offset(files: FileServer, tmp_path: Path) -> None:
    address = url(files, tmp_path / "new folder" / "größe")
    answer = requests.put(f"{address}?op=CREATE", allow_redirects=False, timeout=5)
    assert answer.status_code == 307
    answer = requests.put(answer.headers["Location"], data=iter([b"abc", b"def"]), timeout=5)  # sent in chunks
    assert answer.status_code == 201
    assert (tmp_path / "new folder" / "größe").read_bytes() == b"abcdef"
    assert requests.get(f"{address}?op=OPEN&offset=2", timeout=5).content == b"cdef"
    assert requests.get(f"{address}?op=OPEN&offset=2&length=3", timeout=5).content == b"cde"
    assert requests.get(f"{address}?op=OPEN&offset=9", timeout=5).content == b""
    again = requests.put(f"{address}?op=CREATE&overwrite=false&here=true", data=b"x", timeout=5)
    assert again.json()["RemoteException"]["exception"] == "FileAlreadyExistsException"


def test_makes_lists_renames_and_removes_folders(files: FileServer, tmp_path: Path) -> None:
    address = url(files, tmp_path / "served")
    assert requests.put(f"{address}/a/b?op=MKDIRS", timeout=5).json() == {"boolean": True}
    (tmp_path / "served" / "a" / "file").write_text("12345")
    listed = requests.get(f"{address}/a?op=LISTSTATUS", timeout=5).json()["FileStatuses"]["FileStatus"]
    assert [(each["pathSuffix"], each["type"], each["length"]) for each in listed] == [
        ("b", "DIRECTORY", 0),
        ("file", "FILE", 5),
    ]
    target = address.partition("/webhdfs/v1")[2] + "/a/renamed"
    for expected in (True, False):
        answer = requests.put(f"{address}/a/file?op=RENAME", params={"destination": target}, timeout=5)
        assert answer.json() == {"boolean": expected}
    assert (tmp_path / "served" / "a" / "renamed").read_text() == "12345"
    assert requests.delete(f"{address}/a?op=DELETE", timeout=5).status_code == 403  # it is not empty
    assert requests.delete(f"{address}/a?op=DELETE&recursive=true", timeout=5).json() == {"boolean": True}
    assert list((tmp_path / "served").iterdir()) == []


def test_reports_missing_files_as_hadoop_does(files: FileServer, tmp_path: Path) -> None:
    answer = requests.get(f"{url(files, tmp_path)}/missing?op=GETFILESTATUS", timeout=5)
    assert answer.status_code == 404
    assert answer.json()["RemoteException"]["javaClassName"] == "java.io.FileNotFoundException"


def test_serves_nothing_without_the_secret_or_outside_served_paths(files: FileServer, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "other").write_text("not served")
    address = url(files, tmp_path / "served")
    host, _, rest = address.partition("/webhdfs/v1/")
    secret, _, number = rest.partition("/")
    assert (number, url(files, tmp_path / "served")) == ("0", address)
    for place in (
        f"{secret}/0/%2e%2e/other",
        f"{secret}/0/%2F..%2Fother",
        f"{secret}{tmp_path}/other",
        f"{secret}/1",
        f"{secret}/-1",
        f"{secret}/",
        secret,
        "wrong/0",
        "",
        "x",
    ):
        for operation in ("OPEN&here=true", "LISTSTATUS", "GETFILESTATUS"):
            assert requests.get(f"{host}/webhdfs/v1/{place}?op={operation}", timeout=5).status_code == 404
    for target in (f"/{secret}/0/../taken", f"/{secret}/1/taken"):
        answer = requests.put(f"{address}?op=RENAME", params={"destination": target}, timeout=5)
        assert answer.status_code == 404
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "served"]
