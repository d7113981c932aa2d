"""Train Spark NLP's NerDL on a corpus and track it: `python steps/sparknlp_train.py --drop-rate 0.3 --epochs 5`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from twinner import cli
from twinner.parameters import check_parameters

if TYPE_CHECKING:
    from twinner.training.result import Result

TRAINER_SETTINGS = ("drop_rate", "lr", "epochs", "batch_size", "seed", "embeddings")
SESSION_SETTINGS = ("spark_master", "driver_memory", "spark_conf")
SMALL = 1_000_000  # bytes: a training on a smaller corpus ends before Java's optimized code has paid off


def sparknlp_train(
    corpus: str = "demo",
    test: str = "",
    lang: str = "auto",
    tag_column: str = "",
    drop_rate: float = 0.5,
    epochs: int = 10,
    lr: float = 0.003,
    batch_size: int = 32,
    dev_fraction: float = 0.1,
    test_fraction: float = 0.1,
    embeddings: str = "word2vec",
    limit: int = 0,
    seed: int = 0,
    model_name: str = "",
    spark_master: str = "local[*]",
    driver_memory: str = "auto",
    spark_conf: str = "",
    embedding_cache: Literal["yes", "no"] = "yes",
    resume: str = "",
    sweep: str = "",
    reuse: Literal["yes", "no"] = "no",
    log_text: Literal["yes", "no"] = "yes",
    export: str = "",
) -> "Result":
    """Train a Spark NLP NER pipeline and track it in MLflow."""
    settings = locals()
    check_parameters(settings)

    # Imports take seconds: help, refused values and reused results don't wait for those that they don't need.
    from twinner.training.reuse import reused_result

    if result := reused_result("sparknlp_train", settings):
        return result

    from twinner.frameworks.sparknlp.trainer import SparkNlpTrainer
    from twinner.spark.session import check_machine, start_session_early
    from twinner.tracking.store import check_store
    from twinner.training.resume import finished_training, resumed_settings
    from twinner.training.run import train_and_track

    check_machine(spark_conf)  # before anything is downloaded
    check_store()  # before Java is started
    finished: Path | None = None
    if resume:
        settings = resumed_settings(sparknlp_train, settings)
        finished = finished_training(resume)
    session = sparknlp_session(settings)
    with start_session_early(*session.values()):  # while the corpus is read
        return train_and_track(
            "sparknlp_train",
            settings,
            lambda read, _: SparkNlpTrainer(
                **{name: settings[name] for name in TRAINER_SETTINGS},
                **session,
                embedding_cache=settings["embedding_cache"] == "yes",
                lang=read.lang,
                finished=finished,
            ),
        )


@contextmanager
def shared(settings: Mapping[str, Any]) -> Iterator[None]:
    """Keep one Spark session for all trainings in the block; settings: of any of them."""
    from twinner.spark.session import spark_session, stop_session

    spark_session(*sparknlp_session(settings).values())
    try:
        yield
    finally:
        stop_session()


def sparknlp_session(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the Spark session of a training."""
    from twinner.spark.settings import optimized

    session = {name: settings[name] for name in SESSION_SETTINGS}
    if not all(_is_small(place) for place in (settings["corpus"], settings["test"]) if place):
        session["spark_conf"] = optimized(session["spark_conf"])
    return session


def _is_small(corpus: str) -> bool:
    if corpus == "demo":
        return True
    place = Path(corpus)
    try:
        files = place.iterdir() if place.is_dir() else [place]
        return 0 < sum(file.stat().st_size for file in files if file.is_file()) < SMALL
    except OSError:  # reading the corpus will say why
        return False


if __name__ == "__main__":
    cli.run(sparknlp_train)
