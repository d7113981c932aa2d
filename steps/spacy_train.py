"""Train spaCy's NER on a corpus and track it: `python steps/spacy_train.py --drop-rate 0.3 --epochs 10`."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from twinner import cli
from twinner.parameters import check_parameters
from twinner.portable import check_portable

if TYPE_CHECKING:
    from twinner.training.result import Result

TRAINER_SETTINGS = ("drop_rate", "epochs", "lr", "batch_size", "patience", "seed", "config", "vectors", "embeddings")


def spacy_train(
    corpus: str = "demo",
    test: str = "",
    lang: str = "auto",
    tag_column: str = "",
    drop_rate: float = 0.2,
    epochs: int = 20,
    lr: float = 0.001,
    batch_size: int = 1000,
    dev_fraction: float = 0.1,
    test_fraction: float = 0.1,
    patience: int = 0,
    limit: int = 0,
    seed: int = 0,
    model_name: str = "",
    config: str = "",
    vectors: str = "",
    embeddings: str = "",
    init: str = "",
    resume: str = "",
    sweep: str = "",
    reuse: Literal["yes", "no"] = "no",
    portable: Literal["yes", "no"] = "no",
    log_text: Literal["yes", "no"] = "yes",
    export: str = "",
) -> "Result":
    """Train a spaCy NER pipeline and track it in MLflow."""
    settings = locals()
    check_parameters(settings)

    # Imports take seconds: help, refused values and reused results don't wait for those that they don't need.
    from twinner.training.reuse import reused_result

    if result := reused_result("spacy_train", settings):
        return result

    from twinner.corpus import Corpus
    from twinner.frameworks.contract import Epoch
    from twinner.frameworks.spacy.checkpoint import Checkpoint, new_checkpoint, resumed_checkpoint
    from twinner.frameworks.spacy.config import config_language
    from twinner.frameworks.spacy.trainer import SpacyTrainer
    from twinner.temporary import remove_folder, temporary_folder
    from twinner.tracking.store import check_store
    from twinner.training.resume import resumed_settings
    from twinner.training.run import train_and_track
    from twinner.training.trial import current_trial

    check_store()
    is_trial = current_trial() is not None  # its checkpoint stays, as `resume` will score it on test
    with ExitStack() as stack:
        resumed: Checkpoint | None = None
        finished: Sequence[Epoch] = ()
        if resume:
            settings = resumed_settings(spacy_train, settings)
            resumed = stack.enter_context(resumed_checkpoint(resume, keep=is_trial))
            finished = state.epochs if (state := resumed.load()) else ()
        if settings["portable"] == "yes":
            check_portable(settings["embeddings"])
        if settings["config"] and settings["lang"] == "auto":
            settings["lang"] = config_language(settings["config"])
        folder = temporary_folder("init")
        stack.callback(remove_folder, folder)

        def make_trainer(read: Corpus, run_id: str) -> SpacyTrainer:
            return SpacyTrainer(
                read.lang,
                **{name: settings[name] for name in TRAINER_SETTINGS},
                init=spacy_model(settings["init"], folder) if settings["init"] else "",
                log_text=settings["log_text"] == "yes",
                checkpoint=resumed or stack.enter_context(new_checkpoint(run_id, keep=is_trial)),
            )

        return train_and_track("spacy_train", settings, make_trainer, finished)


@contextmanager
def shared(_: object) -> Iterator[None]:
    """Import what all trainings in the block need."""
    import twinner.frameworks.spacy.trainer
    import twinner.training.run  # noqa: F401

    yield


def spacy_model(name: str, folder: Path) -> str:
    """Return the local folder of a spaCy model: a model in MLflow is downloaded to `folder`, any other is a folder."""
    from twinner.tracking.registry import download_model

    place = download_model(name, folder, "init") if name.startswith(("runs:/", "models:/")) else Path(name)
    for part in ("model.spacy", "model/model.spacy"):  # as MLflow and as `export` write it
        if (place / part).is_dir():
            return str(place / part)
    return str(place)


if __name__ == "__main__":
    cli.run(spacy_train)
