"""A step's own time when it trains nothing, beside the time to import the libraries that it needs.

`python benchmarks/step_time.py` trains one small run, then calls `spacy_train` with `reuse=yes`, a refused value, and
`--help`. Each step alternates with processes that only start Python, and that only import what the step has imported.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

STEP = Path(__file__).resolve().parents[1] / "steps" / "spacy_train.py"
TRAINING = ["--limit", "100", "--epochs", "1"]
CASES = {"reuse=yes": [*TRAINING, "--reuse", "yes"], "epochs=0": ["--epochs", "0"], "--help": ["--help"]}
STATUS = {"epochs=0": 2}
TIMES = 7
# Runs a step as a script, and lists what it has imported.
LIST = """
import runpy, sys
output = sys.argv.pop(1)
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    open(output, "w").write("\\n".join(sys.modules))
"""
IMPORT = """
import importlib, sys
for name in open(sys.argv[1]).read().split():
    try:
        importlib.import_module(name)
    except ImportError:
        pass
"""


def seconds(command: Sequence[str], status: int = 0) -> float:
    """Return how long a command took, which must end with this status."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    assert done.returncode == status, done.stderr
    return took


def modules_of(arguments: Sequence[str], status: int, file: Path) -> None:
    """Write to a file the libraries' modules that a step imports, in their order."""
    seconds([sys.executable, "-s", "-c", LIST, str(file), str(STEP), *arguments], status)
    ours = {path.stem for path in STEP.parent.glob("*.py")} | {"twinner", "__main__"}
    names = [name for name in file.read_text().split() if name.partition(".")[0] not in ours]
    file.write_text("\n".join(names))


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        python = [sys.executable, "-s"]
        seconds([*python, str(STEP), *TRAINING])
        print("| call | Python (s) | imports (s) | ours (s) | all (s) | all / (Python + imports) |", flush=True)
        print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
        for name, arguments in CASES.items():
            file = Path(folder, "modules")
            status = STATUS.get(name, 0)
            modules_of(arguments, status, file)
            rows = [
                (
                    seconds([*python, "-c", "pass"]),
                    seconds([*python, "-c", IMPORT, str(file)]),
                    seconds([*python, str(STEP), *arguments], status),
                )
                for _ in range(TIMES)
            ]
            start, imports, step = (statistics.median(column) for column in zip(*rows, strict=True))
            ratio = statistics.median(whole / imported for _, imported, whole in rows)
            parts = f"{start:.2f} | {imports - start:.2f} | {step - imports:.2f} | {step:.2f} | {ratio:.2f}"
            print(f"| `{name}` | {parts} |", flush=True)


if __name__ == "__main__":
    main()
