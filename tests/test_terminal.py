from twinner.terminal import one_line, printable


def test_printable_keeps_letters_of_all_scripts() -> None:
    assert printable("Müller 東京 😀 don't \\x") == "Müller 東京 😀 don't \\x"


def test_one_line_escapes_control_and_direction_characters() -> None:
    assert one_line("\x1b[31m a\n\tb \u202e\x07") == r"\x1b[31m a b \u202e\x07"
