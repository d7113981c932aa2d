from twinner.frameworks.sparknlp.preserve_case import add_cased_pieces


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
