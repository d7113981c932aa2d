"""Check the README and docs/: the commands run, the tables match MLproject, the links resolve.

Every command in an `sh` block is one test; they run in the README's order in one copy of the project. The commands are
shortened: one epoch, few sentences of a small corpus, and the current environment. NOT_RUN lists the commands that
cannot run here, with the reason.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml
from spark_cache import spark_cache  # type: ignore[import-not-found]  # noqa: F401
from users import (  # type: ignore[import-not-found]
    NOT_THE_PROJECT,
    PROJECT,
    User,
    free_port,
    small_corpus,
    user_environment,
    wait_until,
)

README = PROJECT / "README.md"
REFERENCE = PROJECT / "docs" / "reference.md"
PAGES = [README, *sorted((PROJECT / "docs").glob("*.md")), PROJECT / "data" / "README.md"]
# Pattern of a command -> reason for skipping it. All other commands except servers must exit with status 0.
NOT_RUN = {
    r"\bgit clone\b|^cd ": "obtains the copy of the project that the other commands already run in",
    r"\b(pip|conda|apt|apt-get|brew) install\b": "installs something",
    r"^curl ": "asks a server that another test starts; see test_serves_the_models_of_both_frameworks",
    r"-e (tests|checks)\b|-m pytest\b|^pytest\b|^ruff\b|^mypy\b": "runs these tests and checks themselves",
    r"\bdocker\b|\bspark://|\bs3://|=https?://|\b(mysql|postgresql)[+:]": "needs a server of the reader's own",
    r"embeddings=(?!word2vec)": "downloads a model",
    r"model=models:": "needs a registered model of the reader's own; tests/test_third_framework.py runs that step",
    r"\brm -r|\bexport [A-Z_]+=": "changes the reader's machine or shell",
    r"^python (benchmarks|docs|data)/|^\.ci/": "for developers of the project; slow or needs a network",
}
SERVERS = {"mlflow ui": "/health", "mlflow server": "/health", "mlflow models serve": "/ping"}


def readme() -> str:
    return README.read_text(encoding="utf-8") if README.exists() else ""


def reference() -> str:
    return REFERENCE.read_text(encoding="utf-8")


def commands() -> list[str]:
    """Return the distinct commands of the `sh` blocks in order; a loop or a continued line is one command."""
    found: list[str] = []
    for block in re.findall(r"^```(?:sh|bash|shell)\n(.*?)^```", readme(), re.MULTILINE | re.DOTALL):
        lines: list[str] = []
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"(^|\s)#.*", "", line).strip()
            if line:
                lines.append(line)
            words = re.findall(r"[\w-]+", " ".join(lines))
            if lines and words.count("for") <= words.count("done"):
                found.append("\n".join(lines))
                lines = []
        assert not lines, f"loop without `done`: {lines}"
    return list(dict.fromkeys(found))


def skip_reason(command: str) -> str:
    return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, command)), "")


def health_path(command: str) -> str:
    """Return the path for health checks if the command starts a server, else an empty string."""
    return next((path for name, path in SERVERS.items() if name in command), "")


def shorten(command: str, folder: Path) -> str:
    """Adapt a command for the test; folder: holds the small corpus and receives what the command writes."""
    corpus = folder / "a corpus of mine"
    replacements = {"corpus": corpus, "test": corpus / "test.conll"}
    command = re.sub(
        r"\b(corpus|test)=(?!demo\b|\"?\$PWD/data/)('[^']*'|\"[^\"]*\"|\S+)",
        lambda match: f"{match[1]}='{replacements[match[1]]}'",
        command,
    )
    command = re.sub(r"(export|output)=['\"]?(?:~|\$HOME)?/[^\s'\"]*", rf"\1='{folder / 'written'}'", command)
    # The last of repeated options wins, so put ours before the README's.
    command = re.sub(r"python steps/\w+_train\.py", r"\g<0> -i 1 --limit 50", command)
    return re.sub(r"mlflow run\b[^|;&\n]*", lambda match: _shorten_mlflow_run(match[0].rstrip(), corpus), command)


def _shorten_mlflow_run(command: str, corpus: Path) -> str:
    command = re.sub(r"(?<=mlflow run )\S*(://|git@)\S*", ".", command)
    command = re.sub(r"\s--env-manager[ =]\S+", "", command) + " --env-manager local"
    command = re.sub(r"\btrials=\d+", "trials=2", command)
    command = re.sub(r"\bepochs=\d+", "epochs=1", command)
    step = re.search(r"-e (\w+)", command)
    if step is None or re.search(r"_train|sweep", step[1]):
        if "epochs=" not in command:
            command += " -P epochs=1"
        if "corpus=" not in command:
            command += f" -P corpus='{corpus}'"
        if step and "limit=" not in command:  # main takes none
            command += " -P limit=50"
    return command


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Provide a user in a copy of the project, with a small corpus next to it."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(PROJECT, folder / "twinner", ignore=shutil.ignore_patterns(*NOT_THE_PROJECT))
    small_corpus(folder / "a corpus of mine")
    yield User(folder / "twinner", folder / "cache")
    shutil.rmtree(folder, ignore_errors=True)


def needs_spark(command: str) -> bool:
    """Whether a command starts Spark: sparknlp_train does, and so does main, the default step."""
    runs = re.findall(r"mlflow run\b[^|;&\n]*", command)
    return "sparknlp_train" in command or "steps/main.py" in command or any(" -e " not in run for run in runs)


def test_shows_commands_to_run_loop_report_and_browse() -> None:
    found = commands()
    for pattern in (r"mlflow run \.", r"\bfor\b", r"-e report\b", r"mlflow ui\b"):
        assert any(re.search(pattern, command) for command in found), f"no command in the README matches {pattern}"


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in commands() if not skip_reason(c) and not health_path(c)])
def test_command_succeeds(command: str, reader: User, request: pytest.FixtureRequest) -> None:
    cache: Path = request.getfixturevalue("spark_cache") if needs_spark(command) else reader.cache
    User(reader.folder, cache).run("bash", "-e", "-o", "pipefail", "-c", shorten(command, reader.folder.parent))


def test_python_example_finds_entities(reader: User) -> None:
    [example] = re.findall(r"^```python\n(.*?)^```", readme(), re.MULTILINE | re.DOTALL)
    done = reader.run("python", "-c", re.sub(r"runs:/\w+/", f"runs:/{newest_run(reader, 'spacy')}/", example))
    assert re.search(r"\[.*\]", done.stdout)


def newest_run(reader: User, framework: str) -> str:
    """Return the id of the newest finished training that a command of the README has started."""
    runs = [run for run in reader.runs() if run.data.tags.get("twinner.framework") == framework]
    return str(next(run for run in reversed(runs) if run.info.status == "FINISHED").info.run_id)


@contextmanager
def served(command: str, reader: User, cache: Path) -> Iterator[int]:
    """Start a server with a command of the README, wait until it responds, and stop it at the end; its port."""
    port = free_port()
    command = re.sub(r"\s(--host|-h|--port|-p)[ =]\S+", "", command).replace("--env-manager uv", "--env-manager local")
    log = reader.folder.parent / f"{port}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command} --host 127.0.0.1 --port {port} --workers 1"],
            cwd=reader.folder,
            env=user_environment(cache, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),  # its workers take a minute
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}{health_path(command)}"
        wait_until(
            lambda: process.poll() is not None or http_status(url) == 200,
            "the server did not respond within 400 s",
            seconds=400,
        )
        assert http_status(url) == 200, log.read_text()[-4000:]
        yield port
    finally:
        with suppress(ProcessLookupError):  # it has failed to start
            os.killpg(process.pid, signal.SIGTERM)  # the workers are in the same group
        process.wait(timeout=120)


SERVERS_OF_README = [c for c in commands() if not skip_reason(c) and health_path(c)]


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in SERVERS_OF_README if "models serve" not in command])
def test_server_responds(command: str, reader: User) -> None:
    with served(command, reader, reader.cache):
        pass


@pytest.mark.parametrize("framework", ["spacy", "sparknlp"])
def test_serves_the_models_of_both_frameworks(framework: str, reader: User, spark_cache: Path) -> None:  # noqa: F811
    [serve] = [command for command in SERVERS_OF_README if "models serve" in command]
    [ask] = [command for command in commands() if command.startswith("curl ")]
    serve = re.sub(r"runs:/\w+/", f"runs:/{newest_run(reader, framework)}/", serve)
    cache = spark_cache if framework == "sparknlp" else reader.cache
    with served(serve, reader, cache) as port:
        done = reader.run("bash", "-c", re.sub(r"localhost:\d+", f"127.0.0.1:{port}", ask))
    [answer] = json.loads(done.stdout)["predictions"]
    assert answer.keys() == {"entities"}
    assert all(entity.keys() == {"start", "end", "label", "text", "score"} for entity in answer["entities"])


def http_status(url: str) -> int:
    """Return the status of the response, 0 if there is none."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as response:
            return int(response.status)
    except OSError:
        return 0


# Tables


def tables() -> list[tuple[list[str], list[list[str]]]]:
    """Return each table of the README and the reference as its header and rows, without backticks."""
    found = []
    for table in re.findall(r"(?:^\|.*\|[ ]*\n)+", f"{readme()}\n{reference()}\n", re.MULTILINE):
        rows = [
            [cell.replace("`", "").strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            for line in table.splitlines()
        ]
        found.append((rows[0], rows[2:]))
    return found


ENTRY_POINTS = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))["entry_points"]


@pytest.mark.parametrize("step", ENTRY_POINTS)
def test_tables_name_every_entry_point(step: str) -> None:
    assert any(step in re.findall(r"\w+", row[0]) for _, rows in tables() for row in rows)


@pytest.mark.parametrize(
    ("step", "name", "default"),
    [
        (step, name, p["default"])
        for step, point in ENTRY_POINTS.items()
        for name, p in point.get("parameters", {}).items()
    ],
)
def test_parameter_is_named_with_its_default(step: str, name: str, default: str | float) -> None:
    documented = prose_defaults(step).get(name, [])
    for header, rows in tables():
        if step in header:
            documented += [row[header.index(step)] for row in rows if row[0] == name]
    assert documented, f"the reference does not name {name} of {step}"
    assert any(states_default(text, default) for text in documented), (
        f"{name} of {step} is {default!r}; the reference says {documented}"
    )


def prose_defaults(step: str) -> dict[str, list[str]]:
    """Read defaults by parameter from prose: "`main` takes `corpus` (`demo`), `epochs` and `lr` (each empty)"."""
    defaults: dict[str, list[str]] = {}
    for paragraph in re.findall(rf"^`{step}` takes .*?\n\n", reference(), re.MULTILINE | re.DOTALL):
        for names, default in re.findall(r"((?:`\w+`(?:,\s|\sand\s)?)+)\s\((?:each )?([^)]*)\)", paragraph):
            for name in re.findall(r"\w+", names):
                defaults.setdefault(name, []).append(default.replace("`", ""))
    return defaults


def states_default(text: str, default: str | float) -> bool:
    """Whether a text such as `1000 (words)`, `""` or `empty` states the default."""
    first = re.split(r"[\s(:;,]", text, maxsplit=1)[0].strip("\"'")
    if isinstance(default, str):
        return first == default or (not default and first == "empty")
    try:
        return float(first) == default
    except ValueError:
        return False


# Links


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_resolve(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)", text) + re.findall(r"(?:src|href|srcset)=\"([^\"]+)\"", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = page.parent / file if file else page
        assert linked.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(linked), f"no heading for {target}"


def test_shows_a_picture() -> None:
    pictures = re.findall(r"(?:!\[[^\]]*\]\(|src=\")([^)\"\s]+\.(?:png|jpg|svg))", readme())
    assert [picture for picture in pictures if (PROJECT / picture).stat().st_size > 1000]


def test_pictures_are_small() -> None:
    pictures = [file for file in (PROJECT / "docs").iterdir() if file.suffix in (".png", ".jpg")]
    assert {file.name: file.stat().st_size for file in pictures if file.stat().st_size > 200_000} == {}
