"""Names of embeddings with layers, such as `minilm:3+6`."""

import re
from dataclasses import dataclass
from pathlib import Path

from twinner.errors import BadInput

HUB = "hf:"  # before the name of a model on the Hugging Face hub
LAYERS = re.compile(r"(?P<source>.+?):(?P<layers>[^:/\\]*)")


@dataclass(frozen=True)
class EncoderName:
    """A name as the parameter `embeddings` takes it.

    source: `minilm`, `e5`, `hf:ORG/MODEL`, a folder, or any other name. layers: those whose vectors stand side by side,
    0 for the input embeddings; empty if the name has none.
    """

    source: str
    layers: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return the name as it was given."""
        return f"{self.source}:{'+'.join(map(str, self.layers))}" if self.layers else self.source


def parse_name(name: str) -> EncoderName:
    """Split a name into its source and its layers.

    Errors: BadInput for layers that are no whole numbers joined by `+`, or that repeat.
    """
    prefix = HUB if name.startswith(HUB) else ""
    match = LAYERS.fullmatch(name.removeprefix(prefix))
    if match is None or Path(name).expanduser().is_dir():
        return EncoderName(name)
    layers = match["layers"].split("+")
    if not all(re.fullmatch(r"[0-9]{1,4}", layer) for layer in layers):
        raise BadInput(f"embeddings={name}: {match['layers']!r} names no layers", "write them as in minilm:3+6")
    numbers = tuple(map(int, layers))
    if len(set(numbers)) < len(numbers):
        raise BadInput(f"embeddings={name}: a layer is named twice", "name each layer once")
    return EncoderName(prefix + match["source"], numbers)
