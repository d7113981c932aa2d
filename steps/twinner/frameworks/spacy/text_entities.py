"""Find entities in raw text with a saved spaCy model; imported where the model is served."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import spacy

ENCODER = "twinner.WithEncoder"  # in the config of a pipeline with `twinner.frameworks.spacy.encoder`


def load(path: Path) -> Callable[[Sequence[str]], list[list[dict[str, Any]]]]:
    """Load a model saved by MLflow's spaCy flavor.

    Returns a function from n texts to n lists of entities, each with `start`, `end` (exclusive, in characters of the
    text), `label` and `text`.
    """
    if ENCODER in (path / "config.cfg").read_text(encoding="utf-8"):
        import twinner.frameworks.spacy.encoder  # noqa: F401  # registers the layer
    nlp = spacy.load(path)

    def entities(texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        return [
            [{"start": e.start_char, "end": e.end_char, "label": e.label_, "text": e.text} for e in doc.ents]
            for doc in nlp.pipe(texts)
        ]

    return entities
