"""Models come from the hub whole, checked and once: a real server with faults stands for it."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import RESET, HubServer, Model
from twinner.encoders.hub import HubModel, hub_folder

from .conftest import ENCODER, FILES, MAIN, WORDPIECES, encoder, error_for, files_in, stored

STEPS = Path(__file__).resolve().parents[2] / "steps"
API = "/api/models/org/model/revision/main"


def resolve(name: str, repo: str = "org/model") -> str:
    return f"/{repo}/resolve/{MAIN}/{name}"


def test_fetches_an_export_and_nothing_else(hub: HubServer, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = hub_folder("org/model", {"bert"})
    assert found == HubModel(cache / "org--model" / MAIN, MAIN)
    assert files_in(found.folder) == {
        "config.json": FILES["config.json"],
        "tokenizer_config.json": FILES["tokenizer_config.json"],
        "assets/vocab.txt": WORDPIECES,
        "model.onnx": ENCODER,
    }
    assert capfd.readouterr() == ("", "Fetching hf:org/model, onnx/model.onnx (1 MB), once, to the cache\n")
    left = {path.name for path in found.folder.parent.iterdir()}
    assert left == {MAIN, "refs", f".{MAIN}.lock"}


def test_a_branch_follows_the_hub_and_a_commit_stays(hub: HubServer) -> None:
    hub.models["org/model"].revisions["old"] = "b" * 40
    assert hub_folder("org/model@old").revision == "b" * 40
    assert hub_folder("org/model").revision == MAIN
    hub.models["org/model"].revisions["main"] = "c" * 40
    assert hub_folder("org/model").revision == "c" * 40
    asked = len(hub.requests)
    assert hub_folder(f"org/model@{MAIN}").revision == MAIN
    assert len(hub.requests) == asked


def test_is_found_offline_once_it_is_cached(hub: HubServer, capfd: pytest.CaptureFixture[str]) -> None:
    found = hub_folder("org/model")
    capfd.readouterr()
    hub.stop()
    assert hub_folder("org/model") == found
    assert capfd.readouterr().err == (
        f"embeddings=hf:org/model: it can't be fetched (no connection to {hub.url}): "
        f"using its revision {MAIN} from the cache\n"
    )
    assert error_for("org/model@other").startswith("embeddings=hf:org/model: it can't be fetched (no connection to ")


def test_a_wrong_name_is_one_clear_line(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert error_for("org/modell") == (
        "embeddings=hf:org/modell: the hub has no public model of this name; "
        "check the name, or set HF_TOKEN for a private model"
    )
    assert error_for("org/model@v9") == (
        "embeddings=hf:org/model: it has no revision 'v9'; name a branch, a tag or a commit of it"
    )
    asked = len(hub.requests)
    for name in (
        "model",
        "org/model/x",
        "org/model@",
        "https://huggingface.co/org/model",
        "org/mo del",
        "org/..",
        "o--g/m",
    ):
        assert error_for(name) == (
            f"embeddings=hf:{name}: this is no name of the hub; write hf:ORG/MODEL or …@REVISION"
        )
    assert len(hub.requests) == asked


TOKEN = "hf_" + "Secret" * 6


def test_a_private_model_takes_a_token_that_is_not_kept(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.models["org/own"] = Model(FILES, token=TOKEN)
    assert "the hub has no public model of this name; check the name, or set HF_TOKEN" in error_for("org/own")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert hub_folder("org/own").revision == MAIN
    assert error_for("org/modell") == (
        "embeddings=hf:org/modell: the hub has no such model that your token may read; "
        "check the name, and the rights of HF_TOKEN"
    )
    assert all(authorized is (path != stored(ENCODER)) for _, path, authorized in hub.requests[1:])
    printed = capfd.readouterr()
    assert TOKEN not in printed.out + printed.err
    assert [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == []
    monkeypatch.setenv("HF_TOKEN", "hf_another")
    message = error_for("org/own")
    assert message == (
        "embeddings=hf:org/own: the hub refuses it (the server answered 401); "
        "renew HF_TOKEN, or unset it for a public model"
    )


def test_a_gated_model_says_where_to_ask(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.models["org/gated"] = Model(FILES, token=TOKEN, gated=True)
    assert error_for("org/gated") == (
        "embeddings=hf:org/gated: its authors give access on request; "
        f"ask for access at {hub.url}/org/gated, and set HF_TOKEN to your token"
    )
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert hub_folder("org/gated").revision == MAIN


def test_truncated_downloads_go_on_where_they_stopped(hub: HubServer) -> None:
    hub.faults = {stored(ENCODER): [-9000, RESET, -4000], resolve("vocab.txt"): [-5, 503], API: [500, RESET]}
    assert files_in(hub_folder("org/model").folder)["model.onnx"] == ENCODER
    assert len([path for path in hub.fetched() if path == stored(ENCODER)]) == 4


def test_a_download_that_never_ends_whole_leaves_nothing(hub: HubServer, cache: Path) -> None:
    hub.faults = {stored(ENCODER): [-len(ENCODER)] * 100}
    message = error_for("org/model")
    assert message == (
        "embeddings=hf:org/model: its onnx/model.onnx can't be fetched (the connection breaks off); "
        "check the network and run again, or set HF_ENDPOINT to a mirror"
    )
    assert 50 < len(hub.faults[stored(ENCODER)]) < 98  # it gave up, after some tries
    assert not any(path.is_dir() for path in (cache / "org--model").iterdir())


@pytest.mark.parametrize(("status", "tries"), [(500, 3), (404, 1), (403, 1)])
def test_refused_downloads_name_the_servers_answer(hub: HubServer, cache: Path, status: int, tries: int) -> None:
    hub.faults = {stored(ENCODER): [status] * 100}
    assert "onnx/model.onnx" in (message := error_for("org/model"))
    assert f"(the server answered {status}); " in message
    assert len(hub.faults[stored(ENCODER)]) == 100 - tries
    assert not any(path.is_dir() for path in (cache / "org--model").iterdir())


@pytest.mark.parametrize("status", [429, 503])
def test_does_not_wait_for_as_long_as_the_server_says(hub: HubServer, pauses: list[float], status: int) -> None:
    hub.headers = {"Retry-After": "3600"}
    hub.faults = {resolve("vocab.txt"): [status] * 100, stored(ENCODER): [status] * 100}
    assert str(status) in error_for("org/model")
    assert sum(pauses) < 60


@pytest.mark.parametrize("lists_digests", [True, False], ids=["listed", "in-the-headers"])
def test_a_file_with_other_bytes_is_refused_by_its_checksum(hub: HubServer, cache: Path, lists_digests: bool) -> None:
    hub.lists_digests = lists_digests
    hub.wrong = {stored(ENCODER)[1:]}
    assert error_for("org/model") == (
        "embeddings=hf:org/model: its onnx/model.onnx did not arrive as the hub lists it (wrong checksum); "
        "check the network and run again, or set HF_ENDPOINT to a mirror"
    )
    assert not any(path.is_dir() for path in (cache / "org--model").iterdir())
    hub.wrong = set()
    assert hub_folder("org/model").revision == MAIN


def test_another_server_than_the_hub_is_told(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.faults = {API: [200]}
    assert error_for("org/model") == (
        f"embeddings=hf:org/model: {hub.url} does not answer as the hub does; "
        "set HF_ENDPOINT to the hub or a mirror of it, or unset it"
    )
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("//", "//me:secret@"))
    hub.stop()
    assert f"(no connection to {hub.url}); check the network" in error_for("org/model")


def test_offline_mode_of_the_library_is_kept(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = hub_folder("org/model")
    asked = len(hub.requests)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # what HF_HUB_OFFLINE=1 sets at its import
    assert hub_folder("org/model") == found
    assert error_for("org/other") == (
        "embeddings=hf:org/other: it is not in the cache, and HF_HUB_OFFLINE forbids to fetch it; unset HF_HUB_OFFLINE"
    )
    assert len(hub.requests) == asked


FETCH = """
import sys
from twinner.encoders.hub import hub_folder
from twinner.errors import BadInput
try:
    print(hub_folder("org/model").revision)
except BadInput as error:
    print(error)
"""


def fetch_process(*prefix: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(STEPS)}
    command = [*prefix, sys.executable, "-c", FETCH]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_parallel_processes_fetch_once(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    processes = [fetch_process() for _ in range(2)]
    assert [process.communicate()[0].strip() for process in processes] == [MAIN, MAIN]
    assert hub.fetched().count(stored(ENCODER)) == 1
    assert not (tmp_path / "home").exists()  # the library keeps nothing of its own


def test_a_full_disk_is_one_clear_line(hub: HubServer, tmp_path: Path) -> None:
    large = encoder(200_000).SerializeToString()
    hub.models["org/model"] = Model(FILES | {"onnx/model.onnx": large})
    cache = tmp_path / "cache"
    cache.mkdir()
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"', str(cache)]
    if shutil.which("unshare") is None or subprocess.run([*mount, "true"], check=False).returncode:
        pytest.skip("mounting a folder takes unshare and its rights")
    printed = fetch_process(*mount).communicate()[0]
    assert printed.startswith("hf:org/model takes 4 MB, and the disk of the cache has ")
    assert "free space, or set TWINNER_CACHE" in printed


def test_a_disk_that_fills_up_leaves_nothing(hub: HubServer, cache: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        message = error_for("org/model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    folder = cache / "org--model" / MAIN
    assert message.startswith(
        f"the folder {folder} can't be written to the cache (File too large); free space, or set "
    )
    assert not any(path.is_dir() for path in folder.parent.iterdir())
