"""Fixtures of the tests with spaCy."""

from collections.abc import Iterator

import pytest
from twinner.frameworks.spacy.checkpoint import Checkpoint


@pytest.fixture
def checkpoint() -> Iterator[Checkpoint]:
    """A claimed checkpoint of `a-run`."""
    claimed = Checkpoint("a-run")
    claimed.claim(create=True)
    yield claimed
    claimed.release()
