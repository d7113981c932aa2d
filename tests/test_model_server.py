"""Hostile requests to `mlflow models serve`, as the docs start it: an answer or a reason, whatever comes."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from spacy_train import spacy_train
from spark_cache import spark_cache  # type: ignore[import-not-found]  # noqa: F401
from sparknlp_train import sparknlp_train
from users import accepts_connections, free_port, wait_until  # type: ignore[import-not-found]

pytestmark = pytest.mark.slow

FRAMEWORKS = ("spacy", "sparknlp")
KINDS = (
    lambda r: "".join(chr(r.choice([r.randrange(0xD800), r.randrange(0xE000, 0x110000)])) for _ in range(60)),
    lambda r: f"<b onclick='x'>{{}}&amp;</b><!-- {r.random()} -->%s\\n\\",
    lambda r: "شارع " * r.randrange(1, 9) + "Ulm " + "\u202e" + "עברית",
    lambda r: "U\u200bl\u200dm " * r.randrange(1, 9) + "\ufeff",
    lambda r: "Anna " + "🧑‍⚕️" * r.randrange(1, 9) + " in Ulm",
    lambda r: " \t\r\n\u2028\x00\x1b" * r.randrange(5),
    lambda r: "",
    lambda r: "/etc/hostname",
)
LONG = 100_000


def hostile_texts() -> list[str]:
    numbers = random.Random(0)
    texts = [numbers.choice(KINDS)(numbers) for _ in range(498)]
    return [*texts, "Ulm " * (LONG // 4), "x" * LONG]


@contextmanager
def served(run_id: str, log: Path) -> Iterator[str]:
    """Serve the model of a run in this environment; yield the URL of its predictions."""
    port = free_port()
    command = ["-m", "mlflow", "models", "serve", "-m", f"runs:/{run_id}/model", "--env-manager", "local"]
    # MLflow looks for `uvicorn` on the path.
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, *command, "--port", str(port)],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            wait_until(lambda: accepts_connections(port) or server.poll() is not None, "no server", seconds=120)
            assert server.poll() is None, log.read_text()[-3000:]
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)


def ask(url: str, content: Any, **more: Any) -> requests.Response:
    return requests.post(url, json=content, timeout=300, **more)


def train(framework: str, corpus: Path) -> str:
    if framework == "spacy":
        return spacy_train(corpus=str(corpus), epochs=10, lr=0.005, batch_size=100).run_id
    return sparknlp_train(corpus=str(corpus), epochs=10, lr=0.01, batch_size=8).run_id


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_request_gets_an_answer_or_a_reason(
    framework: str,
    small_corpus: Path,
    tmp_path: Path,
    spark_cache: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TWINNER_CACHE", str(spark_cache))
    texts = hostile_texts()
    assert len(texts) == 500
    with served(train(framework, small_corpus), tmp_path / "log") as url:
        for text in texts:
            answer = ask(url, {"inputs": {"text": [text]}})
            assert answer.status_code == 200, (text[:100], answer.text[:1000])
            [row] = answer.json()["predictions"]
            for entity in row["entities"]:
                assert text[entity["start"] : entity["end"]] == entity["text"] != ""
                assert 0 <= entity["score"] <= 1

        # Many texts at once get their own answers, in their order.
        some = ["In Ulm regnet es .", "", "Anna wohnt in Köln .", "In Oslo regnet es ."]
        alone = [ask(url, {"inputs": {"text": [text]}}).json()["predictions"][0] for text in some]
        assert ask(url, {"inputs": {"text": some}}).json()["predictions"] == alone
        assert any(row["entities"] for row in alone)
        limited = ask(url, {"inputs": {"text": some}, "params": {"labels": ["LOC"], "scores": False}}).json()
        for whole, row in zip(alone, limited["predictions"], strict=True):
            places = [entity | {"score": None} for entity in whole["entities"] if entity["label"] == "LOC"]
            assert row["entities"] == places

        for content, status in (
            ({"dataframe_split": {"columns": ["text"], "data": [["Ulm"], [None]]}}, 400),
            ({"dataframe_split": {"columns": ["text"], "data": [[7]]}}, 400),
            ({"inputs": {"text": ["Anna\ud800 in Ulm"]}}, 400),  # MLflow's own refusal
            ({"inputs": {"other": ["Ulm"]}}, 400),
            ({"inputs": {"text": ["x" * 10_000_000]}}, 400),
            ({"inputs": {"text": ["Ulm"]}, "params": {"min_score": "high"}}, 400),
            ({"nothing": 1}, 400),
        ):
            answer = ask(url, content)
            assert answer.status_code == status, answer.text[:1000]
            assert answer.json()["message"]
        broken = requests.post(url, data=b"{", headers={"Content-Type": "application/json"}, timeout=60)
        assert broken.status_code == 400
        assert ask(url, {"inputs": {"text": some}}).json()["predictions"] == alone  # and the server lives
