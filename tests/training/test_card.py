"""The model card of a training, and what registering it leaves in the registry."""

import re
from pathlib import Path

import mlflow
import pytest
from spacy_train import spacy_train
from twinner.corpus import Corpus, Sentence, read_corpus
from twinner.evaluation import evaluate
from twinner.evaluation.scores import sentence_counts
from twinner.evaluation.significance import f1_interval
from twinner.frameworks.contract import Prediction
from twinner.training.card import model_card
from twinner.training.result import Result

SETTINGS = {"model_name": "", "corpus": "c", "drop_rate": 0.2, "config": "", "export": "/out", "seed": 0}
METRICS = {
    "best_dev_f1": 0.75,
    "best_epoch": 3.0,
    "test/tokenized_otherwise": 0.0,
    "test/seen_in_train": 0.0,
}


def split(*sentences: tuple[str, str]) -> tuple[Sentence, ...]:
    return tuple(Sentence.from_tokens(tokens.split(), tags.split()) for tokens, tags in sentences)


ANNA, BEN = ("Anna sagt", "B-PER O"), ("Ben sagt", "B-PER O")
ULM, NOTHING = ("in Ulm", "O B-LOC"), ("es regnet", "O O")


def card(
    predicted: str = "B-PER O|O O|O B-LOC|O O",
    name: str = "c",
    settings: dict[str, object] = SETTINGS,
    metrics: dict[str, float] = METRICS,
) -> str:
    """The card of a model trained on Anna and Ulm, and tested on Anna, Ben, Ulm and a sentence without entities."""
    train, test = split(ANNA, ULM), split(ANNA, BEN, ULM, NOTHING)
    corpus = Corpus(name, "de", train, split(ANNA), test, {"train": "a", "dev": "b", "test": "c"})
    predictions = [Prediction(tuple(tags.split())) for tags in predicted.split("|")]
    evaluation = evaluate(train, test, [prediction.tags for prediction in predictions], corpus.labels)
    scores = evaluation.metrics | METRICS | metrics
    return model_card("r1", "spacy", settings, corpus, train, predictions, evaluation, scores)


def test_tells_scores_with_intervals_from_the_reports_bootstrap() -> None:
    text = card()
    gold = [tags.split() for _, tags in (ANNA, BEN, ULM, NOTHING)]
    predicted = [tags.split() for tags in ("B-PER O", "O O", "O B-LOC", "O O")]
    intervals = {label: f1_interval([sentence_counts(gold, predicted, label)]) for label in ("", "PER", "LOC")}
    told = {label: f"{one.low:.4f} to {one.high:.4f}" for label, one in intervals.items() if one}
    assert len(told) == 3
    assert f"- F1 on test: 0.8000, 95 % interval {told['']} (precision 1.0000, recall 0.6667;" in text
    assert "- F1 on dev: 0.7500 (of epoch 3, the best one, whose model this is)" in text
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in text.splitlines() if line.startswith("|")]
    assert ["LOC", "1 *", "1.0000", "1.0000", "1.0000", told["LOC"]] in rows
    assert ["PER", "2 *", "1.0000", "0.5000", "0.6667", told["PER"]] in rows
    assert "fewer than 30 mentions" in text


def test_tells_recall_on_seen_and_unseen_entities() -> None:
    seen, unseen = "of the 2 entities whose text was seen", "of the 1 entities whose text was not seen"
    assert f"1.0000 {seen} in training; 0.0000 {unseen} in training" in card()
    assert f"0.5000 {seen} in training; 1.0000 {unseen} in training" in card("O O|B-PER O|O B-LOC|O O")


def test_tells_the_data_and_the_settings_that_matter() -> None:
    text = card()
    train, test = split(ANNA, ULM), split(ANNA, BEN, ULM, NOTHING)
    corpus = Corpus("c", "de", train, split(ANNA), test, {})
    assert f"digest of train and dev `{corpus.digest}`, of test `{corpus.test_digest}`" in text
    assert "`train` 2 sentences, 4 words, 2 entities; `dev` 1 sentences, 2 words, 1 entities; `test` 4 sent" in text
    assert "spaCy finds entities of 2 types (LOC, PER) in text (language `de`)." in text
    settings = text.partition("## Settings\n\n")[2].partition("\n\n")[0]
    assert settings.splitlines() == ["- drop_rate: `0.2`", "- seed: `0`"]


def test_tells_how_to_serve_a_registered_name() -> None:
    serve = 'mlflow models serve -m "$uri" --port 5001 --env-manager uv'
    assert f"    uri=models:/NAME/VERSION\n    uri=runs:/r1/model\n    {serve}\n" in card()
    assert "    uri=models:/ner/VERSION\n" in card(settings={**SETTINGS, "model_name": "ner"})
    assert "    uri='models:/my ner/VERSION'\n" in card(settings={**SETTINGS, "model_name": "my ner"})


def test_tells_limits_that_the_scores_show() -> None:
    assert "% of the test sentences" not in card()
    assert "- 12.5% of the test sentences are also in train." in card(metrics={"test/seen_in_train": 0.125})
    assert "it splits 25.0% of the test sentences otherwise." in card(metrics={"test/tokenized_otherwise": 0.25})
    assert "It gives no confidence." in card()


def test_the_title_has_the_last_part_of_a_path_and_the_score() -> None:
    assert card(name="/data/my corpus/").splitlines()[0] == "# spaCy on my corpus: F1 0.800"
    assert card(name="https://example.org/eng.train").splitlines()[0] == "# spaCy on eng.train: F1 0.800"


def test_odd_names_break_no_markup() -> None:
    text = card(name="a|b\n# c <script>")
    assert text.splitlines()[0] == "# spaCy on a\\|b # c &lt;script>: F1 0.800"


@pytest.fixture(scope="module")
def words(small_corpus: Path) -> set[str]:
    corpus = read_corpus(str(small_corpus))
    words = {token for part in (corpus.train, corpus.dev, corpus.test) for one in part for token in one.tokens}
    assert words > {"Anna", "Oslo"}
    return {word for word in words if len(word) > 3 and word[0].isupper()}


def test_a_card_holds_no_text_of_the_corpus(
    textless_run: Result, spacy_run: Result, words: set[str], tracked: mlflow.MlflowClient
) -> None:
    for run in (textless_run, spacy_run):
        text = mlflow.artifacts.load_text(f"runs:/{run.run_id}/model_card.md")
        assert "F1 on test" in text
        assert {word for word in words if re.search(rf"\b{word}\b", text)} == set()


def test_the_version_has_card_scores_and_digests(spacy_run: Result, tracked: mlflow.MlflowClient) -> None:
    (version,) = tracked.search_model_versions("name = 'small-ner'")
    run = tracked.get_run(spacy_run.run_id)
    assert version.run_id == spacy_run.run_id
    assert version.description == mlflow.artifacts.load_text(f"runs:/{spacy_run.run_id}/model_card.md")
    assert "models:/small-ner/VERSION" in version.description
    names = ("twinner.framework", "twinner.corpus", "twinner.corpus_digest", "twinner.test_digest")
    assert version.tags == {name: run.data.tags[name] for name in names} | {
        "twinner.run_id": spacy_run.run_id,
        "twinner.best_dev_f1": f"{spacy_run.metrics['best_dev_f1']:.4f}",
        "twinner.test_f1": f"{spacy_run.metrics['test_f1']:.4f}",
    }


def train(corpus: Path) -> tuple[mlflow.MlflowClient, mlflow.entities.Run]:
    result = spacy_train(corpus=str(corpus), epochs=1, batch_size=100, model_name="ner")
    client = mlflow.MlflowClient()
    return client, client.get_run(result.run_id)


def test_a_file_store_registers_where_mlflow_does(
    small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    client, run = train(small_corpus)
    assert run.data.tags["twinner.registered"] == "ner"
    assert [version.run_id for version in client.search_model_versions("name = 'ner'")] == [run.info.run_id]
    assert mlflow.pyfunc.load_model("models:/ner/1").metadata.run_id == run.info.run_id


def test_without_a_registry_the_model_is_logged_and_the_run_says_so(
    small_corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "s3://bucket/models")
    _, run = train(small_corpus)
    assert run.info.status == "FINISHED"
    assert run.data.tags["twinner.registered"] == "no: the store has no registry"
    printed = capsys.readouterr().out
    assert "\nThe store has no registry: the model will be logged, not registered as ner.\n" in printed
    assert mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").metadata.run_id == run.info.run_id
