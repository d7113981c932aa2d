import os
import subprocess
import sys
from pathlib import Path

import twinner

STEPS = Path(twinner.__file__).resolve().parents[1]


def files_after(statement: str, folder: Path) -> list[str]:
    """What a new process leaves in its temporary folder, where ONNX Runtime's telemetry keeps its session."""
    folder.mkdir()
    suppressing = ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "ORT_DISABLE_TELEMETRY")
    environment = {name: value for name, value in os.environ.items() if name not in suppressing}
    subprocess.run([sys.executable, "-c", statement], cwd=STEPS, env=environment | {"TMPDIR": str(folder)}, check=True)
    return [path.name for path in folder.iterdir()]


def test_telemetry_is_off(tmp_path: Path) -> None:
    assert files_after("import onnxruntime", tmp_path / "plain") == [".ses"]  # how it shows, if it is on
    assert files_after("import twinner.encoders.run, twinner.encoders.vector_file", tmp_path / "ours") == []
