import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
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


def entities(served: Any, text: object, **params: Any) -> list[dict[str, Any]]:
    frame = pd.DataFrame({"text": [text]}, dtype=object)  # pandas's own strings hold no halves of characters
    found: list[dict[str, Any]] = served.predict(frame, params=params or None)["entities"][0]
    return found


def test_entities_have_a_score_unless_it_is_not_wanted(served: Any) -> None:
    scored = entities(served, TEXTS[0])
    assert all(0 < entity["score"] <= 1 for entity in scored)
    assert entities(served, TEXTS[0], scores=False) == [entity | {"score": None} for entity in scored]


def test_entities_can_be_selected_by_label_and_score(served: Any) -> None:
    scored = entities(served, TEXTS[0])
    assert entities(served, TEXTS[0], labels=["PER"]) == [entity for entity in scored if entity["label"] == "PER"]
    assert entities(served, TEXTS[0], labels=["XYZ"]) == []
    lower, higher = sorted(scored, key=lambda entity: entity["score"])
    assert lower["score"] < higher["score"]
    assert entities(served, TEXTS[0], min_score=higher["score"]) == [higher]
    assert entities(served, TEXTS[0], min_score=higher["score"], scores=False) == [higher | {"score": None}]


ODD_TEXTS = ["", " ", "\x00", "\ud800", "\ud83d und Béla .", "a" * 100_000, "😀 Béla .", "\u202eBéla"]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_odd_texts_are_answered(served: Any, text: str) -> None:
    for entity in entities(served, text):
        assert entity["text"] == text[entity["start"] : entity["end"]] != ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "the text in row 0 is missing; give a string"),
        (float("nan"), "the text in row 0 is missing; give a string"),
        ("a" * 1_000_001, "the text in row 0 has 1,000,001 characters; split it: 1,000,000 are the most"),
    ],
)
def test_what_is_no_text_is_refused(served: Any, text: object, problem: str) -> None:
    with pytest.raises(MlflowException, match=problem) as refused:
        entities(served, text)
    assert refused.value.get_http_status_code() == 400


def test_model_has_signature_and_flavours(served: Any) -> None:
    assert served.metadata.get_input_schema().to_dict() == [{"type": "string", "name": "text", "required": True}]
    assert [column["name"] for column in served.metadata.get_output_schema().to_dict()] == ["entities"]
    assert {"spacy", "python_function"} <= served.metadata.flavors.keys()


def test_requirements_are_pinned(exported: Path) -> None:
    requirements = (exported / "model" / "requirements.txt").read_text().split()
    assert sorted(line.split("==")[0] for line in requirements) == ["mlflow", "pandas", "spacy", "threadpoolctl"]
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
