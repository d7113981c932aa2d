"""The logged model: native to its framework, and a pyfunc from text to entities, so that MLflow can serve it.

MLflow's spaCy flavor adds a pyfunc for text categorizers only, and its Spark flavor starts no Spark NLP session.
The model carries the modules that it needs of this package, so that it loads outside the project.
"""

import ast
import hashlib
import importlib
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow import pyfunc
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.types.schema import Array, ColSpec, DataType, Object, ParamSchema, ParamSpec, Property, Schema

from twinner.frameworks import FRAMEWORKS

if TYPE_CHECKING:  # its imports are not among the requirements of a served model
    from twinner.frameworks.contract import Trainer

REQUIREMENTS = ("mlflow", "pandas")  # of this module
LOADER = "twinner.serving"  # this module
ENTITY = Object(
    [
        Property("start", DataType.long),  # in characters of the text
        Property("end", DataType.long),  # exclusive
        Property("label", DataType.string),
        Property("text", DataType.string),
        Property("score", DataType.double, required=False),  # the confidence, from 0 to 1
    ]
)
LABELS, SCORES, MIN_SCORE = "labels", "scores", "min_score"
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, name="text")]),
    outputs=Schema([ColSpec(Array(ENTITY), name="entities")]),
    params=ParamSchema(
        [
            ParamSpec(LABELS, DataType.string, [], shape=(-1,)),  # those of the entities to return; empty: all
            ParamSpec(SCORES, DataType.boolean, True),
            ParamSpec(MIN_SCORE, DataType.double, 0.0),  # of the entities to return
        ]
    ),
)
LONGEST_TEXT = 1_000_000  # characters; spaCy takes no more, and about a gigabyte of memory for them
SURROGATES = re.compile("[\ud800-\udfff]")  # halves of a character, which have no place in UTF-8


def write_model(folder: Path, trainer: "Trainer", example: str | None) -> None:
    """Write the trainer's pipeline to a new folder in MLflow's format.

    example: a text to store as the input example; None where no text of the corpus may leave the machine.
    """
    framework = FRAMEWORKS[trainer.framework]
    native = importlib.import_module(f"mlflow.{framework.flavor}")
    if hasattr(native, "_HadoopFileSystem"):
        native._HadoopFileSystem._filesystem = None  # else MLflow uses the one of an earlier session, which may be gone
    # All loaders: a process that loads models of both frameworks imports this package from the first of them.
    loaders = [any_framework.loader for any_framework in FRAMEWORKS.values()]
    model = Model()
    with tempfile.TemporaryDirectory() as code:
        native.save_model(
            trainer.pipeline(),
            path=str(folder),
            mlflow_model=model,
            code_paths=[str(_copy_modules(Path(code), __name__, *loaders)), str(_write_entry_points(Path(code)))],
            pip_requirements=[
                f"{package}=={version(package)}"
                for package in (*REQUIREMENTS, *framework.requirements, *trainer.requirements)
            ],
            signature=SIGNATURE,
            input_example=None if example is None else pd.DataFrame({"text": [example]}),
            **trainer.save_options,
        )
    pyfunc.add_to_model(
        model,
        loader_module=LOADER,
        data=framework.model_data,
        code="code",
        conda_env="conda.yaml",
        python_env="python_env.yaml",
        model_config={"framework": trainer.framework},
    )
    model.save(str(folder / "MLmodel"))


class TextToEntities:
    """What `mlflow.pyfunc.load_model` gives: rows of `text` in, rows of `entities` out."""

    def __init__(self, entities_of_texts: Callable[[Sequence[str]], list[list[dict[str, Any]]]]) -> None:
        """entities_of_texts: a function from n texts to n lists of entities: start, end, label and score."""
        self._entities_of_texts = entities_of_texts
        self._lock = threading.Lock()  # neither framework can be used by several threads at once

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return the entities of each text: start and end (in characters, end exclusive), label, text and score.

        params: `labels`, `min_score` and `scores` (False: without them), see `SIGNATURE`.
        Raises MlflowException, which a server answers as a bad request, for a text that is none, or too long.
        """
        given = {LABELS: [], SCORES: True, MIN_SCORE: 0.0, **(params or {})}
        texts = [_checked(row, text) for row, text in enumerate(model_input["text"])]
        with self._lock:
            found = self._entities_of_texts([SURROGATES.sub("\ufffd", text) for text in texts])
        labels = set(given[LABELS])
        return pd.DataFrame(
            {
                "entities": [
                    [
                        {
                            **entity,
                            "text": text[entity["start"] : entity["end"]],
                            "score": entity["score"] if given[SCORES] else None,
                        }
                        for entity in entities
                        if entity["score"] >= given[MIN_SCORE] and (not labels or entity["label"] in labels)
                    ]
                    for text, entities in zip(texts, found, strict=True)
                ]
            }
        )


@dataclass(frozen=True)
class SavedModel:
    """A model that `write_model` has written. data: what its loader loads. digest: 16 hexadecimal digits."""

    framework: str
    data: Path
    digest: str


def read_model(folder: Path) -> SavedModel:
    """Read what a model's folder says of it. Raises ValueError if `write_model` has not written it."""
    try:
        flavor = Model.load(str(folder)).flavors[pyfunc.FLAVOR_NAME]
        loader = flavor[pyfunc.MAIN]
        if loader != LOADER:
            raise ValueError(f"its loader is {loader}")
        framework = flavor["config"]["framework"]
        data = folder / FRAMEWORKS[framework].model_data
        return SavedModel(framework, data, hashlib.sha256((folder / "MLmodel").read_bytes()).hexdigest()[:16])
    except (MlflowException, OSError, KeyError, TypeError) as error:
        raise ValueError(f"it can't be read: {error}") from error


def _checked(row: int, text: object) -> str:
    """Return a text that can be read; row: its number, from 0."""
    if not isinstance(text, str):
        problem = "is missing" if text is None or text != text else f"is {text!r:.50}"
        raise MlflowException(f"the text in row {row} {problem}; give a string", INVALID_PARAMETER_VALUE)
    if len(text) > LONGEST_TEXT:
        problem = f"the text in row {row} has {len(text):,} characters; split it: {LONGEST_TEXT:,} are the most"
        raise MlflowException(problem, INVALID_PARAMETER_VALUE)
    return text


def _load_pyfunc(path: str, model_config: Mapping[str, Any]) -> TextToEntities:
    """Load the model; MLflow calls this with the path of the flavor's data and what `write_model` put beside it."""
    loader = importlib.import_module(FRAMEWORKS[model_config["framework"]].loader)
    return TextToEntities(loader.load(Path(path)))


def _copy_modules(to: Path, *modules: str) -> Path:
    """Copy modules of this package, all that they import of it, and the data beside them; return the copied package."""
    package = Path(__file__).parent
    needed: set[Path] = set()
    waiting = set(modules)
    while waiting:
        place = package.parent.joinpath(*waiting.pop().split("."))
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if file in needed or not file.is_file():  # what is imported from a module may be a function
            continue
        needed.add(file)
        waiting |= _imports(file)
    for folder in {file.parent for file in needed}:
        data = (path for path in folder.iterdir() if path.is_file() and path.suffix not in (".py", ".pyc"))
        parents = (parent / "__init__.py" for parent in (folder, *folder.parents) if parent.is_relative_to(package))
        needed |= {*data, *parents}
    for file in needed:
        copy = to / file.relative_to(package.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return to / package.name


def _write_entry_points(to: Path) -> Path:
    """Write the metadata by which packages such as spaCy find what the copied modules register; return its folder."""
    folder = to / "twinner-0.dist-info"
    folder.mkdir()
    text = "".join(framework.entry_points for framework in FRAMEWORKS.values())
    (folder / "entry_points.txt").write_text(text, encoding="utf-8")
    return folder


def _imports(file: Path) -> set[str]:
    """The absolute imports in a file, wherever they stand, except those for type checkers alone."""
    found = set()
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        waiting += ast.iter_child_nodes(node)
    return found
