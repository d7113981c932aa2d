"""Latency of `mlflow models serve` beside the bare libraries: `python benchmarks/serving.py`.

Trains a model of each framework on the demo corpus, serves it in this environment, and asks for the entities of the
sentences of its test split, one a request, with 1 and with 8 clients. Beside it: the bare library in a loop, and a
served model that finds nothing, which shows what MLflow itself takes. `--requests 100000 --clients 8` shows whether
memory grows: that of the server's processes after each tenth of the requests.
"""

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import mlflow
import psutil

STEPS = Path(__file__).resolve().parents[1] / "steps"
sys.path.insert(0, str(STEPS))

from twinner.corpus import read_corpus  # noqa: E402
from twinner.serving import SIGNATURE  # noqa: E402

CLIENTS = (1, 8)
WARM_UP = 200  # requests
NOTHING = """
import mlflow
from mlflow.pyfunc import PythonModel

class Nothing(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input.assign(entities=[[] for _ in range(len(model_input))])[["entities"]]

mlflow.models.set_model(Nothing())
"""


def train(framework: str, folder: Path) -> Path:
    """Train on the demo corpus for two epochs; return the folder of the model."""
    command = [sys.executable, "-s", str(STEPS / f"{framework}_train.py"), "--epochs", "2"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    done = [*command, "--export", str(folder / framework)]
    subprocess.run(done, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return folder / framework / "model"


def write_nothing(folder: Path) -> Path:
    """Write a model with our signature that finds nothing."""
    code = folder / "nothing.py"
    code.write_text(NOTHING)
    model = folder / "nothing"
    mlflow.pyfunc.save_model(str(model), python_model=str(code), signature=SIGNATURE, pip_requirements=["mlflow"])
    return model


@contextmanager
def served(model: Path, log: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Serve a model; yield the port and the process that has started all others."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--port", str(port)],
            env=os.environ | {"PATH": path},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        while True:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield port, psutil.Process(server.pid)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def ask(port: int, texts: Sequence[str], clients: int, seen: Callable[[int], None]) -> tuple[list[float], float]:
    """Ask for each text, each client its share; return the seconds of each request and of all together."""
    times: list[float] = []

    def client(share: Sequence[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for text in share:
            body = json.dumps({"inputs": {"text": [text]}})
            began = time.perf_counter()
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            times.append(time.perf_counter() - began)
            seen(len(times))

    threads = [threading.Thread(target=client, args=(texts[place::clients],)) for place in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, time.perf_counter() - began


def memory(process: psutil.Process) -> float:
    """Return the resident memory of a process and all that it has started, in MB."""
    return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)]) / 1e6


def bare(framework: str, model: Path, texts: Sequence[str]) -> list[float]:
    """Return the seconds of each text with the bare library."""
    if framework == "spacy":
        import spacy

        find: Callable[[str], object] = spacy.load(model / "model.spacy")
    else:
        from pyspark.ml import PipelineModel
        from sparknlp.base import LightPipeline
        from twinner.spark.session import spark_session

        spark_session()
        find = LightPipeline(PipelineModel.load(str(model / "sparkml"))).fullAnnotate
    times = []
    for text in texts:
        began = time.perf_counter()
        find(text)
        times.append(time.perf_counter() - began)
    return times


def show(name: str, clients: int | str, times: Sequence[float], rate: float) -> None:
    """Print a row of the table."""
    p50, p99 = statistics.median(times) * 1000, statistics.quantiles(times, n=100)[98] * 1000
    print(f"| {name} | {clients} | {p50:.1f} | {p99:.1f} | {rate:,.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--frameworks", nargs="+", default=["spacy", "sparknlp"])
    parser.add_argument("--bare", nargs=2, metavar=("FRAMEWORK", "MODEL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    sentences = [sentence.text for sentence in read_corpus("demo").test]
    texts = [sentences[number % len(sentences)] for number in range(given.requests)]
    if given.bare:
        framework, model = given.bare
        times = bare(framework, Path(model), texts[: WARM_UP + 2000])[WARM_UP:]
        show(f"{framework}, bare library", "-", times, len(times) / sum(times))
        return
    print("| | clients | p50 (ms) | p99 (ms) | requests/s |\n| --- | ---: | ---: | ---: | ---: |", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        models = {"nothing": write_nothing(folder), **{name: train(name, folder) for name in given.frameworks}}
        for name, place in models.items():
            grown: list[str] = []
            with served(place, folder / f"{name}.log") as (port, process):
                ask(port, texts[:WARM_UP], 1, lambda _: None)
                for clients in given.clients:

                    def seen(number: int, process: psutil.Process = process, grown: list[str] = grown) -> None:
                        if number % (given.requests // 10) == 0:
                            grown.append(f"{memory(process):,.0f}")

                    times, seconds = ask(port, texts, clients, seen)
                    show(f"{name}, served", clients, times, len(times) / seconds)
            print(f"| {name}, memory in MB | | {' '.join(grown)} | | |", flush=True)
            if name != "nothing":
                subprocess.run([sys.executable, __file__, "--bare", name, str(place)], check=True)


if __name__ == "__main__":
    main()
