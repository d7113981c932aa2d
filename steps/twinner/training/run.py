"""The one outline of a training: read, train, save, load back, predict, evaluate, log."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from twinner import charts, serving
from twinner.corpus import Corpus, Sentence, read_corpus
from twinner.errors import BadInput
from twinner.evaluation.scores import Evaluation, entity_scores, evaluate
from twinner.frameworks.contract import Epoch, Prediction, Trainer
from twinner.pages.errors_page import errors_page
from twinner.parameters import check_parameters
from twinner.phases import Phases, phase, timed_phases
from twinner.tracking.write import TrackedRun, tracked_run, where_to_look
from twinner.training.memory import PeakMemory

LARGEST_DATA = 50_000_000  # bytes of corpus that are logged with a run


@dataclass(frozen=True)
class Result:
    """What a training gives back: the id of its run, its final metrics and its epochs."""

    run_id: str
    metrics: Mapping[str, float]
    epochs: Sequence[Epoch]


def train_and_track(
    step: str,
    settings: Mapping[str, Any],
    make_trainer: Callable[[Corpus, str], Trainer],
    finished: Sequence[Epoch] = (),
) -> Result:
    """Run a whole training as one MLflow run.

    step: the entry point's name. settings: the step's parameters by name, as they will be logged.
    make_trainer: makes the framework's trainer once the corpus (and so its language) and the run's id are known.
    finished: the epochs that the run to go on with (`resume` in settings) has behind it.
    Errors: BadInput before the run is opened for a parameter out of range, within it for anything else.
    """
    check_parameters(settings)
    with (
        timed_phases() as phases,
        tracked_run(step, settings.get("resume", "")) as run,
        PeakMemory() as memory,
        tempfile.TemporaryDirectory(prefix="twinner-") as temporary,
        ThreadPoolExecutor(max_workers=1) as beside,
    ):
        outputs = Path(temporary)
        run.log_params(settings)
        export = _export_folder(settings["export"])
        with phase("read"):
            corpus = read_corpus(
                settings["corpus"],
                settings["test"],
                settings["lang"],
                settings["dev_fraction"],
                settings["test_fraction"],
            )
        train = corpus.train[: settings["limit"] or None]
        run.log_corpus(corpus, trained_on=len(train))
        _show(corpus, train)
        trainer = make_trainer(corpus, run.run_id)
        try:
            run.log_framework(trainer)
            with phase("train"):
                epochs, best_epoch, training_time = _train(
                    trainer, train, corpus.dev, settings["epochs"], run, finished
                )
            with phase("save"):
                trainer.save(outputs)
                trainer.load(outputs)
            with phase("infer"):
                _score_dev_once(trainer, corpus, epochs, best_epoch, run)
                began = time.perf_counter()
                predictions = trainer.predict(corpus.test)
                test_time = time.perf_counter() - began
            with phase("evaluate"):
                texts = [sentence.text for sentence in corpus.test]
                pipeline_tokens = beside.submit(trainer.tokens, texts)  # which may keep another process busy
                evaluation = evaluate(train, corpus.test, [p.tags for p in predictions], corpus.labels)
                title = f"{trainer.framework} on {corpus.name}"
                keep_text = settings["log_text"] == "yes"
                _write_outputs(outputs, title, corpus, predictions, evaluation, keep_text)
                charts.draw_training_charts(
                    [epoch.loss for epoch in epochs], [epoch.scores for epoch in epochs], outputs, title, best_epoch
                )
                found = pipeline_tokens.result()
                differing = sum(s.tokens != tokens for s, tokens in zip(corpus.test, found, strict=True))
            with phase("log"):
                run.log_outputs(outputs)
                serving.write_model(outputs / "model", trainer, corpus.test[0].text if keep_text else None)
                model_uri = run.log_model(outputs / "model", settings["model_name"])
                if export:
                    _export(export, outputs)
            update_seconds = sum(epoch.update_seconds for epoch in epochs)
            metrics = evaluation.metrics | {
                "training_time": training_time,
                "test_time": test_time,
                "train_words_per_second": _words(train) * len(epochs) / update_seconds,
                "test_words_per_second": _words(corpus.test) / test_time,
                "peak_memory_mb": memory.megabytes,
                "best_epoch": float(best_epoch),
                "test_tokenized_otherwise": differing / len(corpus.test),
            }
            run.log_results(metrics)
        finally:
            trainer.close()
    _tell(run, settings["model_name"] or model_uri, corpus, len(train), metrics, evaluation, phases)
    return Result(run.run_id, metrics, epochs)


def _train(
    trainer: Trainer,
    train: Sequence[Sentence],
    dev: Sequence[Sentence],
    epochs: int,
    run: TrackedRun,
    finished: Sequence[Epoch],
) -> tuple[list[Epoch], int, float]:
    """Train under a progress bar, each epoch tracked as it ends; the epochs, the best one, and the seconds of all."""
    done = list(finished)
    for epoch in finished:
        run.log_epoch(epoch)  # its metrics may have been on their way
    with tqdm(total=epochs, initial=len(done), unit="epoch", desc=f"training {trainer.framework}") as bar:

        def on_epoch(epoch: Epoch) -> None:
            done.append(epoch)
            run.log_epoch(epoch)
            score = "dev_f1" if "dev_f1" in epoch.scores else "dev_token_f1"
            bar.set_postfix_str(f"loss={epoch.loss:.1f}, {score}={epoch.scores[score]:.3f}", refresh=False)
            bar.update()

        began = time.perf_counter()
        best_epoch = trainer.train(train, dev, on_epoch)
        seconds = time.perf_counter() - began
    return done, best_epoch, seconds + sum(epoch.seconds for epoch in finished)


def _score_dev_once(
    trainer: Trainer, corpus: Corpus, epochs: Sequence[Epoch], best_epoch: int, run: TrackedRun
) -> None:
    """Log the entity scores of the chosen epoch on dev, where the framework could not give them each epoch."""
    if all("dev_f1" in epoch.scores for epoch in epochs):
        return
    predicted = [prediction.tags for prediction in trainer.predict(corpus.dev)]
    gold = [sentence.tags for sentence in corpus.dev]
    run.log_results(entity_scores(gold, predicted, corpus.labels), step=best_epoch)


def _write_outputs(
    folder: Path,
    title: str,
    corpus: Corpus,
    predictions: Sequence[Prediction],
    evaluation: Evaluation,
    keep_text: bool,
) -> None:
    """Write what the contract calls artifacts, but the charts of the training and the framework's own files."""
    (folder / "classification_report.txt").write_text(evaluation.token_report, encoding="utf-8")
    (folder / "entity_report.json").write_text(
        json.dumps(evaluation.entity_report, ensure_ascii=False, indent=1), encoding="utf-8"
    )
    _write_inference(folder / "inference.parquet", corpus.test, predictions, keep_text)
    gold = [tag for sentence in corpus.test for tag in sentence.tags]
    predicted = [tag for prediction in predictions for tag in prediction.tags]
    charts.draw_confusion(gold, predicted, folder / "confusion.png", title=title)
    if keep_text:
        page = errors_page(corpus.test, predictions, title=title)
        (folder / "errors.html").write_text(page, encoding="utf-8")
        _write_data(folder / "data", corpus)


def _write_inference(
    file: Path, sentences: Sequence[Sentence], predictions: Sequence[Prediction], keep_text: bool
) -> None:
    """Write a row a token: where it stands, what it is, what was predicted, and how sure the model was."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("sentence", "position", "token", "ground_truth", "prediction", "confidence", "scores")
    }
    for number, (sentence, prediction) in enumerate(zip(sentences, predictions, strict=True)):
        count = len(sentence.tokens)
        columns["sentence"] += [number] * count
        columns["position"] += range(count)
        columns["token"] += sentence.tokens if keep_text else [None] * count
        columns["ground_truth"] += sentence.tags
        columns["prediction"] += prediction.tags
        columns["confidence"] += prediction.confidence or [None] * count
        columns["scores"] += [list(scores.items()) for scores in prediction.scores or []] or [None] * count
    schema = pa.schema(
        {
            "sentence": pa.int32(),
            "position": pa.int32(),
            "token": pa.string(),
            "ground_truth": pa.string(),
            "prediction": pa.string(),
            "confidence": pa.float32(),
            "scores": pa.map_(pa.string(), pa.float32()),
        }
    )
    pq.write_table(pa.table(columns, schema=schema), file)


def _write_data(folder: Path, corpus: Corpus) -> None:
    """Write the splits as read, a token and its tag a line; a note instead where they are too large."""
    folder.mkdir(exist_ok=True)  # a trainer may have put its own form of them there
    splits = {"train": corpus.train, "dev": corpus.dev, "test": corpus.test}
    size = 0
    for name, sentences in splits.items():
        file = folder / f"{name}.conll"
        with file.open("w", encoding="utf-8", newline="\n") as out:
            for sentence in sentences:
                out.writelines(f"{token}\t{tag}\n" for token, tag in zip(sentence.tokens, sentence.tags, strict=True))
                out.write("\n")
        size += file.stat().st_size
    if size > LARGEST_DATA:
        shutil.rmtree(folder)
        folder.mkdir()
        note = {
            "why": f"the corpus has {size} bytes; above {LARGEST_DATA} it is not copied into a run",
            "sources": corpus.sources,
            "corpus_digest": corpus.digest,
            "test_digest": corpus.test_digest,
        }
        (folder / "note.json").write_text(json.dumps(note, ensure_ascii=False, indent=1), encoding="utf-8")


def _export_folder(name: str) -> Path | None:
    """The folder to export to, checked before the training: it may be new, empty, or an earlier export."""
    if not name:
        return None
    folder = Path(name).expanduser().absolute()
    if folder.exists() and not (folder / "model" / "MLmodel").exists() and (folder.is_file() or any(folder.iterdir())):
        raise BadInput(f"export={name}: this is not an earlier export", "name a new or an empty folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(dir=folder.parent).cleanup()
    except OSError as error:
        raise BadInput(f"export={name}: {error.strerror}", "name a folder that can be written") from None
    return folder


def _export(folder: Path, outputs: Path) -> None:
    """Copy outputs and model beside the folder, then put them in its place, so that it is never half there."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        new = Path(temporary, "new")
        shutil.copytree(outputs, new)
        if folder.exists():
            folder.rename(Path(temporary, "old"))
        new.rename(folder)


def _words(sentences: Sequence[Sentence]) -> int:
    return sum(len(sentence.tokens) for sentence in sentences)


def _show(corpus: Corpus, train: Sequence[Sentence]) -> None:
    """Print the sizes and three sentences as read, so that a corpus misread is seen before the training."""
    sizes = f"{len(train)} train, {len(corpus.dev)} dev, {len(corpus.test)} test"
    print(f"{corpus.name} ({corpus.lang}): {sizes} sentences")
    print(f"labels: {', '.join(corpus.labels)}")
    telling = [sentence for sentence in train if sentence.entities] or list(train)
    for sentence in telling[:3]:
        print(f"  {' '.join(sentence.tokens)}")
        entities = [f"{' '.join(sentence.tokens[start:end])} [{label}]" for start, end, label in sentence.entities]
        print(f"    → {'; '.join(entities) or 'no entities'}")


def _tell(
    run: TrackedRun,
    model: str,
    corpus: Corpus,
    training_size: int,
    metrics: Mapping[str, float],
    evaluation: Evaluation,
    phases: Phases,
) -> None:
    """Print what a user wants to know when a training has ended."""
    print(evaluation.token_report)
    lines = {
        "model": model,
        "run": run.run_id,
        "experiment": run.experiment_id,
        "sentences": f"{training_size} train, {len(corpus.dev)} dev, {len(corpus.test)} test",
        "time": f"{metrics['training_time']:.1f} s training, {metrics['test_time']:.1f} s test",
        "phases": str(phases),
        "test F1": f"{metrics['test_f1']:.4f} (entities, strict; epoch {metrics['best_epoch']:.0f})",
        "look": where_to_look(run),
    }
    for name, value in lines.items():
        print(f"{name:<11}{value}")
