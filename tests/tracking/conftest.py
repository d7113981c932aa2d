"""What the tests of stores share."""

import socket
import time
from collections.abc import Iterator

import pytest
from servers import PASSWORD
from twinner.errors import BadInput
from twinner.tracking.reasons import StoreUnusable
from twinner.tracking.store import check_store


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Accept connections without ever answering."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def refused(uri: str, monkeypatch: pytest.MonkeyPatch, kind: type[BadInput] = StoreUnusable) -> str:
    """What the check says of a store; it must say so soon, and without the password."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    began = time.monotonic()
    with pytest.raises(BadInput) as caught:
        check_store()
    assert time.monotonic() - began < 30  # MLflow itself takes minutes
    assert caught.type is kind
    told = str(caught.value)
    assert PASSWORD not in told.replace("secret-key", "")
    return told
