"""Tell, with the code of a checked-out project, what that code is and what corpus it reads.

Run as a script: `inspect_commit.py PROJECT SETTINGS`, with the settings as JSON. Nothing here imports the present
project: another commit may read a file, or digest its code, in another way. Prints JSON in the last line.
"""

import inspect
import json
import sys
from typing import Any


def code() -> str:
    """Return the digest of the code; empty if the commit can't tell."""
    try:
        from twinner.source_code import code_digest
    except ImportError:
        return ""
    return code_digest()


def splits(settings: dict[str, Any]) -> dict[str, str]:
    """Return the digest of each split of the corpus. Errors: BadInput of that commit."""
    from twinner.corpus import digest, read_corpus

    known = inspect.signature(read_corpus).parameters
    corpus = read_corpus(**{name: value for name, value in settings.items() if name in known})
    return {split: digest(getattr(corpus, split)) for split in ("train", "dev", "test")}


def main(project: str, settings: str) -> None:
    """Print what was found: `code`, and `splits` or `bad_input`."""
    sys.path[0] = f"{project}/steps"
    from twinner.errors import BadInput

    found: dict[str, Any] = {"code": code()}
    try:
        found["splits"] = splits(json.loads(settings))
    except BadInput as error:
        found["bad_input"] = str(error)
    print(f"\n{json.dumps(found)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
