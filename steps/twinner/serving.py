"""The logged model: native to its framework, and a pyfunc from text to entities, so that MLflow can serve it.

MLflow's own spaCy flavor makes a pyfunc of text categorizers only, and its Spark one knows no Spark NLP session.
The model carries this package, so that it loads where the project is not.
"""

import importlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow import pyfunc
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Object, Property, Schema

if TYPE_CHECKING:
    from twinner.training.trainer import Trainer

REQUIREMENTS = ("mlflow", "pandas")  # of this module
ENTITY = Object(
    [
        Property("start", DataType.long),  # characters into the text
        Property("end", DataType.long),  # behind the last character
        Property("label", DataType.string),
        Property("text", DataType.string),
    ]
)
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, name="text")]),
    outputs=Schema([ColSpec(Array(ENTITY), name="entities")]),
)


def save_model(
    path: str, mlflow_model: Model, trainer: "Trainer", example: str | None, validate_serving_input: bool = False
) -> None:
    """Save the trainer's pipeline in MLflow's format; `Model.log` and `export` call this.

    example: a text to show what goes in, or None where no text of the corpus may leave the machine.
    validate_serving_input: for `Model.log`, which would load the model once more to warn if it does not serve.
    """
    native = importlib.import_module(f"mlflow.{trainer.flavor}")
    native.save_model(
        trainer.pipeline(),
        path=path,
        mlflow_model=mlflow_model,
        code_paths=[str(Path(__file__).parent)],
        pip_requirements=[f"{package}=={version(package)}" for package in (*REQUIREMENTS, *trainer.requirements)],
        signature=SIGNATURE,
    )
    if example is not None:
        content = json.dumps({"dataframe_split": {"columns": ["text"], "data": [[example]]}}, ensure_ascii=False)
        Path(path, "serving_input_example.json").write_text(content, encoding="utf-8")
        Path(path, "input_example.json").write_text(
            json.dumps({"columns": ["text"], "data": [[example]]}, ensure_ascii=False), encoding="utf-8"
        )
        mlflow_model.saved_input_example_info = {
            "artifact_path": "input_example.json",
            "serving_input_path": "serving_input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        }
    data = next(name for name in LOADERS if Path(path, name).exists())
    pyfunc.add_to_model(
        mlflow_model,
        loader_module="twinner.serving",
        data=data,
        code="code",
        conda_env="conda.yaml",
        python_env="python_env.yaml",
    )
    mlflow_model.save(str(Path(path, "MLmodel")))


class TextToEntities:
    """What `mlflow.pyfunc.load_model` gives: rows of `text` in, rows of `entities` out."""

    def __init__(self, model: Any, entities: Any) -> None:
        """model: the framework's; entities: the function that asks it about a list of texts."""
        self._model = model
        self._entities = entities

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """The entities of each text: start and end (characters, end exclusive), label and text."""
        texts = [str(text) for text in model_input["text"]]
        return pd.DataFrame({"entities": self._entities(self._model, texts)})


def _load_spacy(path: Path) -> TextToEntities:
    import spacy

    def entities(nlp: Any, texts: list[str]) -> list[list[dict[str, Any]]]:
        return [
            [{"start": e.start_char, "end": e.end_char, "label": e.label_, "text": e.text} for e in doc.ents]
            for doc in nlp.pipe(texts)
        ]

    return TextToEntities(spacy.load(path), entities)


def _load_spark(path: Path) -> TextToEntities:
    from pyspark.ml import PipelineModel

    from twinner.spark_session import spark_session
    from twinner.training.text_entities import text_entities

    spark_session()
    return TextToEntities(PipelineModel.load(path.as_uri()), text_entities)


LOADERS = {"model.spacy": _load_spacy, "sparkml": _load_spark}  # the folder that a flavor writes -> its loader


def _load_pyfunc(path: str) -> TextToEntities:
    return LOADERS[Path(path).name](Path(path))
