"""With log_text=no, no text of the corpus leaves the machine: every artifact, the model and every tag are searched."""

import random
from pathlib import Path

import mlflow
import pyarrow.parquet as pq
import pytest
from spacy_train import spacy_train
from twinner.errors import BadInput

PROJECT = Path(__file__).resolve().parents[2]


def invented_words(split: str, count: int) -> list[str]:
    """Words that stand in this split and nowhere else."""
    rule = random.Random(split)
    syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
    return ["".join(rule.choices(syllables, k=5)).title() for _ in range(count)]


@pytest.fixture(scope="module")
def secret_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus in which every entity and every other word is invented."""
    folder = tmp_path_factory.mktemp("secret")
    for split, size in {"train": 40, "dev": 10, "test": 10}.items():
        names, words = invented_words(split, size), invented_words(f"{split} words", size)
        sentences = [f"{name}\tB-PER\n{word}\tO\n" for name, word in zip(names, words, strict=True)]
        (folder / f"{split}.conll").write_text("\n".join(sentences), encoding="utf-8")
    return folder


def words_of(corpus: Path, split: str) -> set[str]:
    lines = (corpus / f"{split}.conll").read_text(encoding="utf-8").splitlines()
    return {line.split("\t")[0] for line in lines if line}


def found_in(folder: Path, words: set[str]) -> dict[str, list[str]]:
    """The words that the files below a folder hold, by file, in any case and encoding that a file may have."""
    found: dict[str, list[str]] = {}
    for file in (path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        if file.suffix == ".parquet":  # compressed
            content += repr(pq.read_table(file).to_pylist()).encode()
        lower = content.lower()
        hits = [w for w in words if w.lower().encode() in lower or w.lower().encode("utf-16-le") in lower]
        if hits:
            found[str(file.relative_to(folder))] = hits
    return found


def everything_logged(run_id: str, folder: Path) -> Path:
    """Download all artifacts of a run, its model, and its params and tags as a file."""
    mlflow.artifacts.download_artifacts(run_id=run_id, dst_path=str(folder / "artifacts"))
    mlflow.artifacts.download_artifacts(f"runs:/{run_id}/model", dst_path=str(folder / "model"))
    run = mlflow.get_run(run_id)
    (folder / "run.txt").write_text(repr(run.to_dictionary()), encoding="utf-8")
    return folder


def test_nothing_of_dev_and_test_is_logged(secret_corpus: Path, tmp_path: Path) -> None:
    result = spacy_train(corpus=str(secret_corpus), epochs=2, log_text="no", export=str(tmp_path / "exported"))
    logged = everything_logged(result.run_id, tmp_path / "logged")
    for split in ("dev", "test"):
        assert found_in(logged, words_of(secret_corpus, split)) == {}
        assert found_in(tmp_path / "exported", words_of(secret_corpus, split)) == {}
    # What a model carries of its training data is its vocabulary, and nothing else holds any of it.
    in_files = found_in(logged, words_of(secret_corpus, "train"))
    assert {Path(file).name for file in in_files} <= {"strings.json"}


def test_with_text_the_model_holds_nothing_of_dev_and_test_either(secret_corpus: Path, tmp_path: Path) -> None:
    result = spacy_train(corpus=str(secret_corpus), epochs=1)
    uri = f"runs:/{result.run_id}/model/model.spacy"
    model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path)))
    assert found_in(model, words_of(secret_corpus, "train"))
    for split in ("dev", "test"):
        assert found_in(model, words_of(secret_corpus, split)) == {}


@pytest.mark.parametrize("log_text", ["yes", "no"])
def test_stored_errors_quote_the_corpus_only_if_text_may_be_logged(log_text: str, tmp_path: Path) -> None:
    file = tmp_path / "ragged.conll"
    file.write_text("Bonaventura\tB-PER\n\nLeverkusen O O O\n", encoding="utf-8")
    with pytest.raises(BadInput, match="Leverkusen"):  # the terminal shows it
        spacy_train(corpus=str(file), log_text=log_text)  # type: ignore[arg-type]
    [run] = mlflow.MlflowClient().search_runs(["0"])
    assert run.info.status == "FAILED"
    assert run.data.tags["twinner.error"].startswith(f"{file}:3: ")
    assert ("Leverkusen" in run.data.tags["twinner.error"]) == (log_text == "yes")


def test_stored_errors_of_a_library_leave_out_its_message(small_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("can't tag 'Leverkusen'")

    monkeypatch.setattr("twinner.training.run.write_outputs", fail)
    with pytest.raises(ValueError, match="Leverkusen"):
        spacy_train(corpus=str(small_corpus), epochs=1, limit=20, log_text="no")
    [run] = mlflow.MlflowClient().search_runs(["0"])
    error = run.data.tags["twinner.error"]
    kept = f"the training is kept: resume={run.info.run_id} finishes it"
    assert error == f"ValueError: its message is not stored, as log_text is no; {kept}"
    assert "Leverkusen" not in error
