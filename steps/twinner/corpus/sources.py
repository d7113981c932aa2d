"""From the user's `corpus` and `test` to the files to read."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from twinner.cache import cache_folder
from twinner.corpus.builtin import BUILTIN, builtin_file
from twinner.corpus.documents import documents_in, has_annotations, is_annotations
from twinner.corpus.download import download, without_password
from twinner.errors import BadInput
from twinner.source_code import PROJECT

SPLITS = {  # split -> words in a file's name that denote it, as in eng.testa or de-train.conll
    "train": {"train", "training"},
    "dev": {"dev", "val", "valid", "validation", "testa"},
    "test": {"test", "testb"},
}


@dataclass(frozen=True)
class Source:
    """A local file, or folder of documents, and the path or URL it came from; `downloaded` if that is a user's URL."""

    file: Path
    origin: str
    downloaded: bool = False


def find_sources(corpus: str, test: str = "") -> tuple[dict[str, Source], str]:
    """The files of a corpus by split (always `train`; `dev` and `test` if it has them), and its language or `xx`.

    corpus: a known name, a file, a folder, or a URL. test: a file or URL that replaces the test split. A folder holds
    a file, or a folder of documents, for each split, or it holds the documents of all splits.
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
    elif (source := _find(corpus)).file.is_dir() and not _holds_documents(source.file):
        found = _files_by_split(source.file, skip="test" if test else "")
    else:
        found = {"train": source}
    if test:
        found["test"] = _find(test)
        if found["test"].file.is_dir() and not documents_in(found["test"].file):
            raise BadInput(f"test={test!r} is a folder", "give one file, or a folder of brat", found["test"].file)
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


def _holds_documents(folder: Path) -> bool:
    """Whether a folder holds documents that are not named for splits, or not all of them."""
    documents = documents_in(folder)
    return bool(documents) and not all(_splits_of(document.name) for document in documents)


def _splits_of(name: str) -> list[str]:
    """The splits that the name of a file denotes."""
    words = set(re.split(r"[._-]", name.lower()))
    return [split for split, names in SPLITS.items() if words & names]


def _files_by_split(folder: Path, skip: str) -> dict[str, Source]:
    """The files, and folders of documents, of a folder by split, according to their names; `skip` is left out."""
    found: dict[str, Source] = {}
    for file in sorted(folder.iterdir()):
        splits = _splits_of(file.name)
        if file.name.startswith(".") or not splits or splits == [skip] or has_annotations(file):
            continue
        if not (file.is_file() or (file.is_dir() and documents_in(file))):
            continue
        if len(splits) > 1:
            problem = f"the file {file.name!r} could be {' or '.join(splits)}"
            raise BadInput(problem, "rename it, or give the files by corpus and test", folder)
        if splits[0] in found:
            problem = f"{found[splits[0]].file.name!r} and {file.name!r} could both be {splits[0]}"
            raise BadInput(problem, _remedy_for_two(file), folder)
        found[splits[0]] = Source(file, str(file))
    if "train" not in found:
        remedy = "name one train.*, as in train.conll; of brat, give a folder of .txt and .ann files"
        raise BadInput("the folder has no train file", remedy, folder)
    return found


def _remedy_for_two(file: Path) -> str:
    if re.search(r"-\d+-of-\d+", file.name):
        return 'join the parts of a split, as by load_dataset(FOLDER)["train"].to_parquet("train.parquet")'
    if is_annotations(file):
        return "put the documents of each split into a folder train, dev or test"
    return "keep one of them, or give the files by corpus and test"
