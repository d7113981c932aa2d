"""Split tokens into the pieces of an encoder's vocabulary, as Spark NLP does, so that both frameworks see the same.

A token's vector is that of its first piece, which some encoders make the mean of all its pieces.
"""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import sentencepiece
from tokenizers.models import WordPiece

from twinner.encoders.export import SENTENCEPIECE, WORDPIECE, is_cased
from twinner.errors import BadInput

CONTINUATION = "##"  # prefix of WordPiece's pieces inside a word
LONGEST_WORD = 200  # characters; a longer one is unknown to WordPiece
ACCENTED = [chr(code) for code in range(0xC0, 0x250)]  # Latin letters, from which uncased models strip the accents

Pieces = Callable[[str], list[int]]  # the ids of a token's pieces; none if it has no visible character


def pieces_of(folder: Path) -> tuple[Pieces, int, int]:
    """Return a function from a token to the ids of its pieces, and the ids that begin and end a sentence.

    folder: of an export. Errors: BadInput if it has no vocabulary of WordPiece or SentencePiece.
    """
    if (folder / WORDPIECE).is_file():
        ids = {piece: id for id, piece in enumerate(vocabulary(folder))}
        if {"[CLS]", "[SEP]", "[UNK]"} <= ids.keys():
            return _wordpieces(ids if is_cased(folder) else add_cased_pieces(ids)), ids["[CLS]"], ids["[SEP]"]
    if (folder / SENTENCEPIECE).is_file():
        return _sentencepieces(folder / SENTENCEPIECE), 0, 2
    raise BadInput(
        f"{folder}: the encoder has no vocabulary of WordPiece or SentencePiece that spaCy's embeddings could read",
        f"use an export with {WORDPIECE} or {SENTENCEPIECE}",
    )


def vocabulary(folder: Path) -> list[str]:
    """Return the pieces of an export's WordPiece vocabulary, in the order of their ids."""
    return (folder / WORDPIECE).read_text(encoding="utf-8").splitlines()


def add_cased_pieces(vocabulary: Mapping[str, int]) -> dict[str, int]:
    """Return an uncased vocabulary with more pieces: capitalized, in capitals, and single letters with accents.

    Each has the id of its lower-case form without accents; pieces of the vocabulary keep their ids.
    """
    cased = dict(vocabulary)
    for piece, id in vocabulary.items():
        if piece.startswith("[") and piece.endswith("]"):  # [CLS] and other special tokens
            continue
        prefix, letters = (CONTINUATION, piece[2:]) if piece.startswith(CONTINUATION) else ("", piece)
        for spelling in (letters[:1].upper() + letters[1:], letters.upper()):
            if len(spelling) == len(letters):  # `ß` becomes SS, which is another piece
                cased.setdefault(prefix + spelling, id)
    for letter in ACCENTED:
        plain = "".join(c for c in unicodedata.normalize("NFD", letter.lower()) if not unicodedata.combining(c))
        for prefix in ("", CONTINUATION):
            if prefix + plain in vocabulary:
                cased.setdefault(prefix + letter, vocabulary[prefix + plain])
    return cased


def _wordpieces(vocabulary: Mapping[str, int]) -> Pieces:
    model = WordPiece(dict(vocabulary), unk_token="[UNK]", max_input_chars_per_word=LONGEST_WORD)

    def pieces(token: str) -> list[int]:
        word = _without_accents(next(_words(token), ""))
        return [piece.id for piece in model.tokenize(word)] if word else []

    return pieces


def _words(token: str) -> Iterator[str]:
    """Yield the runs of letters and digits of a token, and its punctuation marks one by one."""
    word = ""
    for character in token:
        if _is_punctuation(character) or "一" <= character <= "鿿":
            if word:
                yield word
            yield character
            word = ""
        elif character.isspace() or unicodedata.category(character) == "Cc" or character == "�":
            if word:
                yield word
            word = ""
        else:
            word += character
    if word:
        yield word


def _without_accents(word: str) -> str:
    """Drop the marks over letters, as Spark NLP does for cased vocabularies too."""
    return "".join(c for c in unicodedata.normalize("NFD", word) if not "\u0300" <= c <= "\u036f")


def _is_punctuation(character: str) -> bool:
    if character.isascii():
        return 33 <= ord(character) <= 126 and not character.isalnum()
    return "PUNCTUATION" in unicodedata.name(character, "")


def _sentencepieces(file: Path) -> Pieces:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(file))
    space = processor.piece_to_id("▁")

    def pieces(token: str) -> list[int]:
        return [id + 1 for id in processor.encode(token) if id != space]  # XLM-RoBERTa has <pad> before them

    return pieces
