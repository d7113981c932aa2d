"""A secret is refused where it would be stored, and appears in nothing that is stored, printed or shown."""

import base64
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, quote_plus

import mlflow
import pytest
from servers import basic_auth, mlflow_server
from twinner.corpus.download import download
from twinner.errors import BadInput
from twinner.secrets import mask_secrets, refuse_secrets
from twinner.tracking.read import find_training_runs
from users import PROJECT, free_port, user_environment

SECRET = "qWkRzvTnLpXd/+ %&'\"1"
QUOTED = quote(SECRET, safe="")


def forms(secret: str) -> set[str]:
    """A text that must not be found, in plain, quoted for URLs, and in base64, alone and inside of a longer text."""
    found = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret)}
    for offset in range(3):
        letters = base64.b64encode(bytes(offset) + secret.encode()).decode().rstrip("=")
        found.add(letters[4 if offset else 0 : -1])
    return found


def leaks(text: str) -> list[str]:
    return [form for form in forms(SECRET) if form in text]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("corpus", f"https://ann:{QUOTED}@host/train.conll", "has a user or password in a URL"),
        ("corpus", f"https://ann:{SECRET.replace(' ', '')}@host/train.conll", "has a user or password in a URL"),
        ("corpus", f"HTTPS://{QUOTED}@host/train.conll", "has a user or password in a URL"),
        ("test", f"https://host/test.conll?X-Amz-Date=1&X-Amz-Signature={QUOTED}", "the secret X-Amz-Signature=…"),
        ("test", f"https://host/test.conll?sv=1&sig={QUOTED}", "the secret sig=…"),
        ("test", f"https://host/test.conll?AWSAccessKeyId=1&Signature={QUOTED}", "the secret AWSAccessKeyId=…"),
        ("test", f"https://host/test.conll#access_token={QUOTED}", "the secret access_token=…"),
        ("embeddings", f"https://host/?private_token={QUOTED}", "the secret private_token=…"),
        ("spark_master", f"spark://ann:{QUOTED}@host:7077", "has a user or password in a URL"),
        ("filter", f"params.corpus = 'https://ann:{QUOTED}@host'", "has a user or password in a URL"),
        ("spark_conf", f"spark.a=b spark.hadoop.fs.s3a.secret.key={SECRET}", "spark.hadoop.fs.s3a.secret.key"),
        ("spark_conf", f"'spark.ssl.keyPassword={SECRET}", "the secret setting spark.ssl.keyPassword"),
        ("spark_conf", f"fs.s3a.session.token = {SECRET}", "the secret setting fs.s3a.session.token"),
        ("spark_conf", f"spark.driver.extraJavaOptions=-Dx.password={SECRET}", "the secret setting -Dx.password"),
        ("spark_conf", f"spark.x.url=jdbc://ann:{QUOTED}@host", "has a user or password in a URL"),
    ],
)
def test_a_secret_in_a_parameter_is_refused_and_not_repeated(name: str, value: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        refuse_secrets({"epochs": 3, name: value})
    assert str(caught.value).startswith(f"{name} h")
    assert told in str(caught.value)
    assert leaks(str(caught.value)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("corpus", "https://host:8080/a@b/train.conll?raw=true&tokenize=no&keyword=x"),
        ("corpus", "/data/a@b:c/token=1/train.conll"),
        ("embeddings", "hf:org/model@revision:3+6"),
        ("spark_master", "spark://one:7077,two:7077"),
        ("spark_conf", "spark.files=/data/tokens.txt spark.hadoop.fs.s3a.endpoint=http://[::1]:9000"),
        ("spark_conf", "spark.hadoop.hadoop.security.credential.provider.path=jceks://file/keys.jceks"),
    ],
)
def test_what_only_looks_like_a_secret_is_accepted(name: str, value: str) -> None:
    refuse_secrets({name: value})
    assert mask_secrets(value) == value


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to http://ann:pw@host/x failed", "to http://ann:***@host/x failed"),
        ("to http://ann:p@w@host/x failed", "to http://ann:***@host/x failed"),
        ("to http://ann:p/w#@host/x failed", "to http://ann:***@host/x failed"),
        ("to https://token@host failed", "to https://***@host failed"),
        ("s3://bucket/x?a=1&X-Amz-Signature=abc&b=2", "s3://bucket/x?a=1&X-Amz-Signature=***&b=2"),
    ],
)
def test_secrets_in_urls_are_masked_in_any_text(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MLFLOW_TRACKING_PASSWORD", SECRET),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("MLFLOW_TRACKING_URI", f"mysql+pymysql://ann:{QUOTED}@host/db"),
        ("TWINNER_MAVEN", f"https://{QUOTED}@host/maven"),
        ("TWINNER_CORPORA", f"https://host/corpora?token={QUOTED}"),
        ("HTTPS_PROXY", f"http://ann:{QUOTED}@proxy:3128"),
    ],
)
def test_secrets_of_the_environment_are_masked_in_all_forms(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    for prefix in ("", "a", "ab", "ann:"):
        in_base64 = base64.b64encode(f"{prefix}{SECRET} and more".encode()).decode()
        assert leaks(mask_secrets(f"the header was {in_base64}!")) == []
    for form in (SECRET, QUOTED, quote(SECRET), quote_plus(SECRET), repr(SECRET)[1:-1]):
        assert mask_secrets(f"<{form}>") == "<***>"


def test_a_short_password_is_masked_as_a_word_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "test")
    assert mask_secrets("denied for 'test' in test_f1 of latest") == "denied for '***' in test_f1 of latest"


@pytest.fixture
def private_corpus() -> Iterator[str]:
    """Serve a file to those who know the password."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
            self.send_response(200 if self.headers.get("Authorization") == f"Basic {known}" else 401)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/train.conll"
        server.shutdown()


PASSWORD = "in-the-netrc"


def test_downloads_take_the_password_from_netrc(
    private_corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(BadInput, match="401"):
        download(private_corpus, tmp_path / "file", "")
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login ann password {PASSWORD}\n")
    assert download(private_corpus, tmp_path / "file", "").read_text() == "hello"


def test_what_mlflow_run_has_stored_is_read_without_secrets(tmp_path: Path) -> None:
    client = mlflow.MlflowClient()
    run = client.create_run("0", tags={"twinner.step": "spacy_train", "twinner.framework": "spacy"})
    client.log_param(run.info.run_id, "corpus", f"https://ann:{QUOTED}@host/train.conll")
    client.log_metric(run.info.run_id, "test_f1", 0.5)
    client.set_terminated(run.info.run_id)
    [found] = find_training_runs()
    assert found.params["corpus"] == "https://ann:***@host/train.conll"
    assert leaks(repr(found)) == []


class Machine:
    """Runs steps in a folder of their own, and searches for the secret in whatever they leave."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        (folder / "tmp").mkdir()

    def run(self, step: str, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run a step and return what it prints; the secret is neither in that nor in a command line meanwhile."""
        process = subprocess.Popen(
            [sys.executable, *(step.split() if " " in step else [str(PROJECT / "steps" / f"{step}.py")]), *arguments],
            cwd=self.folder,
            env=self._environment(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        seen: set[str] = set()
        ended = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(ended, seen))
        watcher.start()
        try:
            output, _ = process.communicate(timeout=300)
        finally:
            ended.set()
            watcher.join()
        assert process.returncode == status, output
        assert leaks(output) == []
        if not any(leaks(argument) for argument in arguments):
            assert [line for line in seen if leaks(line)] == []
        return output

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        paths = {"TMPDIR": str(self.folder / "tmp"), "PYTHONPATH": str(PROJECT / "steps")}
        return user_environment(self.folder / "cache", **(paths | dict(self.environment) | dict(more)))

    @staticmethod
    def _watch(ended: threading.Event, seen: set[str]) -> None:
        while not ended.wait(0.05):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(file.read_bytes().decode(errors="replace"))
                except OSError:
                    continue

    def check_files(self) -> None:
        """Search all files, and all rows of the databases among them (a long row is in pieces in the file)."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        assert len(files) > 0
        for file in files:
            assert leaks(str(file)) == []
            assert leaks(file.read_bytes().decode("utf-8", errors="replace")) == [], file
            if file.suffix == ".db":
                with sqlite3.connect(file) as database:
                    assert leaks("\n".join(database.iterdump())) == []


def arguments(corpus: Path, *more: str) -> Sequence[str]:
    return [f"--corpus={corpus}", "--epochs=1", "--limit=30", *more]


@pytest.mark.slow
def test_no_step_shows_or_stores_the_password_of_the_server(small_corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "server").mkdir()
    with mlflow_server(tmp_path / "server", "", "--app-name", "basic-auth", **basic_auth(tmp_path, SECRET)) as server:
        uri = f"http://admin:{QUOTED}@127.0.0.1:{server.port}"
        planted = {
            "MLFLOW_TRACKING_URI": uri,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": SECRET,
            "TWINNER_MAVEN": f"http://ann:{QUOTED}@127.0.0.1:{free_port()}/maven",
            "TWINNER_CORPORA": f"http://ann:{QUOTED}@127.0.0.1:{free_port()}/corpora",
            "HTTPS_PROXY": f"http://ann:{QUOTED}@127.0.0.1:{free_port()}",
        }
        machine = Machine(tmp_path / "user", planted)
        printed = machine.run("spacy_train", *arguments(small_corpus))
        assert printed.startswith(f"tracking   http://admin:***@127.0.0.1:{server.port}\n")
        machine.run("report", "--output=report.html")
        assert "can't be downloaded" in machine.run("spacy_train", *arguments(Path("conll2003")), status=2)
        assert "could not be fetched" in machine.run("-m twinner.spark.jars", status=2)
        wrong = uri.replace("admin:", "ann:")
        assert "answered 401" in machine.run("report", status=2, MLFLOW_TRACKING_URI=wrong)
    machine.check_files()
    # Of the server's files only its own users are left out, which hold no password either.
    Machine(tmp_path / "server", {}).check_files()


def test_a_refused_secret_is_not_stored(small_corpus: Path, tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"})
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    run_id = client.create_run("0").info.run_id  # as `mlflow run` makes one
    machine.run("spacy_train", f"--corpus=https://ann:{QUOTED}@host/a.conll", status=2, MLFLOW_RUN_ID=run_id)
    machine.run("spacy_train", *arguments(small_corpus, f"--test=https://host/a.conll?sig={QUOTED}"), status=2)
    machine.run("sparknlp_train", f"--spark-conf=spark.hadoop.fs.s3a.secret.key={SECRET}", status=2)
    machine.run("spacy_train", f"--epochs=http://ann:{QUOTED}@host", status=2)
    assert client.get_run(run_id).data.tags["twinner.error"].startswith("corpus has a user or password in a URL")
    machine.check_files()


def test_a_traceback_shows_no_secret(tmp_path: Path) -> None:
    code = (
        "import os\nfrom twinner import cli\n"
        "def main(seed: int = 0) -> None:\n    raise LookupError(os.environ['PGPASSWORD'])\ncli.run(main)\n"
    )
    (tmp_path / "step.py").write_text(code)
    environment = os.environ | {"PGPASSWORD": SECRET, "PYTHONPATH": str(PROJECT / "steps")}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "step.py")], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "LookupError: ***" in done.stderr
    assert leaks(done.stderr + done.stdout) == []
