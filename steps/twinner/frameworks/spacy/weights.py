"""The weights of a pipeline, by names that are the same in every process."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from thinc.api import Model
from thinc.backends import get_array_ops

UNSEEN = "unseen_classes"  # labels that the NER has not met yet: a layer's attribute, which spaCy does not save


def weights_of(nlp: Language) -> dict[str, NDArray[Any]]:
    """Return copies of the weights of all components, by names that are the same in every process."""
    weights = {}
    for place, layer in _layers(nlp):
        for param in layer.param_names:
            if layer.has_param(param):
                weights[f"{place}/{param}"] = to_numpy(layer.get_param(param)).copy()
        for number, shim in enumerate(layer.shims):
            weights[f"{place}/shim {number}"] = np.frombuffer(shim.to_bytes(), dtype=np.uint8)
        if UNSEEN in layer.attrs:
            weights[f"{place}/{UNSEEN}"] = np.array(sorted(layer.attrs[UNSEEN]), dtype=np.int64)
    return weights


def set_weights(nlp: Language, weights: Mapping[str, NDArray[Any]]) -> None:
    """Set the weights of all components to what `weights_of` returned for the same pipeline."""
    for place, layer in _layers(nlp):
        for param in layer.param_names:
            if layer.has_param(param):
                layer.set_param(param, layer.ops.asarray(weights[f"{place}/{param}"]))
        for number, shim in enumerate(layer.shims):
            shim.from_bytes(weights[f"{place}/shim {number}"].tobytes())
        if UNSEEN in layer.attrs:
            layer.attrs[UNSEEN] = set(weights[f"{place}/{UNSEEN}"].tolist())


def has_shims(nlp: Language) -> bool:
    """Whether there are layers of another library, such as PyTorch: loading their bytes may run code."""
    return any(layer.shims for _, layer in _layers(nlp))


def trainable(nlp: Language) -> list[tuple[str, Any]]:
    """Return the names and components that have weights."""
    return [(name, pipe) for name, pipe in nlp.pipeline if getattr(pipe, "is_trainable", False)]


def _layers(nlp: Language) -> Iterator[tuple[str, Model]]:
    """Yield the layers of all components with their place, which is the same in every process, unlike their ids."""
    for name, pipe in trainable(nlp):
        for number, layer in enumerate(pipe.model.walk()):
            yield f"{name}/{number}", layer


def optimizer_keys(nlp: Language) -> dict[str, tuple[int, str]]:
    """The optimizer's key of each parameter, by the names of `weights_of`."""
    return {f"{place}/{param}": (layer.id, param) for place, layer in _layers(nlp) for param in layer.param_names}


def to_numpy(value: Any) -> NDArray[Any]:
    """Copy arrays of any device, and numbers, to NumPy."""
    return np.asarray(value) if isinstance(value, int) else get_array_ops(value).to_numpy(value)


def shapes(weights: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of the arrays that `weights_of` returned, those aside that shrink in training."""
    return {name: array.shape for name, array in weights.items() if not name.endswith(UNSEEN)}
