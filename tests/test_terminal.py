from twinner.terminal import printable


def test_printable_keeps_letters_of_all_scripts() -> None:
    assert printable("Müller 東京 😀 don't \\x") == "Müller 東京 😀 don't \\x"
