"""Train spaCy's NER on a corpus and track it: `python steps/spacy_train.py --drop-rate 0.3 --epochs 10`."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from twinner import cli
from twinner.corpus import Corpus
from twinner.frameworks.contract import Epoch
from twinner.frameworks.spacy.checkpoint import Checkpoint
from twinner.frameworks.spacy.config import language_of
from twinner.frameworks.spacy.trainer import SpacyTrainer
from twinner.tracking import write as tracking
from twinner.training.resume import finished_epochs, settings_to_go_on
from twinner.training.run import Result, train_and_track


def spacy_train(
    corpus: str = "demo",
    test: str = "",
    lang: str = "auto",
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
    init: str = "",
    resume: str = "",
    log_text: Literal["yes", "no"] = "yes",
    export: str = "",
) -> Result:
    """Train a spaCy NER pipeline and track it in MLflow."""
    settings = locals()
    finished: Sequence[Epoch] = ()
    if resume:
        defaults = {name: parameter.default for name, parameter in inspect.signature(spacy_train).parameters.items()}
        settings = settings_to_go_on("spacy_train", settings, defaults)
        finished = finished_epochs(resume)
    if settings["config"] and settings["lang"] == "auto":
        settings["lang"] = language_of(settings["config"])
    own = ("drop_rate", "epochs", "lr", "batch_size", "patience", "seed", "config", "vectors")
    with TemporaryDirectory(prefix="twinner-init-") as folder:

        def make_trainer(read: Corpus, run_id: str) -> SpacyTrainer:
            return SpacyTrainer(
                read.lang,
                **{name: settings[name] for name in own},
                init=spacy_model(settings["init"], Path(folder)) if settings["init"] else "",
                log_text=settings["log_text"] == "yes",
                checkpoint=Checkpoint(run_id),
            )

        result = train_and_track("spacy_train", settings, make_trainer, finished)
    Checkpoint(result.run_id).remove()
    return result


def spacy_model(name: str, folder: Path) -> str:
    """The local folder of a spaCy model: of a model in MLflow, fetched to `folder`, or of a folder that holds one."""
    place = tracking.download_model(name, folder) if name.startswith(("runs:/", "models:/")) else Path(name)
    for part in ("model.spacy", "model/model.spacy"):  # as MLflow and as `export` write it
        if (place / part).is_dir():
            return str(place / part)
    return str(place)


if __name__ == "__main__":
    cli.run(spacy_train)
