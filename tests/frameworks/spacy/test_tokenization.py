from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokenizer import Tokenizer
from twinner.corpus import Sentence
from twinner.frameworks.spacy.tokenization import fit_tokenizer, tokens_of

HYPHENS = ["the German-born player won 6-4", "on 1996-08-22 in London-Heathrow", "a Paris-based firm"]


def sentences(*texts: str) -> list[Sentence]:
    """Sentences of tokens without tags."""
    return [Sentence.from_tokens(text.split(), ["O"] * len(text.split())) for text in texts]


def tokens(nlp: Language, text: str) -> list[str]:
    return list(tokens_of(nlp.tokenizer, text))


def test_words_are_split_within_only_if_the_training_data_does() -> None:
    whole, split = spacy.blank("en"), spacy.blank("en")
    fit_tokenizer(whole, sentences(*HYPHENS))
    fit_tokenizer(split, sentences(*(text.replace("-", " - ") for text in HYPHENS)))
    # Also words that were never seen; punctuation at the ends of a word is split off either way.
    assert tokens(whole, "(a Danish-born one), 7-5.") == ["(", "a", "Danish-born", "one", ")", ",", "7-5", "."]
    assert tokens(split, "(a Danish-born one).") == ["(", "a", "Danish", "-", "born", "one", ")", "."]


def test_tokens_that_are_mostly_whole_are_kept_whole() -> None:
    nlp = spacy.blank("de")
    fit_tokenizer(nlp, sentences("um 5 % mg/kg", "mg/kg i.v. 10%", "10% von 10%", "Ulm . Ulm .", "Ulm ."))
    assert tokens(nlp, "(10% mg/kg), 5% in Ulm.") == ["(", "10%", "mg/kg", ")", ",", "5", "%", "in", "Ulm", "."]


def test_a_fitted_tokenizer_survives_saving(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    fit_tokenizer(nlp, sentences(*HYPHENS, "10% off"))
    nlp.to_disk(tmp_path)
    text = "a Danish-born one, 10% of 7-5."
    assert tokens(spacy.load(tmp_path), text) == tokens(nlp, text) != tokens(spacy.blank("en"), text)


def test_a_tokenizer_that_fits_is_left_as_it_is() -> None:
    nlp = spacy.blank("de")
    rules, within = nlp.tokenizer.rules, nlp.tokenizer.infix_finditer
    fit_tokenizer(nlp, sentences("Anna wohnt in Ulm .", "z.B. in Köln"))
    assert nlp.tokenizer.rules == rules
    assert nlp.tokenizer.infix_finditer == within


def test_a_tokenizer_of_another_kind_is_left_alone() -> None:
    class Blanks:
        def __call__(self, text: str) -> None:
            raise AssertionError

    nlp = spacy.blank("xx")
    assert type(nlp.tokenizer) is Tokenizer
    nlp.tokenizer = Blanks()
    fit_tokenizer(nlp, sentences("a b"))


@pytest.mark.parametrize("text", ["a\u00a0b c", "\u2009 x"])
def test_white_space_is_no_token(text: str) -> None:
    assert not any(token.isspace() for token in tokens(spacy.blank("en"), text))
