"""From what the user gave as a corpus to the files to read."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from twinner.cache import cache_folder
from twinner.corpus.download import fetch, without_password
from twinner.corpus.named import NAMED, PROJECT, named_file
from twinner.errors import BadInput

SPLITS = {  # split -> the words of a file's name that say so, as in eng.testa or de-train.conll
    "train": {"train", "training"},
    "dev": {"dev", "val", "valid", "validation", "testa"},
    "test": {"test", "testb"},
}


@dataclass(frozen=True)
class Source:
    """A local file, and the path or URL that it came from."""

    file: Path
    origin: str


def find_sources(corpus: str, test: str = "") -> tuple[dict[str, Source], str]:
    """The files of a corpus by split (`train` always, `dev` and `test` if it has them), and its language or `xx`.

    corpus: a known name, a file, a folder, or a URL. test: a file or URL that takes the place of the test split.
    Errors: BadInput for what is none of these, and for a folder without train or with two files for a split.
    """
    lang = "xx"
    if corpus in NAMED:
        lang = NAMED[corpus].lang
        found = {
            split: Source(*named_file(corpus, split))
            for split in NAMED[corpus].files
            if not (split == "test" and test)  # not downloaded in vain
        }
    elif (path := _local(corpus)).is_dir():
        found = _in_folder(path, skip="test" if test else "")
    else:
        found = {"train": Source(path, without_password(corpus) if _is_url(corpus) else str(path))}
    if test:
        path = _local(test)
        if path.is_dir():
            raise BadInput(f"test={test!r} is a folder", "give one file", path)
        found["test"] = Source(path, without_password(test) if _is_url(test) else str(path))
    return found, lang


def _is_url(given: str) -> bool:
    return given.lower().startswith(("http://", "https://", "file://"))


def _local(given: str) -> Path:
    """The local file or folder of a path or URL. A URL is downloaded once and then found in the cache."""
    if _is_url(given):
        address = urlsplit(given)
        if address.scheme.lower() != "file":
            name = re.sub(r"[^\w.-]", "_", unquote(address.path).rpartition("/")[2])[-80:] or "corpus"
            key = hashlib.sha256(given.encode()).hexdigest()[:12]
            remedy = "check the URL, or fetch it by hand and give the file instead"
            return fetch(given, cache_folder("corpora", "urls", key) / name, remedy)
        candidates = [Path(url2pathname(address.path))]
    else:
        path = Path(given).expanduser()
        candidates = [PROJECT / path, Path.cwd() / path]  # a path that is absolute stays as it is
    for candidate in candidates if given else []:
        try:
            if candidate.exists():
                return candidate
        except (OSError, ValueError):  # too long for a file name, or a zero byte in it
            break
    remedy = f"give a known name ({', '.join(NAMED)}), a file, a folder or a URL"
    if not (_is_url(given) or Path(given).is_absolute()):
        remedy += "; relative paths start at the project folder, so make the path absolute"
    raise BadInput(f"no corpus, file or folder is called {given!r}", remedy)


def _in_folder(folder: Path, skip: str) -> dict[str, Source]:
    """The files of a folder by split, as their names tell; `skip` names a split that is not wanted."""
    found: dict[str, Source] = {}
    for file in sorted(folder.iterdir()):
        words = set(re.split(r"[._-]", file.name.lower()))
        splits = [split for split, names in SPLITS.items() if words & names]
        if file.name.startswith(".") or not splits or splits == [skip] or not file.is_file():
            continue
        if len(splits) > 1:
            problem = f"the file {file.name!r} could be {' or '.join(splits)}"
            raise BadInput(problem, "rename it, or give the files by corpus and test", folder)
        if splits[0] in found:
            problem = f"{found[splits[0]].file.name!r} and {file.name!r} could both be {splits[0]}"
            raise BadInput(problem, "keep one of them, or give the files by corpus and test", folder)
        found[splits[0]] = Source(file, str(file))
    if "train" not in found:
        raise BadInput("the folder has no train file", "name one train.*, as in train.conll", folder)
    return found
