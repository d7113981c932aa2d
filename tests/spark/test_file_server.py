"""The files of the driver, asked for as Hadoop's client does; `training/test_cluster.py` has that client itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from twinner.spark.file_server import DriverFiles


@pytest.fixture
def files() -> Iterator[DriverFiles]:
    server = DriverFiles("spark://127.0.0.1:7077")
    yield server
    server.close()


def url(files: DriverFiles, path: Path) -> str:
    host, _, rest = files.uri(path).removeprefix("webhdfs://").partition("/")
    return f"http://{host}/webhdfs/v1/{rest}"


def test_a_file_is_written_in_pieces_and_read_from_any_place(files: DriverFiles, tmp_path: Path) -> None:
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


def test_folders_are_made_listed_renamed_and_removed(files: DriverFiles, tmp_path: Path) -> None:
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


def test_what_is_missing_is_told_as_hadoop_tells_it(files: DriverFiles, tmp_path: Path) -> None:
    answer = requests.get(f"{url(files, tmp_path)}/missing?op=GETFILESTATUS", timeout=5)
    assert answer.status_code == 404
    assert answer.json()["RemoteException"]["javaClassName"] == "java.io.FileNotFoundException"


def test_nothing_is_served_without_the_secret_or_outside_what_was_asked_for(files: DriverFiles, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "other").write_text("not served")
    address = url(files, tmp_path / "served")
    host, secret = address.split("/webhdfs/v1/")[0], address.split("/webhdfs/v1/")[1].split("/")[0]
    for place in (
        f"{secret}{tmp_path}/other",
        f"{secret}{tmp_path}/served/%2e%2e/other",
        f"wrong{tmp_path}/served",
        "",
        "x",
    ):
        for operation in ("OPEN&here=true", "LISTSTATUS", "GETFILESTATUS"):
            assert requests.get(f"{host}/webhdfs/v1/{place}?op={operation}", timeout=5).status_code == 404
    target = f"/{secret}{tmp_path}/taken"
    answer = requests.put(f"{address}?op=RENAME", params={"destination": target}, timeout=5)
    assert answer.status_code == 404
    assert not (tmp_path / "taken").exists()
