"""Fixtures of the corpus tests: files, a temporary cache, and an HTTP server with faults."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

Write = Callable[[str, str | bytes], Path]

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv("TWINNER_CACHE", str(cache))
    monkeypatch.delenv("TWINNER_CORPORA", raising=False)
    return cache


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of the given name below the test's folder; line ends are not converted."""

    def write_file(name: str, content: str | bytes) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write_file


@pytest.fixture
def shared() -> Path:
    """The real corpora, available on some machines in a folder beside the project."""
    if not SHARED.is_dir():
        pytest.skip("the real corpora are not available (../shared/data beside the project)")
    return SHARED


def write_parquet(file: Path, rows: list[dict[str, Any]], features: object = None) -> Path:
    """Write a parquet file, with the description of its columns that `datasets` adds."""
    table = pa.Table.from_pylist(rows)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, file)
    return file


class Server:
    """A server on 127.0.0.1 with files by path; each of `faults` spoils one request.

    A fault is a status to answer or, if negative, the number of bytes to withhold at the end of the body.
    requests: the path and Range header of each request so far.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: list[int] = []
        self.requests: list[tuple[str, str | None]] = []
        self.etags = True
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                server.requests.append((self.path, asked))
                fault = server.faults.pop(0) if server.faults else 0
                body = server.files.get(self.path)
                if fault > 0 or body is None:
                    self.send_error(fault or 404)
                    return
                etag = f'"{hashlib.md5(body).hexdigest()}"'
                if asked and self.headers.get("If-Range") == etag:
                    start = int(asked.removeprefix("bytes=").removesuffix("-"))
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                    body = body[start:]
                else:
                    self.send_response(200)
                if server.etags:
                    self.send_header("ETag", etag)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:-fault] if fault else body)

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing: the tests look at `requests`."""

        return Handler


@pytest.fixture
def server(pauses: list[float]) -> Iterator[Server]:
    """A running Server, with no pauses between retries."""
    running = Server()
    yield running
    running.stop()
