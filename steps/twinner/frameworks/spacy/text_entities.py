"""Find entities in raw text with a saved spaCy model; imported where the model is served."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import spacy
from threadpoolctl import ThreadpoolController

from twinner.frameworks.spacy.confidence import entity_confidence, with_confidence
from twinner.frameworks.spacy.ops import numpy_products

ENCODER = "twinner.WithEncoder"  # in the config of a pipeline with `twinner.frameworks.spacy.encoder`


def load(path: Path) -> Callable[[Sequence[str]], list[list[dict[str, Any]]]]:
    """Load a model saved by MLflow's spaCy flavor.

    Returns a function from n texts to n lists of entities, each with `start`, `end` (exclusive, in characters of the
    text), `label` and `score`, its probability.
    """
    if ENCODER in (path / "config.cfg").read_text(encoding="utf-8"):
        import twinner.frameworks.spacy.encoder  # noqa: F401  # registers the layer
    with numpy_products():  # as in training, so that the scores are those of the evaluation
        nlp = spacy.load(path)
    blas = ThreadpoolController().select(user_api="blas")

    def entities(texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        # More threads would only wait for each other; and the vocabulary would grow with every text.
        with blas.limit(limits=1), nlp.memory_zone():
            return [
                [
                    {
                        "start": entity.start_char,
                        "end": entity.end_char,
                        "label": entity.label_,
                        "score": entity_confidence(tokens[entity.start : entity.end]),
                    }
                    for entity in doc.ents
                ]
                for doc, tokens in with_confidence(nlp, texts)
            ]

    return entities
