"""The outline of a training: read, train, save, reload, predict, evaluate, write to disk, send to MLflow."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tqdm import tqdm

from twinner import serving
from twinner.corpus import Corpus, Sentence, word_count
from twinner.errors import Failure
from twinner.evaluation import Evaluation, entity_scores, evaluate
from twinner.frameworks.contract import Epoch, Prediction, Trainer
from twinner.machine import describe_machine, installed_packages
from twinner.parameters import check_parameters
from twinner.phases import Phases, phase, timed_phases
from twinner.secrets import refuse_secrets
from twinner.terminal import printable
from twinner.tracking.address import where_to_look
from twinner.tracking.registry import MODEL_CARD, check_model_name
from twinner.tracking.store import check_store
from twinner.tracking.tags import PRUNED, SWEEP, TESTED
from twinner.tracking.write import TrackedRun, tracked_run
from twinner.training.card import model_card
from twinner.training.export import check_export, export_results
from twinner.training.memory import PeakMemory
from twinner.training.outputs import write_outputs
from twinner.training.result import Result
from twinner.training.trial import Pruned, current_trial, read_corpus_of

MakeTrainer = Callable[[Corpus, str], Trainer]  # from the corpus and the id of the run


def train_and_track(
    step: str, settings: Mapping[str, Any], make_trainer: MakeTrainer, finished: Sequence[Epoch] = ()
) -> Result:
    """Run a whole training as one MLflow run, nested if it is called inside another run.

    step: the name of the entry point. settings: the parameters of the step by name, as they will be logged.
    make_trainer: creates the framework's trainer. finished: the epochs of the resumed run (`resume` in settings).
    Errors: BadInput, before the run is opened for a parameter that can't be used. Undelivered if not everything
    arrived in MLflow; it is then in a folder that the error names, for `sync` to deliver.
    """
    check_parameters(settings)
    refuse_secrets(settings)
    check_store()
    check_model_name(settings["model_name"])
    export = check_export(settings["export"])
    keep_text = settings["log_text"] == "yes"
    sweep = settings.get("sweep", "")
    with (
        timed_phases() as phases,
        tracked_run(step, settings.get("resume", ""), keep_text, in_background=True) as run,
        PeakMemory() as memory,
    ):
        run.log_params(settings)
        artifacts, model = run.journal.artifacts, run.journal.model
        with phase("read"):
            corpus = read_corpus_of(settings)
        train = corpus.train[: settings["limit"] or None]
        run.log_corpus(corpus, training_size=len(train))
        run.log_code()
        if sweep:
            run.set_tags({SWEEP: sweep})
        _print_sample(corpus, train)
        trainer = make_trainer(corpus, run.run_id)
        try:
            run.log_framework(trainer)
            with phase("train"):
                epochs, best_epoch, training_time = _train(
                    trainer, train, corpus.dev, settings["epochs"], run, finished
                )
            run.log_params({"training_data": trainer.training_data})
            with phase("save"):
                trainer.save(artifacts)
                if not current_trial():
                    trainer.load(artifacts)
                run.journal.add("trained", best_epoch)
            with phase("infer"):
                dev_scores = _dev_scores(trainer, corpus, epochs[best_epoch - 1], run)
                update_seconds = sum(epoch.update_seconds for epoch in epochs)
                metrics = {
                    **{f"best_{name}": dev_scores[name] for name in ("dev_precision", "dev_recall", "dev_f1")},
                    "best_epoch": float(best_epoch),
                    "training_time": training_time,
                    "train_words_per_second": len(epochs) * word_count(train) / update_seconds,
                    "peak_memory_mb": memory.megabytes,
                }
                was_trial = run.tags.get(TESTED) == "no"
                if was_trial:
                    _check_score_of_trial(run, metrics["best_dev_f1"])
                if current_trial():
                    run.set_tags({TESTED: "no"})
                    run.log_metrics(metrics, 0)  # those of results belong to a model, too
                    return Result(run.run_id, epochs, metrics, dev_scores, {})
                predictions, test_time = _timed_predictions(trainer, corpus.test)
            with phase("evaluate"):
                evaluation, tokenized_otherwise = _evaluate(trainer, train, corpus, predictions)
                title = f"{trainer.framework} on {corpus.name}"
                write_outputs(artifacts, title, corpus, predictions, evaluation, epochs, best_epoch, keep_text)
            metrics |= {
                **evaluation.metrics,
                "test_time": test_time,
                "test_words_per_second": word_count(corpus.test) / test_time,
                "test/tokenized_otherwise": tokenized_otherwise,
                "test/seen_in_train": corpus.test_seen_in_train,
                "peak_memory_mb": memory.megabytes,
            }
            card = model_card(run.run_id, trainer.framework, settings, corpus, train, predictions, evaluation, metrics)
            (artifacts / MODEL_CARD).write_text(card, encoding="utf-8")
            with phase("log"):
                serving.write_model(model, trainer, corpus.test[0].text if keep_text else None)
                if was_trial:
                    run.set_tags({TESTED: "yes"})
                run.log_results(metrics, settings["model_name"], card)
                if export:
                    export_results(export, artifacts, model)
        finally:
            trainer.close()
        _print_summary(run, settings["model_name"] or run.model_uri, corpus, len(train), metrics, evaluation, phases)
    return Result(run.run_id, epochs, metrics, dev_scores, evaluation.metrics)


def _train(
    trainer: Trainer,
    train: Sequence[Sentence],
    dev: Sequence[Sentence],
    epochs: int,
    run: TrackedRun,
    finished: Sequence[Epoch],
) -> tuple[list[Epoch], int, float]:
    """Train under a progress bar and track each epoch; return all epochs, the best one's number, and their seconds."""
    done = list(finished)
    trial = current_trial()
    for epoch in finished:
        run.log_epoch(epoch)  # the resumed run may have been stopped before they arrived
    with tqdm(total=epochs, initial=len(done), unit="epoch", desc=f"training {trainer.framework}") as bar:

        def on_epoch(epoch: Epoch) -> None:
            if len(done) == len(finished):  # only now have all libraries chosen their kernels and threads
                run.log_machine(describe_machine(trainer.processes))
            done.append(epoch)
            run.log_epoch(epoch)
            score = "dev_f1" if "dev_f1" in epoch.scores else "dev_token_f1"
            bar.set_postfix_str(f"loss={epoch.loss:.1f}, {score}={epoch.scores[score]:.3f}", refresh=False)
            bar.update()
            if trial and epoch.number < epochs and not trial.go_on(epoch):
                run.set_tags({PRUNED: str(epoch.number)})
                raise Pruned(f"pruned after epoch {epoch.number}")

        installed_packages()  # `describe_machine` wants them, and they would take training time
        began = time.perf_counter()
        best_epoch = trainer.train(train, dev, on_epoch)
        seconds = time.perf_counter() - began
    seconds += sum(epoch.seconds for epoch in finished)
    return done, best_epoch, max(seconds, sum(epoch.seconds for epoch in done))  # more if a training was only reloaded


def _dev_scores(trainer: Trainer, corpus: Corpus, best: Epoch, run: TrackedRun) -> Mapping[str, float]:
    """The dev scores of the best epoch; its entity scores are computed and logged here if the framework gave none."""
    if "dev_f1" in best.scores:
        return best.scores
    predicted = [prediction.tags for prediction in trainer.predict(corpus.dev, confidence=False)]
    scores = entity_scores([sentence.tags for sentence in corpus.dev], predicted, corpus.labels)
    run.log_metrics(scores, best.number)
    return {**best.scores, **scores}


def _check_score_of_trial(run: TrackedRun, dev_f1: float) -> None:
    """Raise Failure if the loaded model does not have the dev F1 that the run had as a trial."""
    before = run.metrics.get("best_dev_f1", dev_f1)
    if dev_f1 != before:
        problem = f"the saved model has a dev_f1 of {dev_f1}, and the trial had {before}"
        raise Failure(f"{problem}: its files have changed since then, or the processor has")


def _timed_predictions(trainer: Trainer, sentences: Sequence[Sentence]) -> tuple[list[Prediction], float]:
    """The predictions, and the seconds that they took."""
    began = time.perf_counter()
    predictions = trainer.predict(sentences)
    return predictions, time.perf_counter() - began


def _evaluate(
    trainer: Trainer, train: Sequence[Sentence], corpus: Corpus, predictions: Sequence[Prediction]
) -> tuple[Evaluation, float]:
    """Score the predictions on test, and find the share of test sentences that the pipeline tokenizes differently."""
    with ThreadPoolExecutor(max_workers=1) as beside:  # the tokenizer may run in Java meanwhile
        pipeline_tokens = beside.submit(trainer.tokens, [sentence.text for sentence in corpus.test])
        known = [each.entity_confidence for each in predictions if each.entity_confidence is not None]
        evaluation = evaluate(
            train,
            corpus.test,
            [prediction.tags for prediction in predictions],
            corpus.labels,
            known if len(known) == len(predictions) else None,
        )
        pairs = zip(corpus.test, pipeline_tokens.result(), strict=True)
        return evaluation, sum(sentence.tokens != tokens for sentence, tokens in pairs) / len(corpus.test)


def _print_sample(corpus: Corpus, train: Sequence[Sentence]) -> None:
    """Print the sizes and three sentences as read, so that a misread corpus is noticed before the training."""
    sizes = f"{len(train)} train, {len(corpus.dev)} dev, {len(corpus.test)} test"
    print(printable(f"{corpus.name} ({corpus.lang}): {sizes} sentences"))
    print(printable(f"labels: {', '.join(corpus.labels)}"))
    with_entities = [sentence for sentence in train if sentence.entities] or list(train)
    for sentence in with_entities[:3]:
        entities = [f"{' '.join(sentence.tokens[start:end])} [{label}]" for start, end, label in sentence.entities]
        print(f"  {printable(' '.join(sentence.tokens))}")
        print(f"    → {printable('; '.join(entities)) or 'no entities'}")


def _print_summary(
    run: TrackedRun,
    model: str,
    corpus: Corpus,
    training_size: int,
    metrics: Mapping[str, float],
    evaluation: Evaluation,
    phases: Phases,
) -> None:
    """Print the report by tag, and what identifies the run and its model."""
    print("\n".join(map(printable, evaluation.token_report.splitlines())), end="\n\n")
    lines = {
        "model": model,
        "run": run.run_id,
        "experiment": run.experiment_id,
        "sentences": f"{training_size} train, {len(corpus.dev)} dev, {len(corpus.test)} test",
        "time": f"{metrics['training_time']:.1f} s training, {metrics['test_time']:.1f} s test",
        "phases": str(phases),
        "test F1": f"{metrics['test_f1']:.4f} (entities, strict; epoch {metrics['best_epoch']:.0f})",
        "look": where_to_look(run.experiment_id, run.run_id),
    }
    for name, value in lines.items():
        print(f"{name:<11}{value}")
