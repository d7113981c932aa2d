"""Encoders come from the hub whole, checked and once: a real server with faults stands for it."""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from hub_server import RESET, HubServer, Model
from onnx import TensorProto, helper, numpy_helper
from twinner.encoders.hub import HubModel, hub_folder
from twinner.errors import BadInput

STEPS = Path(__file__).resolve().parents[2] / "steps"
MAIN = "a" * 40
API = "/api/models/org/model/revision/main"
WORDPIECES = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\nUlm\n##er\n"


def encoder(size: int = 1000) -> onnx.ModelProto:
    """Make an ONNX model that looks up a vector for each id."""
    weights = numpy_helper.from_array(np.arange(size * 4, dtype="float32").reshape(size, 4), "weights")
    node = helper.make_node("Gather", ["weights", "input_ids"], ["last_hidden_state"])
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", 4])
    return helper.make_model(helper.make_graph([node], "encoder", [ids], [states], [weights]))


ENCODER = encoder().SerializeToString()
FILES = {
    "config.json": b'{"model_type": "bert", "max_position_embeddings": 512}',
    "tokenizer_config.json": b'{"do_lower_case": false}',
    "vocab.txt": WORDPIECES,
    "onnx/model.onnx": ENCODER,
    "model.safetensors": b"the weights in another format" * 1000,
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> Iterator[HubServer]:
    """A hub with the model `org/model`, and no pauses between requests."""
    server = HubServer()
    server.models["org/model"] = Model(FILES)
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield server
    server.stop()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The folder of the cache with what came from the hub."""
    return tmp_path / "cache" / "models" / "hf"


def error_for(name: str, *known: str) -> str:
    with pytest.raises(BadInput) as caught:
        hub_folder(name, known)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without(*names: str) -> dict[str, bytes]:
    return {name: content for name, content in FILES.items() if name not in names}


def resolve(name: str, repo: str = "org/model") -> str:
    return f"/{repo}/resolve/{MAIN}/{name}"


def stored(content: bytes) -> str:
    """The path of a large file in the hub's store."""
    return f"/{hashlib.sha256(content).hexdigest()}"


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


def test_prefers_full_precision_and_takes_what_there_is(hub: HubServer) -> None:
    small = encoder(600).SerializeToString()
    hub.models["org/both"] = Model(FILES | {"onnx/model_quantized.onnx": small, "model.onnx": small})
    assert (hub_folder("org/both").folder / "model.onnx").read_bytes() == ENCODER
    hub.models["org/small"] = Model(without("onnx/model.onnx") | {"onnx/model_quantized.onnx": small})
    assert (hub_folder("org/small").folder / "model.onnx").read_bytes() == small


def test_joins_weights_that_are_in_a_file_of_their_own(hub: HubServer, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    onnx.save(encoder(), made / "model.onnx", save_as_external_data=True, location="model.onnx_data")
    parts = {f"onnx/{name}": content for name, content in files_in(made).items()}
    assert set(parts) == {"onnx/model.onnx", "onnx/model.onnx_data"}
    hub.models["org/split"] = Model(FILES | parts)
    folder = hub_folder("org/split").folder
    assert "model.onnx_data" not in files_in(folder)
    (weights,) = onnx.load(folder / "model.onnx").graph.initializer
    assert numpy_helper.to_array(weights).tolist() == np.arange(4000).reshape(1000, 4).tolist()
    del parts["onnx/model.onnx_data"]
    hub.models["org/half"] = Model(FILES | parts)
    assert "its weights are in the file 'model.onnx_data', which it has not" in error_for("org/half")


@pytest.mark.parametrize(
    ("kind", "name", "asset"),
    [
        ("xlm-roberta", "sentencepiece.bpe.model", "sentencepiece.bpe.model"),
        ("camembert", "sentencepiece.bpe.model", "sentencepiece.bpe.model"),
        ("albert", "spiece.model", "spiece.model"),
        ("deberta-v2", "spm.model", "spm.model"),
        ("bert", "sentencepiece.bpe.model", "sentencepiece.bpe.model"),  # as in multilingual-e5-small
    ],
)
def test_places_a_sentencepiece_vocabulary_where_spark_nlp_reads_it(
    hub: HubServer, kind: str, name: str, asset: str
) -> None:
    config = json.dumps({"model_type": kind}).encode()
    hub.models["org/model"] = Model(without("vocab.txt") | {"config.json": config, name: b"pieces"})
    assert (hub_folder("org/model").folder / "assets" / asset).read_bytes() == b"pieces"


def test_writes_a_byte_pair_vocabulary_by_id(hub: HubServer) -> None:
    config = b'{"model_type": "roberta"}'
    files = {"config.json": config, "vocab.json": b'{"b": 1, "a": 0, "\xc4\xa0c": 2}', "merges.txt": b"a b\n"}
    hub.models["org/model"] = Model(without("vocab.txt") | files)
    folder = hub_folder("org/model").folder
    assert (folder / "assets" / "vocab.txt").read_text(encoding="utf-8") == "a\nb\nĠc\n"
    assert (folder / "assets" / "merges.txt").read_bytes() == b"a b\n"
    hub.models["org/other"] = Model(without("vocab.txt") | {"config.json": config})
    assert "it has no vocab.json and merges.txt; " in error_for("org/other")


def test_takes_wordpieces_out_of_a_tokenizer_json(hub: HubServer) -> None:
    vocabulary = {"Ulm": 3, "[UNK]": 1, "[PAD]": 0, "##er": 2}
    tokenizer = {"model": {"type": "WordPiece", "vocab": vocabulary}, "added_tokens": [{"id": 4, "content": "[X]"}]}
    files = without("vocab.txt") | {"tokenizer.json": json.dumps(tokenizer).encode()}
    hub.models["org/model"] = Model(files)
    folder = hub_folder("org/model").folder
    assert (folder / "assets" / "vocab.txt").read_text(encoding="utf-8") == "[PAD]\n[UNK]\n##er\nUlm\n[X]\n"
    assert (folder / "tokenizer.json").read_bytes() == files["tokenizer.json"]


@pytest.mark.parametrize(
    "tokenizer",
    [
        {"model": {"type": "Unigram", "vocab": [["a", -1.0]]}},
        {"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}},  # no token has the id 1
        {"model": {"type": "WordPiece", "vocab": {"a": 0}, "continuing_subword_prefix": "@@"}},
    ],
    ids=["unigram", "gap", "prefix"],
)
def test_refuses_another_tokenizer_json(hub: HubServer, tokenizer: object) -> None:
    hub.models["org/model"] = Model(without("vocab.txt") | {"tokenizer.json": json.dumps(tokenizer).encode()})
    assert error_for("org/model") == (
        "embeddings=hf:org/model: it has no WordPiece or SentencePiece vocabulary (vocab.txt, sentencepiece.bpe.model)"
        ", only a tokenizer.json, which Spark NLP can't read"
        "; use another model, or a folder with the export and its assets/"
    )
    assert stored(ENCODER) not in hub.fetched()


def test_refuses_what_is_no_encoder_for_us_before_the_large_file(hub: HubServer, cache: Path) -> None:
    hub.models["org/bare"] = Model(without("onnx/model.onnx"))
    assert error_for("org/bare") == (
        "embeddings=hf:org/bare: it has no ONNX file (as onnx/model.onnx, model.onnx, onnx/model_O1.onnx, …); "
        "use a model that has one, or a folder made by `optimum-cli export onnx --model org/bare FOLDER`"
    )
    message = "its model_type 'bert' is not known; use one of albert, xlm-roberta"
    assert error_for("org/model", "xlm-roberta", "albert") == f"embeddings=hf:org/model: {message}"
    hub.models["org/words"] = Model(without("vocab.txt"))
    assert "it has no WordPiece or SentencePiece vocabulary (vocab.txt" in error_for("org/words")
    hub.models["org/list"] = Model(FILES | {"config.json": b"[]"})
    assert "its config.json is not a JSON object" in error_for("org/list")
    hub.models["org/other"] = Model(without("config.json"))
    assert "it has no config.json" in error_for("org/other")
    assert stored(ENCODER) not in hub.fetched()
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    hub_folder("org/model")
    assert message in error_for("org/model", "xlm-roberta", "albert")  # from the cache too


def test_refuses_an_onnx_file_that_is_none(hub: HubServer) -> None:
    hub.models["org/model"] = Model(FILES | {"onnx/model.onnx": b"\xff" * 3000})
    assert error_for("org/model") == "embeddings=hf:org/model: its ONNX file can't be read; use another model"


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
