"""The folder of an exported encoder: its model, its vocabulary, and what its configuration says.

`model.onnx` (or TensorFlow's `saved_model.pb`) and `config.json` stand beside `assets/`, which has `vocab.txt` for
WordPiece or a SentencePiece model.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from twinner.errors import BadInput

MAX_PIECES = 512  # in a sentence: the limit of BERT-like models, unless their configuration says otherwise
MODEL = "model.onnx"
OUTPUT = "last_hidden_state"  # of the model: the name by which Spark NLP finds the vectors
WORDPIECE = "assets/vocab.txt"
SENTENCEPIECE = "assets/sentencepiece.bpe.model"


def is_export(folder: Path) -> bool:
    """Whether a folder holds an exported encoder."""
    has_model = (folder / MODEL).is_file() or (folder / "saved_model.pb").is_file()
    return has_model and (folder / "assets").is_dir()


def model_type(folder: Path) -> str:
    """Return the architecture of an export, such as `bert`, which is the default."""
    return str(_read_config(folder, "config.json").get("model_type", "bert"))


def max_pieces(folder: Path) -> int:
    """Return the largest number of pieces in a sentence that an export takes."""
    config, tokenizer = _read_config(folder, "config.json"), _read_config(folder, "tokenizer_config.json")
    limits = (config.get("max_position_embeddings"), tokenizer.get("model_max_length"), MAX_PIECES)
    return min(limit for limit in limits if isinstance(limit, int) and limit > 0)


def is_cased(folder: Path) -> bool:
    """Return whether an export distinguishes `Bonn` from `bonn`, by its vocabulary or else its tokenizer's settings."""
    vocabulary = folder / WORDPIECE
    if vocabulary.is_file():
        words = vocabulary.read_text(encoding="utf-8").splitlines()
        return any(word != word.lower() for word in words if not word.startswith("["))
    return not _read_config(folder, "tokenizer_config.json").get("do_lower_case", False)


def digest_of_files(folder: Path) -> str:
    """Return a digest of the names and contents of the files below a folder: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as content:
            digest.update(str(file.relative_to(folder)).encode() + hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _read_config(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON file beside the model or in its assets; return an empty dict if there is none."""
    for file in (folder / name, folder / "assets" / name):
        if file.is_file():
            try:
                config = json.loads(file.read_text(encoding="utf-8"))
            except ValueError:
                raise BadInput(f"{file}: this is not JSON", "export the model again") from None
            return config if isinstance(config, dict) else {}
    return {}
