"""The floors that pyproject.toml declares: `lint-imports` accepts the project, and refuses an import that runs up."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


def lint_imports(steps: Path) -> subprocess.CompletedProcess[str]:
    """Run the linter as the entry point `checks` does."""
    program = Path(sys.executable).with_name("lint-imports")
    command = [str(program), str(steps.parent / "pyproject.toml"), "--no-cache"]
    return subprocess.run(command, cwd=steps, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("phases.py", "import twinner.corpus", "twinner.phases is not allowed to import twinner.corpus"),
        ("tracking/write.py", "import twinner.report.page", "twinner.tracking is not allowed to import twinner.report"),
        ("report/page.py", "import mlflow", "twinner.report.page -> mlflow"),
        ("new_module.py", "", "new_module"),
    ],
)
def test_an_import_that_runs_up_is_refused(file: str, line: str, broken: str, tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "steps", tmp_path / "steps", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    with (tmp_path / "steps" / "twinner" / file).open("a") as module:
        module.write(f"\n{line}\n")
    done = lint_imports(tmp_path / "steps")
    assert done.returncode == 1
    assert broken in done.stdout


def test_the_project_keeps_its_floors() -> None:
    done = lint_imports(PROJECT / "steps")
    assert done.returncode == 0, done.stdout
