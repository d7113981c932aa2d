"""The names of numbered tags, as Hugging Face's `datasets` stores them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from twinner.corpus.lines import numbered_lines
from twinner.corpus.records import is_parquet, parquet_metadata
from twinner.errors import BadInput

_INFO = "dataset_info.json"  # what `save_to_disk` writes
_INFOS = "dataset_infos.json"  # one by name of a configuration, in older repositories
_CARD = "README.md"  # newer repositories have it in the YAML of their card


def class_names(file: Path, column: str) -> list[str]:
    """The names of the numbered tags in a column of a corpus file, in order.

    The first of these that names them: `<column>_names.txt`, a name on each line; the schema of a parquet file;
    dataset_info.json, dataset_infos.json and README.md; all beside the file, the last three also one folder above.
    Errors: BadInput if none does, or if configurations differ.
    """
    own = file.with_name(f"{column}_names.txt")
    if own.is_file():
        return [line.strip() for _, line in numbered_lines(own) if line.strip()]
    for source, features in _described(file):
        names = {tuple(found) for each in features if (found := _names_of(each, column))}
        if len(names) > 1:
            problem = f"{source} names the tags of {column!r} differently for different configurations"
            raise BadInput(problem, f"write their names to {own}, one on each line", file)
        if names:
            return list(names.pop())
    problem = f"the tags in {column!r} are numbers, and nothing says what they mean"
    remedy = (
        f"write their names to {own}, one on each line from number 0, or put the data set's {_INFO} beside the file"
    )
    raise BadInput(problem, remedy, file)


def _described(file: Path) -> Iterator[tuple[Path, list[Any]]]:
    """Yield each place that describes the columns of a file, with a description by configuration."""
    if is_parquet(file):
        info = _json(parquet_metadata(file).get(b"huggingface", b"{}").decode(errors="replace"))
        yield file, [_at(info, "info", "features")]
    for folder in (file.parent, file.parent.parent):
        if (info_file := folder / _INFO).is_file():
            yield info_file, [_at(_json(_read(info_file)), "features")]
        if (infos_file := folder / _INFOS).is_file():
            infos = _json(_read(infos_file))
            yield infos_file, [_at(info, "features") for info in (infos.values() if isinstance(infos, dict) else ())]
        if (card := folder / _CARD).is_file() and (
            header := re.match(r"---\s*\n(.*?\n)---\s*\n", _read(card), re.DOTALL)
        ):
            infos = _at(_yaml(header[1]), "dataset_info")
            yield card, [_at(info, "features") for info in (infos if isinstance(infos, list) else [infos])]


def _read(file: Path) -> str:
    return "".join(f"{line}\n" for _, line in numbered_lines(file))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # a file of that name need not be what `datasets` wrote
        return None


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _names_of(features: Any, column: str) -> list[str]:
    """The names of a column's classes in a description of columns: JSON by name, or YAML as a list."""
    if isinstance(features, list):
        features = {feature.get("name"): feature for feature in features if isinstance(feature, dict)}
    feature = features.get(column) if isinstance(features, dict) else None
    while isinstance(feature, (dict, list)):
        if isinstance(feature, list):  # a list of what its one item describes
            feature = feature[0] if len(feature) == 1 else None
        elif names := _listed(feature.get("names")):
            return names
        else:
            inner = ("feature", "sequence", "list", "class_label", "dtype")
            feature = next((feature[key] for key in inner if isinstance(feature.get(key), (dict, list))), None)
    return []


def _listed(names: Any) -> list[str]:
    """Names as a list, or by number as in YAML; empty if they are neither."""
    if isinstance(names, dict):
        names = [names.get(key) for key in map(str, range(len(names)))]
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []
