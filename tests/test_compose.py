"""Check tracking/compose.yaml, and run what its services run, with the same environment but without docker."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client
from servers import MlflowServer, S3Server, mariadb, program, running
from users import PROJECT, free_port, small_corpus, user_environment  # type: ignore[import-not-found]

pytestmark = pytest.mark.slow

FOLDER = PROJECT / "tracking"
COMPOSE = FOLDER / "compose.yaml"
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
DOCS = (PROJECT / "docs/tracking.md").read_text(encoding="utf-8")
REQUIRED = re.compile(r"\$\{(\w+):\?[^}]+\}")  # docker refuses to start without it


def make_passwords(folder: Path) -> dict[str, str]:
    """Run the documented command in a folder, and return what it puts into `tracking/.env` there."""
    (folder / "tracking").mkdir(parents=True, exist_ok=True)
    [command] = re.findall(r"^\(umask .*? > tracking/\.env\)$", DOCS, re.MULTILINE | re.DOTALL)
    subprocess.run(["bash", "-c", command], cwd=folder, check=True)
    lines = (folder / "tracking/.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_is_valid() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_needs_the_passwords_that_the_documented_command_makes_once(tmp_path: Path) -> None:
    passwords = make_passwords(tmp_path)
    assert set(REQUIRED.findall(COMPOSE.read_text(encoding="utf-8"))) == passwords.keys()
    assert len(set(passwords.values())) == len(passwords)
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in passwords.values())
    assert (tmp_path / "tracking/.env").stat().st_mode & 0o077 == 0
    with pytest.raises(subprocess.CalledProcessError):  # a second time would lock the user out of the data
        make_passwords(tmp_path)


def test_holds_no_password_of_its_own() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|URI", name):
                assert REQUIRED.search(value) or "://" in value, name
        assert not re.search(r"\$", str(service.get("command"))), "a command's words show in the list of processes"


def test_is_reachable_from_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_mounts_files_that_exist_and_volumes_that_are_declared() -> None:
    volumes = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["volumes"]
    for service in SERVICES.values():
        for mount in service["volumes"]:
            source = mount.split(":")[0]
            assert (FOLDER / source).exists() if source.startswith("./") else source in volumes


def test_the_server_waits_for_healthy_services() -> None:
    healthy = {"condition": "service_healthy"}
    assert SERVICES["mlflow"]["depends_on"] == {"mysql": healthy, "s3": healthy}
    assert all("healthcheck" in service for service in SERVICES.values())


def test_the_image_has_the_projects_pins() -> None:
    pins = (PROJECT / "conda.yaml").read_text(encoding="utf-8")
    installed = re.findall(r"\S+==\S+", (FOLDER / "Dockerfile").read_text(encoding="utf-8"))
    assert {pin.split("==")[0] for pin in installed} >= {"mlflow", "pymysql", "boto3", "flask-wtf", "cryptography"}
    assert [pin for pin in installed if not re.search(rf"- {re.escape(pin)}\s", pins)] == []


@dataclass(frozen=True)
class Stack:
    """The services of the file, running on this machine."""

    uri: str
    passwords: dict[str, str]
    objects: Path
    mysql_port: int
    s3_port: int
    mlflow_port: int


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Start MariaDB with MySQL's files, the S3 store and MLflow as the file says, each on a free port."""
    folder = tmp_path_factory.mktemp("stack")
    passwords = make_passwords(folder / "project")
    s3_port, mlflow_port = free_port(), free_port()

    with mariadb(folder / "mysql", FOLDER / "my.cnf", empty=True) as mysql:
        # Docker's addresses and folders become this machine's.
        here = {
            "@mysql:3306/": f"@127.0.0.1:{mysql.port}/",
            "http://s3:7070": f"http://127.0.0.1:{s3_port}",
            "--port :7070": f"--port 127.0.0.1:{s3_port}",
            "/data": str(folder / "s3"),
            "/etc/mlflow": str(folder),
            "/var/lib/mlflow": str(folder),
        }

        def localized(text: str) -> str:
            text = REQUIRED.sub(lambda required: passwords[required[1]], text)
            for there, replacement in here.items():
                text = text.replace(there, replacement)
            return text

        def environment(service: str) -> dict[str, str]:
            return {name: localized(value) for name, value in SERVICES[service]["environment"].items()}

        (folder / "basic_auth.ini").write_text(localized((FOLDER / "basic_auth.ini").read_text(encoding="utf-8")))
        # MySQL's image makes the user, then runs the files.
        user = environment("mysql")
        mysql.administer(f"CREATE USER '{user['MYSQL_USER']}'@'%' IDENTIFIED BY '{user['MYSQL_PASSWORD']}'")
        for file in sorted((FOLDER / "mysql-init").iterdir()):
            sql = re.sub("^--.*", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            mysql.administer(*(statement for statement in sql.split(";") if statement.strip()))

        path = os.pathsep.join([str(Path(program("versitygw")).parent), os.environ["PATH"]])
        (folder / "s3").mkdir()
        [script] = SERVICES["s3"]["command"]
        s3 = S3Server(
            [*SERVICES["s3"]["entrypoint"], localized(script)],
            s3_port,
            folder / "s3",
            os.environ | environment("s3") | {"PATH": path},
        )
        words = SERVICES["mlflow"]["command"]
        command = [{"0.0.0.0": "127.0.0.1", "5000": str(mlflow_port)}.get(word, word) for word in words]
        (folder / "mlflow").mkdir()
        mlflow = MlflowServer(
            command, mlflow_port, folder / "mlflow", user_environment(folder / "cache", **environment("mlflow"))
        )
        with running(s3), running(mlflow):
            yield Stack(mlflow.uri, passwords, folder / "s3/objects/twinner", mysql.port, s3_port, mlflow_port)


def test_health_checks_pass(stack: Stack) -> None:
    mysql, s3, mlflow = (SERVICES[service]["healthcheck"]["test"] for service in ("mysql", "s3", "mlflow"))
    subprocess.run(
        ["sh", "-c", mysql[1].replace("$$", "$")],
        env=os.environ | {"MYSQL_TCP_PORT": str(stack.mysql_port), "MYSQL_PASSWORD": stack.passwords["MYSQL_PASSWORD"]},
        check=True,
    )
    assert requests.get(s3[-1].replace(":7070", f":{stack.s3_port}"), timeout=30).ok
    subprocess.run([sys.executable, *mlflow[2:3], mlflow[3].replace(":5000", f":{stack.mlflow_port}")], check=True)


def test_a_user_trains_in_an_experiment_of_their_own(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log_in(user: str, password: str) -> MlflowClient:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        return MlflowClient(stack.uri)

    log_in("admin", stack.passwords["ADMIN_PASSWORD"])
    get_app_client("basic-auth", stack.uri).create_user("anna", "a long password")
    client = log_in("anna", "a long password")
    with pytest.raises(MlflowException, match="Permission denied"):
        client.create_run("0")
    small_corpus(tmp_path / "corpus")
    access = {name: os.environ[name] for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")}
    variables = access | {"MLFLOW_TRACKING_URI": stack.uri, "MLFLOW_EXPERIMENT_NAME": "anna"}
    step = [sys.executable, PROJECT / "steps/spacy_train.py"]
    done = subprocess.run(
        [*step, "--corpus", tmp_path / "corpus", "--epochs", "1", "--limit", "60", "--model-name", "annas"],
        cwd=tmp_path,
        env=user_environment(tmp_path / "cache", **variables),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    experiment = client.get_experiment_by_name("anna")
    assert experiment
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")
    assert list(stack.objects.rglob(f"{run.info.run_id}/artifacts/inference.parquet"))
    assert client.get_model_version("annas", "1").run_id == run.info.run_id


def test_names_differ_by_case_and_hold_any_script(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", stack.passwords["ADMIN_PASSWORD"])
    client = MlflowClient(stack.uri)
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "test_f1_loc", 0.1)
    client.log_metric(run_id, "test_f1_LOC", 0.2)
    client.set_tag(run_id, "note", "naïve 日本 🙂")
    data = client.get_run(run_id).data
    assert data.metrics == {"test_f1_loc": 0.1, "test_f1_LOC": 0.2}
    assert data.tags["note"] == "naïve 日本 🙂"


def test_no_password_shows_in_the_list_of_processes(stack: Stack) -> None:
    words = [word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or []]
    assert any("basic-auth" in word for word in words)
    assert [word for word in words if any(password in word for password in stack.passwords.values())] == []
