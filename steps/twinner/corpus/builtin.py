"""Corpora that are known by name: the demo in the repository, and two that are downloaded."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from twinner.cache import cache_folder
from twinner.corpus.conll import read_conll
from twinner.corpus.download import download
from twinner.corpus.sentence import word_count
from twinner.errors import BadInput
from twinner.source_code import PROJECT

_CONLL2003 = "https://raw.githubusercontent.com/JohnSnowLabs/spark-nlp/master/src/test/resources/conll2003/"
_MED_DE = (
    "https://raw.githubusercontent.com/nnovakova/spacy-med-domain-ner-de/7c216cce32cdaf285ed3307aaf55b5def319a651/"
)


@dataclass(frozen=True)
class RemoteFile:
    """A file to download, verified by its digest or, if copies differ, by its counts of sentences and tokens."""

    url: str
    sha256: str | None = None
    counts: tuple[int, int] | None = None


@dataclass(frozen=True)
class BuiltinCorpus:
    """A known corpus: its language and, for each of its splits, a file to download or a path in the project."""

    lang: str
    files: Mapping[str, RemoteFile | str]


BUILTIN: Mapping[str, BuiltinCorpus] = {
    "demo": BuiltinCorpus("de", {split: f"data/{split}.conll" for split in ("train", "dev", "test")}),
    "med-de": BuiltinCorpus(
        "de",
        {
            "train": RemoteFile(
                f"{_MED_DE}med-corpus.json", sha256="facf252490cc1606de675e2f43873e3edcd2a27eaae1c5936b64e4d349cc113f"
            )
        },
    ),
    "conll2003": BuiltinCorpus(
        "en",
        {
            "train": RemoteFile(f"{_CONLL2003}eng.train", counts=(14_041, 203_621)),
            "test": RemoteFile(f"{_CONLL2003}eng.testa", counts=(3_250, 51_362)),
        },
    ),
}


def builtin_file(name: str, split: str) -> tuple[Path, str]:
    """The local file of a split of a builtin corpus, downloaded if necessary, and its path or URL.

    TWINNER_CORPORA is the URL of a mirror that holds the files as `<name>/<file>`.
    Errors: BadInput that names the file to download by hand if it can't be downloaded or fails verification.
    """
    remote = BUILTIN[name].files[split]
    if isinstance(remote, str):
        file = PROJECT / remote
        if not file.is_file():
            raise BadInput(f"the corpus {name!r} lacks this file", "restore it from the repository", file)
        return file, str(file)
    base, _, basename = remote.url.rpartition("/")
    if mirror := os.environ.get("TWINNER_CORPORA"):
        base = f"{mirror.rstrip('/')}/{name}"
    option = "test=FILE" if split == "test" else "corpus=FILE"
    remedy = f"download {remote.url} by hand and use {option}"
    check = partial(_check_counts, remote.counts) if remote.counts else None
    file = cache_folder("corpora", name) / basename
    return download(f"{base}/{basename}", file, remedy, remote.sha256, check), remote.url


def _check_counts(expected: tuple[int, int], file: Path) -> None:
    try:
        sentences = read_conll(file).sentences
    except BadInput as error:
        raise ValueError(f"it can't be read: {error.redacted}") from error
    found = len(sentences), word_count(sentences)
    if found != expected:
        raise ValueError(f"it has {found[0]} sentences and {found[1]} tokens, not {expected[0]} and {expected[1]}")
