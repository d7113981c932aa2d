"""A server on 127.0.0.1 that speaks the hub's API, with its store of large files at another origin, and with faults."""

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 2_000  # bytes from which a file is in the store of large files
RESET = 0  # a fault: the connection is closed before any answer


@dataclass
class Model:
    """A repository. revisions: the commit of each branch. token: what it takes to see it; gated: to get its files."""

    files: Mapping[str, bytes]
    revisions: dict[str, str] = field(default_factory=lambda: {"main": "a" * 40})
    token: str = ""
    gated: bool = False


class HubServer:
    """A running hub. url: for HF_ENDPOINT. models: by `ORG/MODEL`.

    faults: by path, each entry spoils one request for content: a status, the bytes to withhold if it is negative, or
    RESET. requests: method, path and whether a token came along; those to the store of large files have its sha256 as
    path. wrong: digests of large files that the store has other bytes for. lists_digests: whether a listing has sizes
    and digests, or names alone, as those of some mirrors.
    """

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}
        self.faults: dict[str, list[int]] = {}
        self.headers: dict[str, str] = {}
        self.requests: list[tuple[str, str, bool]] = []
        self.wrong: set[str] = set()
        self.lists_digests = True
        self._store: dict[str, bytes] = {}
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler(self)) for handler in (_hub, _large_files)]
        self.url, self._store_url = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)
        for server in self._servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Stop: later requests are refused."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fetched(self) -> list[str]:
        """The paths of the requests for content."""
        return [path for method, path, _ in self.requests if method == "GET" and not path.startswith("/api/")]


class _Handler(BaseHTTPRequestHandler):
    server_of: HubServer

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        """Log the request, and answer it."""
        self.path = unquote(urlsplit(self.path).path)
        self.server_of.requests.append((self.command, self.path, "Authorization" in self.headers))
        if not self.spoil():
            self.respond()

    def respond(self) -> None:
        """Answer the request."""
        raise NotImplementedError

    def spoil(self) -> bool:
        """Answer with the next fault of this path, if it has one that replaces the answer."""
        faults = self.server_of.faults.get(self.path, [])
        self.withheld = 0
        if self.command == "HEAD" or not faults:
            return False
        fault = faults.pop(0)
        if fault == RESET:
            self.close_connection = True
            return True
        if fault > 0:
            self.send(fault, b"", self.server_of.headers)
            return True
        self.withheld = -fault
        return False

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send an answer, of which a fault may withhold the end."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) - self.withheld])
        if self.withheld:
            self.close_connection = True

    def send_error_code(self, status: int, code: str, message: str) -> None:
        """Refuse as the hub does."""
        self.withheld = 0
        self.send(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

    def send_file(self, body: bytes, headers: dict[str, str]) -> None:
        """Send a file, from the first byte that is asked for."""
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if start is None:
            self.send(200, body, headers)
        else:
            first = int(start[1])
            self.send(206, body[first:], headers | {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"})

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the tests look at `requests`."""


def _hub(server: HubServer) -> type[_Handler]:
    class Handler(_Handler):
        server_of = server

        def respond(self) -> None:
            api = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", self.path)
            file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)", self.path)
            found = api or file
            model = server.models.get(found[1]) if found else None
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if found is None or model is None or (model.token and token != model.token and not model.gated):
                if token and token not in {model.token for model in server.models.values()}:
                    self.send_error_code(401, "", "Invalid credentials in Authorization header")
                else:
                    self.send_error_code(404 if token else 401, "RepoNotFound", "Repository not found")
            elif api:
                self.list_files(model, found[2])
            elif model.gated and token != model.token:
                self.send_error_code(403, "GatedRepo", "Access to this model is restricted")
            elif file and file[3] in model.files:
                self.resolve(model.files[file[3]], file[2])
            else:
                self.send_error_code(404, "EntryNotFound", "Entry not found")

        def list_files(self, model: Model, revision: str) -> None:
            commit = model.revisions.get(revision, revision)
            if commit not in model.revisions.values():
                self.send_error_code(404, "RevisionNotFound", f"Invalid rev id: {revision}")
                return
            siblings = []
            for name, content in model.files.items():
                entry: dict[str, Any] = {"rfilename": name}
                if server.lists_digests:
                    entry |= {"size": len(content), "blobId": blob_id(content)}
                if server.lists_digests and len(content) >= LARGE:
                    sha256 = hashlib.sha256(content).hexdigest()
                    entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
                siblings.append(entry)
            body = json.dumps({"id": "org/model", "sha": commit, "siblings": siblings}).encode()
            self.send(200, body, {"Content-Type": "application/json"})

        def resolve(self, content: bytes, commit: str) -> None:
            if len(content) < LARGE:
                self.send_file(content, {"ETag": f'"{blob_id(content)}"', "X-Repo-Commit": commit})
                return
            sha256 = hashlib.sha256(content).hexdigest()
            server._store[sha256] = content
            headers = {"Location": f"{server._store_url}/{sha256}", "X-Repo-Commit": commit}
            self.send(302, b"", headers | {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))})

    return Handler


def _large_files(server: HubServer) -> type[_Handler]:
    class Handler(_Handler):
        server_of = server

        def respond(self) -> None:
            sha256 = self.path.removeprefix("/")
            content = server._store[sha256]
            self.send_file(content[::-1] if sha256 in server.wrong else content, {"ETag": f'"{sha256}"'})

    return Handler


def blob_id(content: bytes) -> str:
    """The digest that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
