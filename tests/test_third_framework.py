"""A third framework is one folder, one row in the table, one step and one entry point: this test adds one."""

import json
import shutil
from pathlib import Path

import mlflow
import pytest
from users import NOT_THE_PROJECT, PROJECT, User, small_corpus  # type: ignore[import-not-found]

TRAINER = '''
"""Looks entities up in the list of those that it was trained on."""

import spacy
from spacy.tokens import Doc

from twinner.evaluation import dev_scores
from twinner.frameworks.contract import Epoch, Prediction


class GazetteerTrainer:
    framework = "gazetteer"
    training_data = "memory"
    processes = 1
    versions = {"spacy": spacy.__version__}
    save_options = {}
    requirements = ()

    def train(self, train, dev, on_epoch):
        found = {
            (label, sentence.tokens[start:end]) for sentence in train for start, end, label in sentence.entities
        }
        self._nlp = spacy.blank("xx")
        self._nlp.add_pipe("entity_ruler").add_patterns(
            [{"label": label, "pattern": [{"TEXT": token} for token in tokens]} for label, tokens in sorted(found)]
        )
        labels = {label for label, _ in found}
        scores = dev_scores([s.tags for s in dev], [p.tags for p in self.predict(dev)], labels)
        on_epoch(Epoch(1, 0.0, 0.2, 0.1, scores))
        return 1

    def save(self, folder):
        self._nlp.to_disk(folder / "gazetteer")

    def load(self, folder):
        self._nlp = spacy.load(folder / "gazetteer")

    def predict(self, sentences):
        docs = (self._nlp(Doc(self._nlp.vocab, words=s.tokens)) for s in sentences)
        return [
            Prediction(tuple(f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else "O" for t in doc)) for doc in docs
        ]

    def tokens(self, texts):
        return [tuple(token.text for token in self._nlp.make_doc(text)) for text in texts]

    def pipeline(self):
        return self._nlp

    def close(self):
        pass
'''

ROW = """
FRAMEWORKS["gazetteer"] = Framework(
    title="Gazetteer",
    colour="#117733",
    dark_colour="#66ccaa",
    flavor="spacy",
    model_data="model.spacy",
    loader="twinner.frameworks.spacy.text_entities",
    requirements=("spacy", "threadpoolctl"),
)
"""

STEP = '''
"""Train a gazetteer."""

from typing import Literal

from twinner import cli
from twinner.frameworks.gazetteer.trainer import GazetteerTrainer
from twinner.training.result import Result
from twinner.training.run import train_and_track


def gazetteer_train(
    corpus: str = "demo",
    test: str = "",
    lang: str = "auto",
    epochs: int = 1,
    dev_fraction: float = 0.1,
    test_fraction: float = 0.1,
    limit: int = 0,
    model_name: str = "",
    log_text: Literal["yes", "no"] = "yes",
    export: str = "",
) -> Result:
    """Train a gazetteer and track it in MLflow."""
    return train_and_track("gazetteer_train", locals(), lambda corpus, run_id: GazetteerTrainer())


if __name__ == "__main__":
    cli.run(gazetteer_train)
'''

ENTRY_POINT = """
  gazetteer_train:
    parameters:
      corpus: {type: string, default: demo}
    command: python -s steps/gazetteer_train.py --corpus {corpus}
"""

SERVE = """
import json, sys
import mlflow, pandas
answer = mlflow.pyfunc.load_model(sys.argv[1]).predict(pandas.DataFrame({"text": [sys.argv[2]]}))
print(json.dumps([[dict(entity) for entity in row] for row in answer["entities"]], default=int))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a third framework, which uses the flavor of another one."""
    folder = tmp_path_factory.mktemp("third") / "twinner"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(*NOT_THE_PROJECT))
    package = folder / "steps" / "twinner" / "frameworks"
    (package / "gazetteer").mkdir()
    (package / "gazetteer" / "__init__.py").write_text("")
    (package / "gazetteer" / "trainer.py").write_text(TRAINER)
    with (package / "__init__.py").open("a") as table:
        table.write(ROW)
    (folder / "steps" / "gazetteer_train.py").write_text(STEP)
    with (folder / "MLproject").open("a") as entry_points:
        entry_points.write(ENTRY_POINT)
    return folder


@pytest.mark.slow
def test_a_third_framework_is_trained_tracked_served_used_and_reported(project: Path, tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path / "corpus")
    (tmp_path / "user").mkdir()
    user = User(tmp_path / "user", tmp_path / "cache")
    user.mlflow_run(project, "gazetteer_train", {"corpus": str(corpus)})
    [training] = user.runs()
    assert training.info.status == "FINISHED"
    assert training.data.tags["twinner.framework"] == "gazetteer"
    assert training.data.metrics["test_f1"] > 0.3
    assert training.data.metrics["best_dev_f1"] > 0.3

    # A drug of the training data, in a process that does not know the project.
    drug = next(line.split("\t")[0] for line in (corpus / "train.conll").read_text().splitlines() if "B-DRUG" in line)
    model = f"runs:/{training.info.run_id}/model"
    answer = user.run("python", "-c", SERVE, model, f"Er nimmt {drug} ein")
    [[entity]] = json.loads(answer.stdout.splitlines()[-1])
    assert entity == {"start": 9, "end": 9 + len(drug), "label": "DRUG", "text": drug, "score": 1.0}

    (tmp_path / "texts.txt").write_text(f"Er nimmt {drug} ein\n\n", encoding="utf-8")
    found = tmp_path / "found.jsonl"
    user.mlflow_run(project, "predict", {"model": model, "input": str(tmp_path / "texts.txt"), "output": str(found)})
    rows = [json.loads(line) for line in (found / "entities" / "part-00000.jsonl").read_text().splitlines()]
    assert [row["entities"] for row in rows] == [[entity], []]

    user.mlflow_run(project, "report", {"output": str(tmp_path / "report.html")})
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "1 training run: 1 finished" in page
    assert "<bdi>Gazetteer</bdi>" in page
    assert "#117733" in page
    assert "#66ccaa" in page
    assert mlflow.MlflowClient(user.store).search_runs(["0"], "tags.`twinner.step` = 'report'")
