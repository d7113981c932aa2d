"""The splits of a corpus as MLflow datasets."""

import json
from pathlib import Path

from mlflow.data.dataset_source import DatasetSource
from mlflow.data.dataset_source_registry import get_dataset_source_from_json
from mlflow.data.meta_dataset import MetaDataset
from mlflow.types.schema import Array, ColSpec, DataType, Schema

from twinner.corpus import Corpus, Sentence, digest, word_count
from twinner.secrets import mask_secrets

SCHEMA = Schema(
    [ColSpec(Array(DataType.string), name="tokens"), ColSpec(Array(DataType.string), name="tags")],
)
TEXTS_SCHEMA = Schema([ColSpec(DataType.string, name="text")])
LONGEST_NAME = 100  # characters


class SplitDataset(MetaDataset):
    """A split of a corpus as MLflow stores it: digest, source, schema and sizes, but none of its text."""

    def __init__(self, corpus: Corpus, split: str) -> None:
        """split: `train`, `dev` or `test`."""
        self._sentences: tuple[Sentence, ...] = getattr(corpus, split)
        name = f"{Path(corpus.name).name}-{split}"[-LONGEST_NAME:]
        super().__init__(_source(corpus.sources[split]), name, digest(self._sentences), SCHEMA)

    @property
    def profile(self) -> dict[str, int]:
        """The number of sentences, tokens and entities."""
        return {
            "sentences": len(self._sentences),
            "tokens": word_count(self._sentences),
            "entities": sum(len(sentence.entities) for sentence in self._sentences),
        }

    def to_dict(self) -> dict[str, str]:
        """The fields that MLflow stores."""
        return super().to_dict() | {"profile": json.dumps(self.profile)}


class TextsDataset(MetaDataset):
    """Texts that a model has predicted, as MLflow stores them: digest, source and number, but none of the text."""

    def __init__(self, place: str, digest: str, texts: int) -> None:
        """place: a path or a URI. texts: how many they are."""
        self._texts = texts
        super().__init__(_source(place), Path(place).name[-LONGEST_NAME:], digest, TEXTS_SCHEMA)

    @property
    def profile(self) -> dict[str, int]:
        """The number of texts."""
        return {"texts": self._texts}

    def to_dict(self) -> dict[str, str]:
        """The fields that MLflow stores."""
        return super().to_dict() | {"profile": json.dumps(self.profile)}


def dataset_inputs(corpus: Corpus) -> dict[str, dict[str, str]]:
    """The splits of a corpus as MLflow stores them, by context: `train`, `dev` and `test`."""
    return {split: SplitDataset(corpus, split).to_dict() for split in ("train", "dev", "test")}


def _source(place: str) -> DatasetSource:
    """The source of a dataset, from a path or a URL."""
    place = mask_secrets(place)
    kind = "http" if place.startswith(("http://", "https://")) else "local"
    if kind == "local" and "://" not in place:
        place = Path(place).absolute().as_uri()
    return get_dataset_source_from_json(json.dumps({"url" if kind == "http" else "uri": place}), source_type=kind)
