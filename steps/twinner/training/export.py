"""The export of a training: its model and outputs in a folder of the user's."""

import json
import shutil
import tempfile
from pathlib import Path

from twinner.errors import BadInput, Failure

MANIFEST = ".twinner-export.json"  # names what an export wrote, so that the next one replaces that and nothing else


def check_export(name: str) -> Path | None:
    """Return the folder to export to, links resolved, once it is clear that it can be written to; None for no name.

    The folder may be new, empty, or hold an earlier export, with other files beside it.
    Errors: BadInput if it holds only other files, is no folder, or can't be written to.
    """
    if not name:
        return None
    remedy = "name a new or an empty folder"
    try:
        folder = Path(name).expanduser().resolve()
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"export={name}: this is not a folder", remedy)
        if folder.exists() and any(folder.iterdir()) and not (_earlier_export(folder) or _has_model(folder)):
            raise BadInput(f"export={name}: this folder holds other files, and no earlier export", remedy)
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        tempfile.TemporaryDirectory(dir=existing, prefix=".twinner-").cleanup()
    except OSError as error:
        raise BadInput(f"export={name}: {error.strerror}", "name a folder that can be written to") from None
    except RuntimeError:
        raise BadInput(f"export={name}: there is no such home folder", "name a folder that can be written to") from None
    return folder


def export_results(folder: Path, artifacts: Path, model: Path) -> None:
    """Copy the artifacts and the model of a training to a folder that `check_export` returned.

    What an earlier export wrote is replaced as a whole; everything else in the folder stays. Everything is copied
    before anything is replaced.
    Errors: Failure if that is impossible; the folder is then as it was.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".twinner-") as temporary:
            new, old = Path(temporary, "new"), Path(temporary, "old")
            shutil.copytree(artifacts, new)
            shutil.copytree(model, new / "model")
            names = [path.name for path in new.iterdir()]
            earlier = _earlier_export(folder) or (names if _has_model(folder) else [])
            if foreign := [name for name in names if name not in earlier and (folder / name).exists()]:
                raise Failure(f"export={folder}: {foreign[0]} is there already, and is not of an earlier export")
            (new / MANIFEST).write_text(json.dumps(sorted(names)), encoding="utf-8")
            old.mkdir()
            for name in (*earlier, MANIFEST):
                if (folder / name).exists():
                    (folder / name).rename(old / name)
            for name in (*names, MANIFEST):
                (new / name).rename(folder / name)
    except OSError as error:  # shutil.Error too
        raise Failure(f"export={folder} failed: {error.strerror or error}") from error


def _earlier_export(folder: Path) -> list[str]:
    """The names that the manifest of an earlier export lists."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return []
    try:
        names = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError:
        return []
    return [name for name in names if isinstance(name, str) and Path(name).name == name]


def _has_model(folder: Path) -> bool:
    """Whether a model of MLflow is there, as exports left it before they had a manifest."""
    return (folder / "model" / "MLmodel").is_file()
