from pathlib import Path

import pytest
from tiny_encoder import PIECES, write_encoder
from tokenizers import BertWordPieceTokenizer
from twinner.encoders.e5 import END, START, sentencepiece_model
from twinner.encoders.pieces import add_cased_pieces, pieces_of
from twinner.errors import BadInput

WORDS = ["play", "haus", "uber"]


@pytest.mark.parametrize("token", ["play", "plays", "player", "haus", "xyz", ",", "uber"])
def test_splits_words_as_bert_does(token: str, tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder", WORDS)
    pieces, start, end = pieces_of(folder)
    oracle = BertWordPieceTokenizer(str(folder / "assets" / "vocab.txt"), lowercase=True)
    assert [start, *pieces(token), end] == oracle.encode(token).ids


def test_capitals_and_accents_have_the_pieces_of_an_uncased_vocabulary(tmp_path: Path) -> None:
    pieces, _, _ = pieces_of(write_encoder(tmp_path / "encoder", WORDS))
    assert pieces("Plays") == pieces("plays")
    assert pieces("HAUS") == pieces("haus")
    assert pieces("Über") == pieces("uber")


def test_a_cased_vocabulary_stays_as_it_is(tmp_path: Path) -> None:
    pieces, _, _ = pieces_of(write_encoder(tmp_path / "encoder", [*WORDS, "Bonn"]))
    assert pieces("Bonn") == [len(PIECES) + 3]
    assert pieces("bonn") == pieces("Play") == [PIECES.index("[UNK]")]


def test_of_a_token_with_punctuation_the_first_part_counts(tmp_path: Path) -> None:
    pieces, _, _ = pieces_of(write_encoder(tmp_path / "encoder", WORDS))
    assert pieces("play-haus") == pieces("play")
    assert pieces("-play") == [PIECES.index("-")]


@pytest.mark.parametrize("token", [" ", "\t", "\n\n", "\x00", "�", ""], ids=repr)
def test_a_token_without_characters_has_no_piece(token: str, tmp_path: Path) -> None:
    assert pieces_of(write_encoder(tmp_path / "encoder", WORDS))[0](token) == []


def test_splits_words_by_a_sentencepiece_model(tmp_path: Path) -> None:
    pieces = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
    pieces += [("▁", -3.0), ("▁Ha", -1.0), ("us", -1.0), ("x", -2.0), ("<mask>", 0.0)]
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "sentencepiece.bpe.model").write_bytes(sentencepiece_model(pieces))
    split, start, end = pieces_of(tmp_path)
    assert (start, end) == (START, END)
    assert split("Haus") == [5, 6]  # the ids are the positions above
    assert split("x") == [7]  # `▁` stands for the space before, and is left out
    assert split("Ha?") == [5, 3]
    assert split(" ") == []


def test_rejects_another_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "vocab.txt").write_text("<s>\n<pad>\n")  # as RoBERTa's
    with pytest.raises(BadInput, match="no vocabulary of WordPiece or SentencePiece"):
        pieces_of(tmp_path)


def test_capitalized_pieces_have_the_id_of_the_piece() -> None:
    cased = add_cased_pieces({"bonn": 3, "##burg": 4})
    assert {piece: cased[piece] for piece in ("bonn", "Bonn", "BONN")} == dict.fromkeys(("bonn", "Bonn", "BONN"), 3)
    assert cased["##burg"] == cased["##BURG"] == cased["##Burg"] == 4


def test_accented_letters_have_the_id_of_the_letter() -> None:
    cased = add_cased_pieces({"o": 1, "##o": 2})
    assert [cased[piece] for piece in ("ö", "Ö", "##ö", "##Ó")] == [1, 1, 2, 2]


def test_pieces_of_the_vocabulary_keep_their_id() -> None:
    vocabulary = {"[CLS]": 0, "o": 1, "ö": 2, "ß": 3, "ss": 4, "us": 5, "US": 6}
    cased = add_cased_pieces(vocabulary)
    assert {piece: cased[piece] for piece in vocabulary} == vocabulary
    assert cased["SS"] == 4
    assert "[cls]" not in cased
