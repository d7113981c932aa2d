"""The logged model: native to its framework, and a pyfunc from text to entities, so that MLflow can serve it.

MLflow's spaCy flavor adds a pyfunc for text categorizers only, and its Spark flavor starts no Spark NLP session.
The model carries this package, so that it loads outside the project.
"""

import importlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow import pyfunc
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Object, Property, Schema

from twinner.frameworks import FRAMEWORKS

if TYPE_CHECKING:  # its imports are not among the requirements of a served model
    from twinner.frameworks.contract import Trainer

REQUIREMENTS = ("mlflow", "pandas")  # of this module
ENTITY = Object(
    [
        Property("start", DataType.long),  # in characters of the text
        Property("end", DataType.long),  # exclusive
        Property("label", DataType.string),
        Property("text", DataType.string),
    ]
)
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, name="text")]),
    outputs=Schema([ColSpec(Array(ENTITY), name="entities")]),
)


def write_model(folder: Path, trainer: "Trainer", example: str | None) -> None:
    """Write the trainer's pipeline to a new folder in MLflow's format.

    example: a text to store as the input example; None where no text of the corpus may leave the machine.
    """
    framework = FRAMEWORKS[trainer.framework]
    native = importlib.import_module(f"mlflow.{framework.flavor}")
    if hasattr(native, "_HadoopFileSystem"):
        native._HadoopFileSystem._filesystem = None  # else MLflow uses the one of an earlier session, which may be gone
    model = Model()
    native.save_model(
        trainer.pipeline(),
        path=str(folder),
        mlflow_model=model,
        code_paths=[str(Path(__file__).parent)],
        pip_requirements=[f"{package}=={version(package)}" for package in (*REQUIREMENTS, *framework.requirements)],
        signature=SIGNATURE,
        input_example=None if example is None else pd.DataFrame({"text": [example]}),
        **trainer.save_options,
    )
    pyfunc.add_to_model(
        model,
        loader_module="twinner.serving",
        data=framework.model_data,
        code="code",
        conda_env="conda.yaml",
        python_env="python_env.yaml",
        model_config={"framework": trainer.framework},
    )
    model.save(str(folder / "MLmodel"))


def save_model(path: str, mlflow_model: Model, written: Path, validate_serving_input: bool = False) -> None:
    """Copy a model that `write_model` has written, for `Model.log`, which knows its id and run.

    validate_serving_input: for `Model.log`, which would otherwise load the model once more to try its input example.
    """
    shutil.copytree(written, path, dirs_exist_ok=True)
    saved = Model.load(str(written))
    for name in ("flavors", "signature", "saved_input_example_info", "model_size_bytes"):
        setattr(mlflow_model, name, getattr(saved, name))
    mlflow_model.save(str(Path(path, "MLmodel")))


class TextToEntities:
    """What `mlflow.pyfunc.load_model` gives: rows of `text` in, rows of `entities` out."""

    def __init__(self, entities_of_texts: Callable[[Sequence[str]], list[list[dict[str, Any]]]]) -> None:
        """entities_of_texts: a function from n texts to n lists of entities."""
        self._entities_of_texts = entities_of_texts

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the entities of each text: start and end (in characters, end exclusive), label and text."""
        return pd.DataFrame({"entities": self._entities_of_texts([str(text) for text in model_input["text"]])})


def _load_pyfunc(path: str, model_config: Mapping[str, Any]) -> TextToEntities:
    """Load the model; MLflow calls this with the path of the flavor's data and what `write_model` put beside it."""
    loader = importlib.import_module(FRAMEWORKS[model_config["framework"]].loader)
    return TextToEntities(loader.load(Path(path)))
