"""From what the user gave to a Corpus."""

import warnings

from twinner.corpus.download import without_password
from twinner.corpus.formats import read_file
from twinner.corpus.labels import check_labels
from twinner.corpus.part import Part
from twinner.corpus.sentence import Corpus
from twinner.corpus.sources import find_sources
from twinner.corpus.spans import tokenizer
from twinner.corpus.split import hold_out, sentences_of, units_of
from twinner.errors import BadInput


def read_corpus(
    corpus: str,  # a known name, a file, a folder with train/dev/test files, or a URL
    test: str = "",  # a file that takes the place of the corpus's own test split
    lang: str = "auto",  # the tokenizer's language; auto: the corpus's own, else xx
    dev_fraction: float = 0.1,  # held out for dev when there is no dev file
    test_fraction: float = 0.1,  # held out for test when there is no test file
) -> Corpus:
    """Read a corpus in any format and split it, always in the same way.

    Of one file `test_fraction` goes to test and `dev_fraction` to dev, shares of the whole file; documents stay
    together where the format marks them. No split is ever empty.
    Warns of entities widened to token borders or left out, and of labels in test that train lacks.
    Errors: BadInput for everything that can't be read, split or learnt from.
    """
    for name, fraction in (("dev_fraction", dev_fraction), ("test_fraction", test_fraction)):
        if not 0 < fraction < 1:
            raise BadInput(f"{name} is {fraction}", "give a number between 0 and 1")
    if lang != "auto":
        tokenizer(lang)  # a wrong one is told of before anything is downloaded or read
    sources, own_lang = find_sources(corpus, test)
    lang = own_lang if lang == "auto" else lang
    parts = {split: read_file(source.file, lang) for split, source in sources.items()}
    splits = {split: tuple(part.sentences) for split, part in parts.items()}

    missing = [split for split in ("test", "dev") if split not in splits]
    units = units_of(parts["train"], 1 + len(missing))
    if len(units) <= len(missing):
        count = "1 sentence is" if len(units) == 1 else f"{len(units)} sentences are"
        problem = f"{count} too few to hold out {' and '.join(missing)}"
        raise BadInput(problem, f"give at least {1 + len(missing)}", sources["train"].file)
    if len(missing) == 2 and dev_fraction + test_fraction >= 1:
        problem = f"dev_fraction {dev_fraction} and test_fraction {test_fraction} leave nothing to train on"
        raise BadInput(problem, "give fractions that add up to less than 1")
    fractions, rest = {"test": test_fraction, "dev": dev_fraction}, 1.0
    for index, split in enumerate(missing):
        units, held = hold_out(units, fractions[split] / rest, keep=len(missing) - index)
        splits[split] = sentences_of(held)
        rest -= fractions[split]
    if missing:
        splits["train"] = sentences_of(units)

    _warn_of_borders(list(parts.values()), lang)
    origins = {split: sources.get(split, sources["train"]).origin for split in ("train", "dev", "test")}
    read = Corpus(
        name=without_password(corpus),
        lang=lang,
        train=splits["train"],
        dev=splits["dev"],
        test=splits["test"],
        sources=origins,
        widened=sum(part.widened for part in parts.values()),
        files=tuple(str(source.file) for source in sources.values()),
    )
    check_labels(read)
    return read


def _warn_of_borders(parts: list[Part], lang: str) -> None:
    """Say once for all files how many entities did not fall on token borders, and show the first of them."""
    border = f"token borders of the tokenizer of lang {lang!r}"
    if count := sum(part.widened for part in parts):
        first = next(part.first_widened for part in parts if part.widened)
        warnings.warn(f"entities widened to {border}: {count}, the first {first}", UserWarning, stacklevel=3)
    if count := sum(part.left_out for part in parts):
        first = next(part.first_left_out for part in parts if part.left_out)
        told = f"entities left out, for they share a token with the one before by the {border}: {count}, the first"
        warnings.warn(f"{told} {first}", UserWarning, stacklevel=3)
