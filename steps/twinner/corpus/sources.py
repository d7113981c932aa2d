"""From the user's `corpus` and `test` to the files to read."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from twinner.cache import cache_folder
from twinner.corpus.builtin import BUILTIN, PROJECT, builtin_file
from twinner.corpus.download import download, without_password
from twinner.errors import BadInput

SPLITS = {  # split -> words in a file's name that denote it, as in eng.testa or de-train.conll
    "train": {"train", "training"},
    "dev": {"dev", "val", "valid", "validation", "testa"},
    "test": {"test", "testb"},
}


@dataclass(frozen=True)
class Source:
    """A local file and the path or URL that it came from; `downloaded` if that is a URL of the user's."""

    file: Path
    origin: str
    downloaded: bool = False


def find_sources(corpus: str, test: str = "") -> tuple[dict[str, Source], str]:
    """The files of a corpus by split (always `train`; `dev` and `test` if it has them), and its language or `xx`.

    corpus: a known name, a file, a folder, or a URL. test: a file or URL that replaces the test split.
    Errors: BadInput if it is none of these, or a folder without train or with two files for one split.
    """
    lang = "xx"
    if corpus in BUILTIN:
        lang = BUILTIN[corpus].lang
        found = {
            split: Source(*builtin_file(corpus, split))
            for split in BUILTIN[corpus].files
            if not (split == "test" and test)  # saves a download
        }
    elif (source := _find(corpus)).file.is_dir():
        found = _files_by_split(source.file, skip="test" if test else "")
    else:
        found = {"train": source}
    if test:
        found["test"] = _find(test)
        if found["test"].file.is_dir():
            raise BadInput(f"test={test!r} is a folder", "give one file", found["test"].file)
    return found, lang


def _find(given: str) -> Source:
    """The local file or folder of a path or URL. A URL is downloaded once and then found in the cache."""
    candidates: list[Path] = []
    is_url = given.lower().startswith(("http://", "https://", "file://"))
    try:
        if is_url:
            url = urlsplit(given)
            if url.scheme != "file":
                return _download(given, url.path)
            candidates = [Path(url2pathname(url.path))]
        elif given:
            path = Path(given).expanduser()
            candidates = [PROJECT / path, Path.cwd() / path]  # an absolute path replaces the folder
        for candidate in candidates:
            if candidate.exists():
                return Source(candidate, without_password(given) if is_url else str(candidate))
    except (OSError, ValueError, RuntimeError):  # a name too long, a zero byte, a malformed URL, no such user's home
        pass
    remedy = f"give a known name ({', '.join(BUILTIN)}), a file, a folder or a URL"
    if not (is_url or Path(given).is_absolute()):
        remedy += "; relative paths start at the project folder, so make the path absolute"
    raise BadInput(f"no corpus, file or folder is called {without_password(given)!r}", remedy)


def _download(url: str, path: str) -> Source:
    name = re.sub(r"[^\w.-]", "_", unquote(path).rpartition("/")[2])[-80:] or "corpus"
    key = hashlib.sha256(url.encode()).hexdigest()[:12]
    remedy = "check the URL, or download it by hand and give the file instead"
    file = download(url, cache_folder("corpora", "urls", key) / name, remedy)
    return Source(file, without_password(url), downloaded=True)


def _files_by_split(folder: Path, skip: str) -> dict[str, Source]:
    """The files of a folder by split, according to their names; the split `skip` is left out."""
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
