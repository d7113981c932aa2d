"""A package index on 127.0.0.1, as pip's simple API, and wheels to put there."""

import hashlib
import threading
import zipfile
from collections.abc import Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class PackageIndex:
    """A running index. url: what pip's index is set to. requests: the paths that were asked for, in order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self.requests, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def add(self, name: str, version: str, files: Mapping[str, str | bytes], tag: str = "py3-none-any") -> str:
        """Put a wheel with these files into the index, in place of one of the same name; return its sha256."""
        module = name.replace("-", "_")
        wheel = self._folder / name / f"{module}-{version}-{tag}.whl"
        wheel.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, content in files.items():
                archive.writestr(path, content)
            archive.writestr(
                f"{module}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            )
            archive.writestr(f"{module}-{version}.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
            archive.writestr(f"{module}-{version}.dist-info/RECORD", "")
        return hashlib.sha256(wheel.read_bytes()).hexdigest()

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make it pip's only index."""
        for name, value in {"INDEX_URL": self.url, "FIND_LINKS": "", "EXTRA_INDEX_URL": "", "RETRIES": "0"}.items():
            monkeypatch.setenv(f"PIP_{name}", value)
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")

    def stop(self) -> None:
        """Stop the server: later requests are refused."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    """Serves the folder's listings and files; a listing of wheels is a page of the simple API."""

    def __init__(self, requests: list[str], *arguments: object, directory: str) -> None:
        self._requests = requests
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._requests.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the tests look at `requests`."""
