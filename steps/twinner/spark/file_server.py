"""Files of the driver for Spark executors on machines that share no file system with it.

Served through the REST interface of HDFS, which every Spark supports as `webhdfs://`: the part of it that reading and
writing DataFrames and models needs (https://hadoop.apache.org/docs/r3.3.4/hadoop-project-dist/hadoop-hdfs/WebHDFS.html).
"""

import json
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from wsgiref.types import WSGIApplication

from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

PIECE = 1 << 20  # bytes


class FileServer:
    """Serves, in a background thread until `close`, the paths that were passed to `uri`.

    Every URI contains a secret; without it nothing can be read or written.
    """

    def __init__(self, master: str) -> None:
        """master: URL of the Spark master; it decides which of this machine's addresses the executors are given."""
        self._served: list[Path] = []
        self._numbers: dict[Path, int] = {}  # of what is served
        self._secret = secrets.token_urlsafe(24)
        application = Request.application(self._respond)
        self._server = make_server(own_address(master), 0, application, threaded=True, request_handler=_SilentHandler)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def uri(self, path: Path) -> str:
        """Return the URI of a path, and serve it from now on with everything below it; it need not exist yet.

        The URI has a number in place of the path, since Hadoop's client garbles non-ASCII characters, and the suffix by
        which it knows compressed files.
        """
        path = path.resolve()
        if path not in self._numbers:
            self._numbers[path] = len(self._served)
            self._served.append(path)
        suffix = path.suffix if path.suffix.isascii() and path.suffix[1:].isalnum() else ""
        address = f"webhdfs://{self._server.host}:{self._server.port}/{self._secret}"
        return f"{address}/{self._numbers[path]}{suffix}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _respond(self, request: Request) -> WSGIApplication:
        try:
            path = self._path(request.path.removeprefix("/webhdfs/v1"))
            operation = OPERATIONS.get((request.method, request.args.get("op", "").upper()))
            if operation is None:
                raise ValueError(f"{request.method} {request.args.get('op')} is not served")
            if operation in REDIRECTED and "here" not in request.args:
                return redirect(f"{request.url}&here=true", 307)  # HDFS would redirect to a data node
            if operation is _rename:
                return _rename(path, self._path(request.args["destination"]))
            return operation(path, request)
        except HTTPException as error:
            return error
        except (OSError, ValueError) as error:
            return _error_response(error)

    def _path(self, text: str) -> Path:
        """Return the path that a request names; raise NotFound without the secret, or if it is not served."""
        _, secret, name, rest = (*text.split("/", 3), "", "", "")[:4]
        number = name.partition(".")[0]
        is_known = number.isdecimal() and int(number) < len(self._served)
        if not (secrets.compare_digest(secret.encode(), self._secret.encode()) and is_known):
            raise NotFound
        served = self._served[int(number)]
        path = (served / rest.lstrip("/")).resolve()
        if not path.is_relative_to(served):
            raise NotFound
        return path


class _SilentHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing."""


def _file_status(path: Path, request: Request) -> Response:
    return _json({"FileStatus": _status_of(path, "")})


def _list_status(path: Path, request: Request) -> Response:
    files = (
        [_status_of(file, file.name) for file in sorted(path.iterdir())] if path.is_dir() else [_status_of(path, "")]
    )
    return _json({"FileStatuses": {"FileStatus": files}})


def _block_locations(path: Path, request: Request) -> Response:
    """Describe the file as one block without a location."""
    length = path.stat().st_size
    block = {
        "block": {"blockPoolId": "twinner", "blockId": 1, "generationStamp": 1, "numBytes": length},
        "startOffset": 0,
        "isCorrupt": False,
        "locations": [],
        "cachedLocations": [],
        "storageTypes": [],
        "blockToken": None,
    }
    file = {"fileLength": length, "isUnderConstruction": False, "isLastBlockComplete": True}
    return _json({"LocatedBlocks": file | {"locatedBlocks": [block], "lastLocatedBlock": block}})


def _read_file(path: Path, request: Request) -> Response:
    offset = request.args.get("offset", 0, int)
    size = path.stat().st_size
    length = min(request.args.get("length", size, int), max(0, size - offset))

    def pieces() -> Iterator[bytes]:
        left = length
        with path.open("rb") as file:
            file.seek(offset)
            while left and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                yield piece

    return Response(pieces(), mimetype="application/octet-stream", headers={"Content-Length": str(length)})


def _write_file(path: Path, request: Request) -> Response:
    path.parent.mkdir(parents=True, exist_ok=True)
    overwrite = request.args.get("overwrite", "true") != "false"
    with path.open("wb" if overwrite else "xb") as file:
        shutil.copyfileobj(request.stream, file, PIECE)
    return Response(status=201)


def _make_folders(path: Path, request: Request) -> Response:
    path.mkdir(parents=True, exist_ok=True)
    return _json({"boolean": True})


def _rename(path: Path, target: Path) -> Response:
    if target.is_dir():
        target /= path.name
    if not path.exists() or target.exists() or not target.parent.is_dir():
        return _json({"boolean": False})
    path.rename(target)
    return _json({"boolean": True})


def _delete(path: Path, request: Request) -> Response:
    if not path.exists():
        return _json({"boolean": False})
    if not path.is_dir():
        path.unlink()
    elif request.args.get("recursive") == "true":
        shutil.rmtree(path)
    else:
        path.rmdir()
    return _json({"boolean": True})


def _accept(path: Path, request: Request) -> Response:
    """Accept permissions and times, but ignore them."""
    return Response()


OPERATIONS: Mapping[tuple[str, str], Callable[..., Response]] = {
    ("GET", "GETFILESTATUS"): _file_status,
    ("GET", "LISTSTATUS"): _list_status,
    ("GET", "GET_BLOCK_LOCATIONS"): _block_locations,
    ("GET", "OPEN"): _read_file,
    ("PUT", "CREATE"): _write_file,
    ("PUT", "MKDIRS"): _make_folders,
    ("PUT", "RENAME"): _rename,
    ("PUT", "SETPERMISSION"): _accept,
    ("PUT", "SETTIMES"): _accept,
    ("DELETE", "DELETE"): _delete,
}
REDIRECTED = (_read_file, _write_file)


def _status_of(path: Path, name: str) -> dict[str, Any]:
    """Return the file's status in HDFS's terms."""
    status = path.stat()
    when = int(status.st_mtime * 1000)
    return {
        "pathSuffix": name,
        "type": "DIRECTORY" if path.is_dir() else "FILE",
        "length": 0 if path.is_dir() else status.st_size,
        "modificationTime": when,
        "accessTime": when,
        "blockSize": 128 << 20,
        "replication": 1,
        "permission": "755",
        "owner": "twinner",
        "group": "twinner",
    }


def _json(content: Mapping[str, Any]) -> Response:
    return Response(json.dumps(content), mimetype="application/json")


def _error_response(error: Exception) -> Response:
    """Return the error in HDFS's form, which the client turns into a Java exception."""
    kind, status = "java.io.IOException", 403
    if isinstance(error, FileNotFoundError):
        kind, status = "java.io.FileNotFoundException", 404
    elif isinstance(error, FileExistsError):
        kind = "org.apache.hadoop.fs.FileAlreadyExistsException"
    words = {"exception": kind.rpartition(".")[2], "javaClassName": kind, "message": str(error)}
    answer = _json({"RemoteException": words})
    answer.status_code = status
    return answer


def own_address(master: str) -> str:
    """Return this machine's address as the master sees it; if the master is not an address, that of our host name."""
    if master.startswith("local"):  # `local-cluster` too: its executors are on this machine
        return "127.0.0.1"
    parts = urlsplit(master.split(",")[0])
    if parts.scheme == "spark" and parts.hostname:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((parts.hostname, parts.port or 7077))  # sends nothing
            return str(probe.getsockname()[0])
    return socket.gethostbyname(socket.gethostname())
