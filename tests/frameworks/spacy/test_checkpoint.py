import io
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from twinner.cache import CacheUnusable
from twinner.errors import BadInput
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy.checkpoint import Checkpoint, State, new_checkpoint, resumed_checkpoint

STEPS = Path(__file__).resolve().parents[3] / "steps"
STILL_TRAINING = "resume=a-run: that run is still training; wait for its end, or stop it first"

# Claims the checkpoint of `a-run` when a line arrives on stdin, says so, and holds it until the next line.
CLAIM = """
import sys
from twinner.errors import BadInput
from twinner.frameworks.spacy.checkpoint import Checkpoint
checkpoint = Checkpoint("a-run")
print("ready", flush=True)
input()
try:
    checkpoint.claim()
    print("claimed", flush=True)
except BadInput as error:
    print(error, flush=True)
input()
"""


# Saves states without end, each filled with its number, and prints the number before.
SAVE = """
import numpy as np
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy.checkpoint import Checkpoint, State
checkpoint = Checkpoint("a-run")
for number in range(1, 10**9):
    print(number, flush=True)
    epochs = (Epoch(1, 0.0, 0.0, 0.0, {"dev_f1": number}),)
    checkpoint.save(State("", epochs, 1, {"W": np.full(10**6, number)}, {"W": np.full(10**6, number)}))
"""


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.file,))


def state(best: int) -> State:
    epochs = (Epoch(1, 20.1, 2.0, 1.5, {"dev_f1": 0.1}), Epoch(2, 1 / 3, 2.0, 1.5, {"dev_f1": 0.7, "dev_f1_A B": 0.0}))
    training = {"weights/ner/0/W": np.array([[0.1, -2.5]], dtype=np.float32), "nr_update/ner/0/W": np.array(7)}
    return State("[nlp]\n", epochs, best, training, {"tok2vec/3/E": np.arange(3, dtype=np.float32)})


def assert_equal(found: State | None, expected: State) -> None:
    assert found is not None
    assert (found.config, found.epochs, found.best) == (expected.config, expected.epochs, expected.best)
    for arrays, wanted in ((found.training, expected.training), (found.best_weights, expected.best_weights)):
        assert arrays.keys() == wanted.keys()
        for name, array in wanted.items():
            assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)
            assert arrays[name].tobytes() == array.tobytes()


@contextmanager
def python(program: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that runs a program, and is killed when the block ends."""
    command = [sys.executable, "-c", program]
    environment = os.environ | {"PYTHONPATH": str(STEPS)}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def proceed(process: "subprocess.Popen[str]") -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def answer(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_loads_the_last_saved_state(checkpoint: Checkpoint) -> None:
    assert checkpoint.load() is None
    checkpoint.save(state(1))
    checkpoint.save(state(2))
    assert_equal(Checkpoint("a-run").load(), state(2))
    assert Checkpoint("another-run").load() is None


def test_failed_sync_keeps_the_previous_state(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(state(1))

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(state(2))
    assert_equal(checkpoint.load(), state(1))
    assert [file.name for file in checkpoint.folder.iterdir()] == ["state"]


@pytest.mark.parametrize("size", [0, 100, 5_000, 100_000])
def test_write_that_runs_out_of_space_keeps_the_previous_state(checkpoint: Checkpoint, size: int) -> None:
    checkpoint.save(state(1))
    large = replace(state(2), best_weights={"W": np.zeros(50_000), "b": np.zeros(1)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))  # as a full disk would, it fails in mid-write
    try:
        with pytest.raises(OSError, match="File too large"):
            checkpoint.save(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_equal(checkpoint.load(), state(1))
    assert [file.name for file in checkpoint.folder.iterdir()] == ["state"]


def test_partial_write_keeps_the_previous_state(checkpoint: Checkpoint) -> None:
    checkpoint.save(state(1))
    whole = (checkpoint.folder / "state").read_bytes()
    (checkpoint.folder / "state.new").write_bytes(whole[: len(whole) // 2])  # as left by a power cut
    assert_equal(checkpoint.load(), state(1))
    checkpoint.save(state(2))
    assert_equal(checkpoint.load(), state(2))


@pytest.mark.parametrize("delay", [0, 0.003, 0.01, 0.03])
def test_kill_during_a_save_leaves_a_whole_state(checkpoint: Checkpoint, delay: float) -> None:
    with python(SAVE) as process:
        while (number := int(answer(process))) < 3:
            pass
        time.sleep(delay)
        process.kill()
        process.wait()
    found = checkpoint.load()
    assert found is not None
    saved = found.epochs[0].scores["dev_f1"]
    assert saved >= number - 1
    for arrays in (found.training, found.best_weights):
        assert np.array_equal(arrays["W"], np.full(10**6, saved))


def test_remove_leaves_nothing(checkpoint: Checkpoint) -> None:
    checkpoint.save(state(1))
    checkpoint.remove()
    assert list(checkpoint.folder.parent.iterdir()) == []


def object_array(file: Path) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, record=np.array([Touch(file)], dtype=object))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        lambda whole, file: b"",
        lambda whole, file: b"not a checkpoint",
        lambda whole, file: whole[:-30],
        lambda whole, file: whole[: len(whole) // 2],
        lambda whole, file: whole.replace(b"dev_f1_A B", b"dev_f1_A-B"),  # a flipped bit, which the checksum finds
        lambda whole, file: whole.replace(np.float32(-2.5).tobytes(), np.float32(2.5).tobytes()),
        lambda whole, file: pickle.dumps(Touch(file)),
        lambda whole, file: object_array(file),
    ],
    ids=["empty", "text", "no end", "half", "damaged record", "damaged array", "pickle", "array of objects"],
)
def test_refuses_damaged_and_foreign_files_without_running_them(
    checkpoint: Checkpoint, tmp_path: Path, content: Any
) -> None:
    checkpoint.save(state(1))
    file = checkpoint.folder / "state"
    changed = content(file.read_bytes(), tmp_path / "executed")
    assert changed != file.read_bytes()
    file.write_bytes(changed)
    with pytest.raises(BadInput) as caught:
        checkpoint.load()
    assert str(caught.value).startswith(f"{file}: not a checkpoint, or damaged: ")
    assert str(caught.value).endswith("; start a new run")
    assert not (tmp_path / "executed").exists()


def test_one_of_two_racing_processes_gets_the_claim(checkpoint: Checkpoint) -> None:
    checkpoint.release()
    for _ in range(3):
        with python(CLAIM) as first, python(CLAIM) as second:
            assert [answer(first), answer(second)] == ["ready", "ready"]
            proceed(first)
            proceed(second)
            assert sorted([answer(first), answer(second)]) == ["claimed", STILL_TRAINING]


def test_claim_ends_with_its_process(checkpoint: Checkpoint) -> None:
    checkpoint.release()
    with python(CLAIM) as process:
        assert answer(process) == "ready"
        proceed(process)
        assert answer(process) == "claimed"
        with pytest.raises(BadInput) as caught:
            checkpoint.claim()
        assert str(caught.value) == STILL_TRAINING
        process.send_signal(signal.SIGKILL)
        while process.poll() is None:
            pass
        checkpoint.claim()


def test_a_run_that_finishes_during_a_claim_is_not_recreated(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Checkpoint("a-run")
    acquire = late._lock.acquire

    def finish_first() -> Any:
        checkpoint.remove()
        return acquire()

    monkeypatch.setattr(late._lock, "acquire", finish_first)
    with pytest.raises(BadInput, match=r"^resume=a-run: there is no checkpoint "):
        late.claim()
    assert list(checkpoint.folder.parent.iterdir()) == []


def test_resume_requires_a_checkpoint() -> None:
    folder = Checkpoint("a-run").folder
    with pytest.raises(BadInput) as caught, resumed_checkpoint("a-run"):
        pass
    remedy = "resume on the machine that trained the run, with the same TWINNER_CACHE"
    assert str(caught.value) == f"resume=a-run: there is no checkpoint {folder}; {remedy}"
    assert list(folder.parent.iterdir()) == []


def test_finished_run_leaves_no_checkpoint() -> None:
    with new_checkpoint("a-run") as checkpoint:
        assert checkpoint
        checkpoint.save(state(1))
    assert list(checkpoint.folder.parent.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_stopped_run_keeps_its_checkpoint_and_releases_it(error: type[BaseException]) -> None:
    with pytest.raises(error), new_checkpoint("a-run"):
        raise error
    with pytest.raises(error), resumed_checkpoint("a-run") as resumed:  # noqa: PT012
        resumed.save(state(1))
        raise error
    with resumed_checkpoint("a-run") as resumed:
        assert_equal(resumed.load(), state(1))
    assert not resumed.folder.exists()


def test_run_refused_before_its_first_epoch_leaves_no_checkpoint() -> None:
    with pytest.raises(BadInput), new_checkpoint("a-run") as checkpoint:
        raise BadInput("the corpus has the labels ORG", "use another corpus")
    assert checkpoint
    assert list(checkpoint.folder.parent.iterdir()) == []
    with pytest.raises(BadInput), new_checkpoint("a-run") as checkpoint:  # noqa: PT012
        assert checkpoint
        checkpoint.save(state(1))
        raise BadInput("the model name is taken", "use another name")
    assert Checkpoint("a-run").load()


@pytest.mark.parametrize(
    ("cache", "reason"),
    [("file", "the cache folder "), ("~nobody-of-this-name/cache", "there is no home folder to keep the cache in; ")],
)
def test_unusable_cache_means_no_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWINNER_CACHE", cache)
    with pytest.warns(UserWarning, match="no checkpoints") as caught, new_checkpoint("a-run") as checkpoint:
        assert checkpoint is None
    [message] = [str(warning.message) for warning in caught]
    assert message.startswith(f"no checkpoints: {reason}")
    assert message.endswith("; the run can't be resumed")
    with pytest.raises(CacheUnusable, match=r"; set TWINNER_CACHE to a folder"):
        resumed_checkpoint("a-run").__enter__()


def test_unwritable_checkpoint_folder_is_refused(checkpoint: Checkpoint) -> None:
    checkpoint.release()
    checkpoint._lock_file.unlink()
    checkpoint._lock_file.mkdir()  # permissions do not stop root, a folder in the place of the lock file does
    with warnings.catch_warnings(record=True) as caught, new_checkpoint("a-run") as none:
        assert none is None
    [message] = [str(warning.message) for warning in caught]
    assert message.startswith(f"no checkpoints: the checkpoint folder {checkpoint.folder} can't be written to (")
    with pytest.raises(CacheUnusable, match=r"; make it writable, or set TWINNER_CACHE to another folder$"):
        checkpoint.claim()
    checkpoint._lock_file.rmdir()
