from html.parser import HTMLParser

from twinner.corpus import Sentence
from twinner.frameworks.contract import Prediction
from twinner.pages.errors_page import errors_page


class Seen(HTMLParser):
    """The tags of a page, and the text of each mark, card and article."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"mark": [], "article": [], "p": []}
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.texts:
            self._open.append(tag)
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.texts:
            self._open.remove(tag)

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            self.texts[tag][-1] += data


def sentence(text: str, tags: str) -> Sentence:
    return Sentence.from_tokens(text.split(), tags.split())


def prediction(tags: str) -> Prediction:
    return Prediction(tuple(tags.split()))


def test_shows_sentences_with_errors_only() -> None:
    sentences = [
        sentence("Sie nimmt Ibuprofen 400 mg .", "O O B-DRUG B-STRENGTH I-STRENGTH O"),
        sentence("Alles gut .", "O O O"),
    ]
    page = Seen(errors_page(sentences, [prediction("O O B-DRUG B-STRENGTH O O"), prediction("O O O")], "a run"))
    assert len(page.texts["article"]) == 1
    assert page.texts["mark"] == ["IbuprofenDRUG", "400 mgSTRENGTH (wrong)", "IbuprofenDRUG", "400STRENGTH (wrong)"]
    lines = [text for text in page.texts["p"] if text.startswith("Sie nimmt")]
    assert lines == [
        "Sie nimmt IbuprofenDRUG 400 mgSTRENGTH (wrong) .",
        "Sie nimmt IbuprofenDRUG 400STRENGTH (wrong) mg .",
    ]
    assert "1 of 2 gold entities" in " ".join(page.texts["p"])


def test_keeps_text_between_tokens() -> None:
    original = Sentence(("400", "mg/Tag"), ("B-S", "O"), (1, 4), " 400mg/Tag\t!")
    page = Seen(errors_page([original], [prediction("O O")], "a run"))
    assert " 400S (wrong)mg/Tag\t!" in page.texts["p"]
    assert " 400mg/Tag\t!" in page.texts["p"]


def test_counts_include_hidden_sentences() -> None:
    sentences = [sentence("Fieber", "B-D")] * 501
    page = Seen(errors_page(sentences, [prediction("O")] * 501, "a run"))
    assert len(page.texts["article"]) == 500
    counts = dict(zip(page.texts["p"], page.texts["p"][1:], strict=False))
    assert counts["missed"] == "501"
    assert counts["spurious"] == "0"
    assert any("The first 500 of them are shown" in text for text in page.texts["p"])


def test_page_without_errors() -> None:
    page = Seen(errors_page([sentence("Fieber", "B-D")], [prediction("B-D")], "a run"))
    assert any("No errors" in text for text in page.texts["p"])
    assert page.texts["article"] == []


def test_hostile_tokens_are_escaped() -> None:
    evil = '"><img/src=x/onerror=alert(1)></script><script>alert(1)</script>'
    hostile = sentence(evil, f"B-{evil}")
    page = Seen(errors_page([hostile], [prediction("O")], evil))
    assert page.texts["mark"] == [f"{evil}{evil} (wrong)"]
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not [tag for tag, attributes in page.tags if tag == "img" or "onerror" in attributes]


def test_control_characters_are_replaced_but_not_line_breaks() -> None:
    odd = Sentence(("a\x1b[31mb", "c"), ("B-X", "O"), (0, 9), "a\x1b[31mb\t\nc\x00")
    page = errors_page([odd], [prediction("O O")], "run\x07")
    assert not {"\x00", "\x07", "\x1b"} & {*page}
    assert "a\ufffd[31mb" in page
    assert "\t\nc\ufffd" in page
