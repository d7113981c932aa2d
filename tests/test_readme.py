"""What the README says holds: its commands run, its tables match MLproject, its links lead somewhere.

Each command of its `sh` blocks is a test of its own, and they run in the README's order in one copy of the project.
They are shortened (one epoch, few sentences, this environment, a small corpus in the place of the reader's own);
what can't be run here is listed with its reason in NOT_RUN.
"""

import os
import re
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
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
# What a command looks like -> why it is not run; a command that is neither here nor a server must end with status 0.
NOT_RUN = {
    r"\bgit clone\b|^cd ": "gets the copy of the project that the others already run in",
    r"\b(pip|conda|apt|apt-get|brew) install\b|\b(curl|wget) ": "installs or downloads",
    r"-e (tests|checks)\b|-m pytest\b|^pytest\b|^ruff\b|^mypy\b": "these tests and checks themselves",
    r"\bdocker\b|\bspark://|\bs3://|=https?://|\b(mysql|postgresql)[+:]": "needs a server of the reader's own",
    r"-m twinner\.jars": "downloads the jars",
    r"embeddings=(?!word2vec)": "downloads a model",
    r"\brm -r|\bexport [A-Z_]+=": "changes the reader's machine or shell",
    r"^python (benchmarks|docs|data)/|^\.ci/": "for those who develop the project, slow or in need of a network",
}
SERVERS = {"mlflow ui": "/health", "mlflow server": "/health", "mlflow models serve": "/ping"}


def readme() -> str:
    return README.read_text(encoding="utf-8") if README.exists() else ""


def commands() -> list[str]:
    """The commands of the `sh` blocks, in order, each once: a loop or continued lines are one command."""
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
        assert not lines, f"a loop without an end: {lines}"
    return list(dict.fromkeys(found))


def why_not_run(command: str) -> str:
    return next((reason for pattern, reason in NOT_RUN.items() if re.search(pattern, command)), "")


def server(command: str) -> str:
    """The path that the server answers at once it is up, or nothing for a command that ends by itself."""
    return next((path for name, path in SERVERS.items() if name in command), "")


def shortened(command: str, folder: Path) -> str:
    """The command as it is run here; folder: where the small corpus is and what it writes goes."""
    corpus = folder / "a corpus of mine"
    own = {"corpus": corpus, "test": corpus / "test.conll"}
    command = re.sub(
        r"\b(corpus|test)=(?!demo\b|\"?\$PWD/data/)('[^']*'|\"[^\"]*\"|\S+)",
        lambda it: f"{it[1]}='{own[it[1]]}'",
        command,
    )
    command = re.sub(r"(export|output)=['\"]?(?:~|\$HOME)?/[^\s'\"]*", rf"\1='{folder / 'written'}'", command)
    # An option that is given twice counts as given last, so that those of the README win.
    command = re.sub(r"python steps/\w+_train\.py", r"\g<0> -i 1 --limit 50", command)
    return re.sub(r"mlflow run\b[^|;&\n]*", lambda it: _shortened_run(it[0].rstrip(), corpus), command)


def _shortened_run(command: str, corpus: Path) -> str:
    command = re.sub(r"(?<=mlflow run )\S*(://|git@)\S*", ".", command)
    command = re.sub(r"\s--env-manager[ =]\S+", "", command) + " --env-manager local"
    trains = re.search(r"-e \w+_train\b", command)
    if (trains or " -e " not in command) and "epochs=" not in command:
        command += " -P epochs=1"
    if " -e " not in command and "corpus=" not in command:  # main has no limit
        command += f" -P corpus='{corpus}'"
    if trains and "limit=" not in command:
        command += " -P limit=50"
    return command


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A reader in a copy of the project, with a small corpus beside it."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(PROJECT, folder / "twinner", ignore=shutil.ignore_patterns(*NOT_THE_PROJECT))
    small_corpus(folder / "a corpus of mine")
    yield User(folder / "twinner", folder / "cache")
    shutil.rmtree(folder, ignore_errors=True)


def needs_spark(command: str) -> bool:
    """Whether a command starts Spark: the step says so, and `main`, which is the step where none is named."""
    runs = re.findall(r"mlflow run\b[^|;&\n]*", command)
    return "sparknlp_train" in command or "steps/main.py" in command or any(" -e " not in run for run in runs)


def test_there_are_commands_for_a_start_a_loop_a_report_and_a_look() -> None:
    found = commands()
    for part in (r"mlflow run \.", r"\bfor\b", r"-e report\b", r"mlflow ui\b"):
        assert any(re.search(part, command) for command in found), f"the README has no command with {part}"


@pytest.mark.parametrize("command", [c for c in commands() if not why_not_run(c) and not server(c)])
def test_a_command_of_the_readme_ends_well(command: str, reader: User, request: pytest.FixtureRequest) -> None:
    cache: Path = request.getfixturevalue("spark_cache") if needs_spark(command) else reader.cache
    User(reader.folder, cache).run("bash", "-e", "-o", "pipefail", "-c", shortened(command, reader.folder.parent))


@pytest.mark.parametrize("command", [c for c in commands() if not why_not_run(c) and server(c)])
def test_a_server_of_the_readme_starts_and_answers(command: str, reader: User) -> None:
    port = free_port()
    command = re.sub(r"\s(--host|-h|--port|-p|--env-manager)[ =]\S+", "", command)
    if "models serve" in command:
        last = next(run for run in reversed(reader.runs()) if run.data.tags.get("twinner.framework") == "spacy")
        command = re.sub(r"runs:/[^/]+/", f"runs:/{last.info.run_id}/", command) + " --env-manager local"
    environment = user_environment(reader.cache)
    log = reader.folder.parent / f"{port}.log"
    with log.open("w") as output:
        started = subprocess.Popen(
            ["bash", "-c", f"exec {command} --host 127.0.0.1 --port {port}"],
            cwd=reader.folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}{server(command)}"
        wait_until(lambda: started.poll() is not None or status(url) == 200, "no answer in 400 s", seconds=400)
        assert status(url) == 200, log.read_text()[-4000:]
    finally:
        os.killpg(started.pid, signal.SIGTERM)  # its workers too
        started.wait(timeout=20)


def status(url: str) -> int:
    """The status of the answer, 0 if there is none."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
            return int(answer.status)
    except OSError:
        return 0


# Tables


def tables() -> list[tuple[list[str], list[list[str]]]]:
    """The tables as header and rows, the cells without backticks."""
    found = []
    for table in re.findall(r"(?:^\|.*\|[ ]*\n)+", readme() + "\n", re.MULTILINE):
        rows = [
            [cell.replace("`", "").strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            for line in table.splitlines()
        ]
        found.append((rows[0], rows[2:]))
    return found


ENTRY_POINTS = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))["entry_points"]


@pytest.mark.parametrize("step", ENTRY_POINTS)
def test_the_tables_name_every_entry_point(step: str) -> None:
    assert any(step in row[0].split() for _, rows in tables() for row in rows)


@pytest.mark.parametrize(
    ("step", "name", "default"),
    [
        (step, name, p["default"])
        for step, point in ENTRY_POINTS.items()
        for name, p in point.get("parameters", {}).items()
    ],
)
def test_every_parameter_is_named_with_its_default(step: str, name: str, default: str | float) -> None:
    told = in_prose(step).get(name, [])
    for header, rows in tables():
        if step in header:
            told += [row[header.index(step)] for row in rows if row[0] == name]
    assert told, f"the README does not name {name} of {step}"
    assert any(says(cell, default) for cell in told), f"{name} of {step} is {default!r}; the README says {told}"


def in_prose(step: str) -> dict[str, list[str]]:
    """What a paragraph such as "`main` takes `corpus` (`demo`), `epochs` and `lr` (each empty)" says, by parameter."""
    told: dict[str, list[str]] = {}
    for paragraph in re.findall(rf"^`{step}` takes .*?\n\n", readme(), re.MULTILINE | re.DOTALL):
        for names, default in re.findall(r"((?:`\w+`(?:,\s|\sand\s)?)+)\s\((?:each )?([^)]*)\)", paragraph):
            for name in re.findall(r"\w+", names):
                told.setdefault(name, []).append(default.replace("`", ""))
    return told


def says(cell: str, default: str | float) -> bool:
    """Whether a cell such as `1000 (words)`, `""` or `empty` gives a default."""
    first = re.split(r"[\s(:;,]", cell, maxsplit=1)[0].strip("\"'")
    if isinstance(default, str):
        return first == default or (not default and first == "empty")
    try:
        return float(first) == default
    except ValueError:
        return False


# Links


def test_links_lead_to_files_and_headings_that_exist() -> None:
    targets = re.findall(r"\]\(([^)\s]+)", readme()) + re.findall(r"(?:src|href|srcset)=\"([^\"]+)\"", readme())
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", readme(), flags=re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        assert not file or (PROJECT / file).exists(), f"{target} is not there"
        assert file or anchor in anchors, f"no heading for #{anchor}"


def test_the_readme_shows_a_picture() -> None:
    pictures = re.findall(r"(?:!\[[^\]]*\]\(|src=\")([^)\"\s]+\.(?:png|jpg|svg))", readme())
    assert [picture for picture in pictures if (PROJECT / picture).stat().st_size > 1000]
