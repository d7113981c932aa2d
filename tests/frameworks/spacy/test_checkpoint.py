import json
import os
import subprocess
import sys

import psutil
import pytest
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy.checkpoint import Checkpoint, State

EPOCH = Epoch(1, 20.5, 2.0, 1.5, {"dev_f1": 0.5})


def state(best: int) -> State:
    return State("[nlp]", (EPOCH,), best, {"ner": b"weights"}, {}, {"mom1": {("ner", 0, "W"): 0.25}})


def test_a_state_is_loaded_as_it_was_saved_and_the_last_one_counts() -> None:
    checkpoint = Checkpoint("a-run")
    assert not checkpoint.exists
    checkpoint.claim()
    assert checkpoint.exists
    assert checkpoint.load() is None
    checkpoint.save(state(1))
    checkpoint.save(state(2))
    assert Checkpoint("a-run").load() == state(2)
    assert Checkpoint("another-run").load() is None


def test_a_write_that_breaks_off_leaves_the_state_before(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint("a-run")
    checkpoint.claim()
    checkpoint.save(state(1))

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(state(2))
    assert checkpoint.load() == state(1)


def test_removed_it_is_as_if_it_had_never_been() -> None:
    checkpoint = Checkpoint("a-run")
    checkpoint.claim()
    checkpoint.save(state(1))
    checkpoint.remove()
    assert not checkpoint.exists
    assert list(checkpoint.folder.parent.iterdir()) == []


def test_it_is_in_use_while_the_process_lives_that_claimed_it() -> None:
    checkpoint = Checkpoint("a-run")
    assert not checkpoint.in_use
    checkpoint.claim()
    assert checkpoint.in_use
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    owner = checkpoint.folder / "owner.json"
    owner.write_text(json.dumps({"pid": ended.pid, "started": 1.0}), encoding="utf-8")
    assert not checkpoint.in_use


def test_a_process_that_ended_but_was_not_waited_for_is_not_alive() -> None:
    checkpoint = Checkpoint("a-run")
    checkpoint.claim()
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = {"pid": ended.pid, "started": psutil.Process(ended.pid).create_time()}
    (checkpoint.folder / "owner.json").write_text(json.dumps(owner), encoding="utf-8")
    assert checkpoint.in_use
    ended.kill()
    while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert not checkpoint.in_use
    ended.wait()


def test_a_process_that_took_over_the_number_is_another_one() -> None:
    checkpoint = Checkpoint("a-run")
    checkpoint.claim()
    owner = checkpoint.folder / "owner.json"
    earlier = psutil.Process().create_time() - 1
    owner.write_text(json.dumps({"pid": os.getpid(), "started": earlier}), encoding="utf-8")
    assert not checkpoint.in_use
