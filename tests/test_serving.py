import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from twinner.frameworks import FRAMEWORKS
from twinner.serving import REQUIREMENTS
from twinner.training.result import Result

TEXTS = [
    "In Bad Aibling traf Béla niemanden .",
    "In Köln traf Ivo niemanden .",
    "Heute regnet es .",
    "",
    "  In   Köln traf Ivo niemanden .",
]


@pytest.fixture
def served(spacy_run: Result, tracked: mlflow.MlflowClient) -> Any:
    return mlflow.pyfunc.load_model(f"runs:/{spacy_run.run_id}/model")


def test_served_model_matches_spacy(served: Any, spacy_run: Result, tracked: mlflow.MlflowClient) -> None:
    nlp = mlflow.spacy.load_model(f"runs:/{spacy_run.run_id}/model")
    predictions = served.predict(pd.DataFrame({"text": TEXTS}))
    assert list(predictions.columns) == ["entities"]
    found = [[(e["start"], e["end"], e["label"], e["text"]) for e in row] for row in predictions["entities"]]
    assert found == [[(e.start_char, e.end_char, e.label_, e.text) for e in nlp(text).ents] for text in TEXTS]


def test_offsets_are_characters_with_exclusive_end(served: Any) -> None:
    entities = served.predict(pd.DataFrame({"text": TEXTS}))["entities"]
    assert [(e["start"], e["end"], e["text"], e["label"]) for e in entities[0]] == [
        (3, 14, "Bad Aibling", "LOC"),
        (20, 24, "Béla", "PER"),
    ]
    assert [e["text"] for e in entities[1]] == ["Köln", "Ivo"]
    assert list(entities[2:4]) == [[], []]
    assert all(text[e["start"] : e["end"]] == e["text"] for text, row in zip(TEXTS, entities, strict=True) for e in row)


def test_model_has_signature_and_flavours(served: Any) -> None:
    assert served.metadata.get_input_schema().to_dict() == [{"type": "string", "name": "text", "required": True}]
    assert [column["name"] for column in served.metadata.get_output_schema().to_dict()] == ["entities"]
    assert {"spacy", "python_function"} <= served.metadata.flavors.keys()


def test_requirements_are_pinned(exported: Path) -> None:
    requirements = (exported / "model" / "requirements.txt").read_text().split()
    assert sorted(line.split("==")[0] for line in requirements) == ["mlflow", "pandas", "spacy"]
    assert all("==" in line for line in requirements)


def test_input_example_can_be_predicted(served: Any, exported: Path) -> None:
    example = json.loads((exported / "model" / "serving_input_example.json").read_text(encoding="utf-8"))
    frame = pd.DataFrame(**example["dataframe_split"])
    assert len(served.predict(frame)) == 1
    assert served.input_example.equals(frame)


def test_exported_model_loads_outside_the_project(exported: Path, tmp_path: Path) -> None:
    program = """import json, sys, mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
print(json.dumps(list(model.predict(pandas.DataFrame({"text": [sys.argv[2]]}))["entities"][0])))"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(exported / "model"), TEXTS[0]],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [e["text"] for e in json.loads(done.stdout)] == ["Bad Aibling", "Béla"]


LOAD_WITH_REQUIREMENTS_ALONE = """
import importlib, re, sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

def normal(name):
    return re.sub("[-_.]+", "-", re.match(r"[\\w.-]+", name)[0]).lower()

required, todo = set(), [normal(name) for name in sys.argv[2:]]
while todo:
    name = todo.pop()
    if name not in required:
        required.add(name)
        try:
            todo += [normal(entry) for entry in requires(name) or [] if "extra ==" not in entry]
        except PackageNotFoundError:  # for another platform
            pass
installed = packages_distributions()

class RefuseAllElse:
    def find_spec(self, name, path=None, target=None):
        distributions = {normal(d) for d in installed.get(name, [])}
        if distributions and not distributions & required:
            raise ModuleNotFoundError(f"{name} is not among the requirements")

sys.meta_path.insert(0, RefuseAllElse())
import twinner.serving
importlib.import_module(sys.argv[1])
"""


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_served_model_imports_nothing_but_its_requirements(framework: str) -> None:
    row = FRAMEWORKS[framework]
    command = [sys.executable, "-c", LOAD_WITH_REQUIREMENTS_ALONE, row.loader, *REQUIREMENTS, *row.requirements]
    steps = Path(__file__).resolve().parent.parent / "steps"
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(steps)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
