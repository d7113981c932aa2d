"""Check the environment described by conda.yaml and constraints.txt."""

import ast
import hashlib
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parent.parent


def pins() -> dict[str, str]:
    """Return the pip requirements of conda.yaml by normalized package name."""
    requirements = yaml.safe_load((PROJECT / "conda.yaml").read_text(encoding="utf-8"))["dependencies"][-1]["pip"]
    return {normalize(re.split(r"[\[=<>~! ]", entry)[0]): entry for entry in requirements[1:]}


def normalize(name: str) -> str:
    """Normalize a distribution name as in PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_conda_yaml_pins_packages_and_constraints() -> None:
    text = (PROJECT / "conda.yaml").read_text(encoding="utf-8")
    environment = yaml.safe_load(text)
    assert environment["name"] == "twinner"
    assert environment["dependencies"][:2] == ["python=3.11", "pip"]
    assert environment["dependencies"][2]["pip"][0] == "-c constraints.txt"
    for entry in pins().values():
        assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+( ; .+)?", entry), f"{entry} is not pinned"
    digest = re.search(r"^# constraints\.txt sha256: ([0-9a-f]{64})$", text, re.MULTILINE)
    assert digest, "no line `# constraints.txt sha256: …`"
    assert digest[1] == hashlib.sha256((PROJECT / "constraints.txt").read_bytes()).hexdigest()


def test_constraints_are_pinned_and_complement_conda_yaml() -> None:
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    constrained = [line for line in lines if line and not line.startswith("#")]
    for line in constrained:
        assert re.match(r"[\w.\[\]-]+==[\w.]+( ; .+)?$", line), f"{line} is not pinned"
    assert {normalize(line.split("==")[0]) for line in constrained} & pins().keys() == set()


def test_imported_packages_are_direct_dependencies() -> None:
    distributions = packages_distributions()
    direct = pins().keys()
    undeclared: dict[str, set[str]] = {}
    ours = {"twinner"} | {step.stem for step in (PROJECT / "steps").glob("*.py")}
    for file in (PROJECT / "steps").rglob("*.py"):
        for name in imports(file) - sys.stdlib_module_names - ours:
            if not {normalize(distribution) for distribution in distributions.get(name, [])} & direct:
                undeclared.setdefault(name, set()).add(str(file.relative_to(PROJECT)))
    assert undeclared == {}


def imports(file: Path) -> set[str]:
    """Return the top-level packages imported anywhere in a file."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.split(".")[0] for name in names}
