"""A proxy in front of a server on 127.0.0.1 that fails on demand."""

import http.client
import re
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from users import free_port


@dataclass
class Fault:
    """Something that goes wrong with requests whose line, e.g. `POST /api/2.0/…`, matches a pattern."""

    pattern: str
    times: int | None  # None: until healed
    status: int = 0
    reset: str = ""  # "before" or "after" the server did its work
    half: bool = False
    delay: float = 0
    hits: int = 0  # how often it happened


class FaultProxy:
    """An HTTP proxy between a client and a server on this machine, which fails on demand.

    Each way to fail takes a regular expression to search for in a request's line, such as `"POST .*/log-batch"` (by
    default any), and how many times to fail (by default until `heal`), and returns the Fault, which counts its hits.
    The first fault that matches counts; delays come on top.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        """Stand before the server at port `target`; listen on `port`, or a free one."""
        self.target = target
        self.port = port or free_port()
        self.requests: Counter[str] = Counter()  # by method and path
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._server: ThreadingHTTPServer | None = None
        self._placeholder: socket.socket | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, status: int, pattern: str = "", times: int | None = None) -> Fault:
        """Answer with an error instead of asking the server."""
        return self._add(Fault(pattern, times, status=status))

    def reset(self, when: str, pattern: str = "", times: int | None = None) -> Fault:
        """Reset the connection "before" the server gets the request or "after" it did its work."""
        assert when in ("before", "after")
        return self._add(Fault(pattern, times, reset=when))

    def cut(self, pattern: str = "", times: int | None = None) -> Fault:
        """Let the server do its work, send half of its answer, and close the connection."""
        return self._add(Fault(pattern, times, half=True))

    def delay(self, seconds: float, pattern: str = "", times: int | None = None) -> Fault:
        """Wait before each request is passed on."""
        return self._add(Fault(pattern, times, delay=seconds))

    def heal(self) -> None:
        """End all faults, and being down."""
        with self._lock:
            self._faults.clear()
        self.up()

    def up(self) -> None:
        """Accept connections (again)."""
        if self._server is None:
            if self._placeholder:
                self._placeholder.close()
                self._placeholder = None
            self._server = _ProxyServer(self)
            threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def down(self) -> None:
        """Refuse connections and reset the open ones, until `up`."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            # Bound, but not listening: connections are refused, and no one else gets the port.
            self._placeholder = socket.socket()
            self._placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._placeholder.bind(("127.0.0.1", self.port))
            with self._lock:
                connections = list(self._open)
            for connection in connections:
                with suppress(OSError):  # closed in the meantime
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        if self._placeholder:
            self._placeholder.close()

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def _due(self, line: str) -> tuple[float, Fault]:
        """Return the delay of a request and the fault that hits it, which may be none."""
        with self._lock:
            self.requests[line.partition("?")[0]] += 1
            due = [f for f in self._faults if re.search(f.pattern, line) and (f.times is None or f.hits < f.times)]
            delays = [fault for fault in due if fault.delay]
            others = [fault for fault in due if not fault.delay][:1]
            for fault in delays + others:
                fault.hits += 1
            return sum(fault.delay for fault in delays), others[0] if others else Fault("", None)


class _ProxyServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: FaultProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", proxy.port), _ProxyHandler)

    def shutdown_request(self, request: object) -> None:
        # The inherited method says goodbye first, where a reset must not.
        assert isinstance(request, socket.socket)
        request.close()

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that went away
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _ProxyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body of an answer would wait for each other
    server: _ProxyServer

    def setup(self) -> None:
        super().setup()
        with self.server.proxy._lock:
            self.server.proxy._open.add(self.connection)

    def finish(self) -> None:
        with self.server.proxy._lock:
            self.server.proxy._open.discard(self.connection)
        super().finish()

    def _relay(self) -> None:
        body = self._body()
        delay, fault = self.server.proxy._due(f"{self.command} {self.path}")
        time.sleep(delay)
        if fault.status:
            return self._send(fault.status, [("Content-Type", "text/plain")], b"fault\n", len(b"fault\n"))
        if fault.reset == "before":
            return self._reset()
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.proxy.target, timeout=600)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "expect"):
                    upstream.putheader(name, value)
            if body or "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
                upstream.putheader("Content-Length", str(len(body)))
            upstream.endheaders(body)
            answer = upstream.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):  # the server is down, or ended in mid-answer
            return self._reset()
        finally:
            upstream.close()
        if fault.reset == "after":
            return self._reset()
        headers = [
            (name, value)
            for name, value in answer.getheaders()
            if name.lower() not in ("connection", "transfer-encoding", "content-length")
        ]
        length = int(answer.getheader("Content-Length") or 0) if self.command == "HEAD" else len(content)
        self._send(answer.status, headers, content[: len(content) // 2] if fault.half else content, length)
        if fault.half:
            self.close_connection = True
        return None

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _relay

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return body

    def _send(self, status: int, headers: Sequence[tuple[str, str]], content: bytes, length: int) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""
