"""Folders of the driver, for Spark executors on other machines that have no file system in common with it.

They are served by the REST interface of HDFS, which every Spark speaks as `webhdfs://`: as much of it as reading and
writing DataFrames and models takes (https://hadoop.apache.org/docs/r3.3.4/hadoop-project-dist/hadoop-hdfs/WebHDFS.html).
"""

import json
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from wsgiref.types import WSGIApplication

from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

PIECE = 1 << 20  # bytes


class DriverFiles:
    """A server, in a thread of its own until `close`, of the files and folders whose URI was asked for.

    Only who knows a URI can reach them: it begins with a secret.
    """

    def __init__(self, master: str) -> None:
        """master: the executors' Spark master; by the address that it sees of this machine they see it too."""
        self._served: set[Path] = set()
        self._secret = secrets.token_urlsafe(24)
        application = Request.application(self._answer)
        self._server = make_server(_own_address(master), 0, application, threaded=True, request_handler=_Quiet)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def uri(self, path: Path) -> str:
        """What executors call a path, which may be yet to be made; from now on it is served, with all below it."""
        path = path.resolve()
        self._served.add(path)
        return f"webhdfs://{self._server.host}:{self._server.port}/{self._secret}{quote(str(path))}"

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: Request) -> WSGIApplication:
        try:
            path = self._path(request.path.removeprefix("/webhdfs/v1"))
            operation = OPERATIONS.get((request.method, request.args.get("op", "").upper()))
            if operation is None:
                raise ValueError(f"{request.method} {request.args.get('op')} is not served")
            if operation in REDIRECTED and "here" not in request.args:
                return redirect(f"{request.url}&here=true", 307)  # to the data node that HDFS would have
            if operation is _rename:
                return _rename(path, self._path(request.args["destination"]))
            return operation(path, request)
        except HTTPException as error:
            return error
        except (OSError, ValueError) as error:
            return _failure(error)

    def _path(self, text: str) -> Path:
        """The path of a request; NotFound without the secret, or for what is not served."""
        _, secret, rest = (*text.split("/", 2), "", "")[:3]
        path = Path("/", rest).resolve()
        inside = any(path.is_relative_to(served) for served in self._served)
        if not (secrets.compare_digest(secret.encode(), self._secret.encode()) and inside):
            raise NotFound
        return path


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


def _status(path: Path, request: Request) -> Response:
    return _json({"FileStatus": _describe(path, "")})


def _list(path: Path, request: Request) -> Response:
    files = [_describe(file, file.name) for file in sorted(path.iterdir())] if path.is_dir() else [_describe(path, "")]
    return _json({"FileStatuses": {"FileStatus": files}})


def _blocks(path: Path, request: Request) -> Response:
    """One block, which is near no executor."""
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


def _open(path: Path, request: Request) -> Response:
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


def _create(path: Path, request: Request) -> Response:
    path.parent.mkdir(parents=True, exist_ok=True)
    overwrite = request.args.get("overwrite", "true") != "false"
    with path.open("wb" if overwrite else "xb") as file:
        shutil.copyfileobj(request.stream, file, PIECE)
    return Response(status=201)


def _make_folder(path: Path, request: Request) -> Response:
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


def _nothing(path: Path, request: Request) -> Response:
    """Permissions and times are not kept."""
    return Response()


OPERATIONS: Mapping[tuple[str, str], Callable[..., Response]] = {
    ("GET", "GETFILESTATUS"): _status,
    ("GET", "LISTSTATUS"): _list,
    ("GET", "GET_BLOCK_LOCATIONS"): _blocks,
    ("GET", "OPEN"): _open,
    ("PUT", "CREATE"): _create,
    ("PUT", "MKDIRS"): _make_folder,
    ("PUT", "RENAME"): _rename,
    ("PUT", "SETPERMISSION"): _nothing,
    ("PUT", "SETTIMES"): _nothing,
    ("DELETE", "DELETE"): _delete,
}
REDIRECTED = (_open, _create)


def _describe(path: Path, name: str) -> dict[str, Any]:
    """What HDFS calls the status of a file."""
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


def _failure(error: Exception) -> Response:
    """An error as HDFS tells it: the client makes a Java exception of it."""
    kind, status = "java.io.IOException", 403
    if isinstance(error, FileNotFoundError):
        kind, status = "java.io.FileNotFoundException", 404
    elif isinstance(error, FileExistsError):
        kind = "org.apache.hadoop.fs.FileAlreadyExistsException"
    words = {"exception": kind.rpartition(".")[2], "javaClassName": kind, "message": str(error)}
    answer = _json({"RemoteException": words})
    answer.status_code = status
    return answer


def _own_address(master: str) -> str:
    """This machine's address as the master sees it; of masters that are no address, that of the machine's name."""
    parts = urlsplit(master.split(",")[0])
    if parts.scheme == "spark" and parts.hostname:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((parts.hostname, parts.port or 7077))  # sends nothing
            return str(probe.getsockname()[0])
    return socket.gethostbyname(socket.gethostname())
