"""The environment that conda.yaml and constraints.txt describe."""

import ast
import hashlib
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parent.parent


def pins() -> dict[str, str]:
    """The pip packages of conda.yaml as they are written, by name."""
    listed = yaml.safe_load((PROJECT / "conda.yaml").read_text(encoding="utf-8"))["dependencies"][-1]["pip"]
    return {normal(re.split(r"[\[=<>~! ]", entry)[0]): entry for entry in listed[1:]}


def normal(name: str) -> str:
    """A distribution's name in its one spelling."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_conda_yaml_pins_everything_and_names_the_constraints_by_digest() -> None:
    text = (PROJECT / "conda.yaml").read_text(encoding="utf-8")
    environment = yaml.safe_load(text)
    assert environment["name"] == "twinner"
    assert environment["dependencies"][:2] == ["python=3.11", "pip"]
    assert environment["dependencies"][2]["pip"][0] == "-c constraints.txt"
    for entry in pins().values():
        assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+( ; [\w' =!<>.]+)?", entry), f"{entry} is not pinned"
    found = re.search(r"^# constraints\.txt sha256: ([0-9a-f]{64})$", text, re.MULTILINE)
    assert found, "no line `# constraints.txt sha256: …`"
    assert found[1] == hashlib.sha256((PROJECT / "constraints.txt").read_bytes()).hexdigest()


def test_constraints_pin_every_line_and_nothing_that_conda_yaml_pins() -> None:
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    constrained = [line for line in lines if line and not line.startswith("#")]
    for line in constrained:
        assert re.match(r"[\w.\[\]-]+==[\w.]+( ; .+)?$", line), f"{line} is not pinned"
    assert {normal(line.split("==")[0]) for line in constrained} & pins().keys() == set()


def test_every_third_party_import_of_the_steps_is_a_direct_dependency() -> None:
    known = packages_distributions()
    direct = pins().keys()
    lacking: dict[str, set[str]] = {}
    for file in (PROJECT / "steps").rglob("*.py"):
        for name in imports(file) - sys.stdlib_module_names - {"twinner"}:
            if not {normal(distribution) for distribution in known.get(name, [])} & direct:
                lacking.setdefault(name, set()).add(str(file.relative_to(PROJECT)))
    assert lacking == {}


def imports(file: Path) -> set[str]:
    """The top-level names of what a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.split(".")[0] for name in names}
