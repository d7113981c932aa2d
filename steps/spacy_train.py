"""Train spaCy's NER on a corpus and track it: `python steps/spacy_train.py --drop-rate 0.3 --epochs 10`."""

from typing import Literal

from twinner import cli
from twinner.errors import BadInput
from twinner.training.outline import Result, train_and_track
from twinner.training.spacy import SpacyTrainer


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
    for name in ("init", "resume"):
        if settings[name]:
            raise BadInput(f"{name} is {settings[name]!r}", f"this version has no {name}: leave it empty")
    return train_and_track(
        "spacy_train",
        settings,
        lambda read: SpacyTrainer(read.lang, drop_rate, epochs, lr, batch_size, patience, seed, config, vectors),
    )


if __name__ == "__main__":
    cli.run(spacy_train)
