from twinner.frameworks.sparknlp.cased_vocabulary import cased_vocabulary


def test_a_piece_in_capitals_has_the_number_of_the_piece() -> None:
    cased = cased_vocabulary({"bonn": 3, "##burg": 4})
    assert {piece: cased[piece] for piece in ("bonn", "Bonn", "BONN")} == dict.fromkeys(("bonn", "Bonn", "BONN"), 3)
    assert cased["##burg"] == cased["##BURG"] == cased["##Burg"] == 4


def test_letters_with_accents_have_the_number_of_the_letter() -> None:
    cased = cased_vocabulary({"o": 1, "##o": 2})
    assert [cased[piece] for piece in ("ö", "Ö", "##ö", "##Ó")] == [1, 1, 2, 2]


def test_what_the_vocabulary_has_keeps_its_number() -> None:
    vocabulary = {"[CLS]": 0, "o": 1, "ö": 2, "ß": 3, "ss": 4, "us": 5, "US": 6}
    cased = cased_vocabulary(vocabulary)
    assert {piece: cased[piece] for piece in vocabulary} == vocabulary
    assert cased["SS"] == 4
    assert "[cls]" not in cased
