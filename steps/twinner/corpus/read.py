"""Reading a corpus: files in any format, split into train, dev and test."""

import warnings
from collections.abc import Mapping, Sequence

from twinner.corpus.download import without_password
from twinner.corpus.formats import read_file
from twinner.corpus.labels import check_labels
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.sentence import Corpus
from twinner.corpus.sources import Source, find_sources
from twinner.corpus.spans import tokenizer
from twinner.corpus.split import MAX_ERROR, split_file
from twinner.errors import BadInput
from twinner.terminal import printable

# Share of test tokens in sentences that are also in train. It is 3 % in eng.train of CoNLL-2003 split by document,
# whose short sentences repeat (13 % of them), 2 % in eng.testa, and 0 in the demo and the German medical corpus.
MAX_SEEN = 0.1


def read_corpus(
    corpus: str,  # a known name, a file, a folder with train/dev/test files, or a URL
    test: str = "",  # a file that replaces the corpus's own test split
    lang: str = "auto",  # the tokenizer's language; auto: the corpus's own, else xx
    dev_fraction: float = 0.1,  # held out for dev if there is no dev file
    test_fraction: float = 0.1,  # held out for test if there is no test file
    tag_column: str = "",  # which column holds the tags, counted from 1 or from the end; of rows its name; empty: guess
) -> Corpus:
    """Read a corpus in any format and split it, always in the same way.

    Of a single file, `test_fraction` becomes test and `dev_fraction` dev, as shares of the whole file; documents stay
    together if the format marks them and their sizes allow it. No split is empty. A download that can't be used is
    deleted, so that the next call downloads it again.
    Warns about anything that was read differently than it is written, and about a test split that repeats train.
    Errors: BadInput for anything that can't be read, split or learnt.
    """
    for name, fraction in (("dev_fraction", dev_fraction), ("test_fraction", test_fraction)):
        if not 0 < fraction < 1:
            raise BadInput(f"{name} is {fraction}", "give a number between 0 and 1")
    if lang != "auto":
        tokenizer(lang)  # fail before downloading or reading anything
    sources, own_lang = find_sources(corpus, test)
    lang = own_lang if lang == "auto" else lang
    fractions = {"test": test_fraction, "dev": dev_fraction}
    fractions = {split: fraction for split, fraction in fractions.items() if split not in sources}
    if sum(fractions.values()) >= 1:
        problem = f"dev_fraction {dev_fraction} and test_fraction {test_fraction} leave nothing to train on"
        raise BadInput(problem, "give fractions that add up to less than 1")
    files = {split: _read_source(source, lang, tag_column.strip()) for split, source in sources.items()}
    try:
        read = _as_corpus(without_password(corpus), lang, files, sources, fractions)
        check_labels(read)
    except BadInput:
        for source in sources.values():
            _delete_download(source)
        raise
    _warn_of_files(list(files.values()), lang)
    _warn_of_seen_sentences(read)
    return read


def _as_corpus(
    name: str,
    lang: str,
    files: Mapping[str, ParsedFile],
    sources: Mapping[str, Source],
    fractions: Mapping[str, float],
) -> Corpus:
    splits = {split: tuple(parsed.sentences) for split, parsed in files.items()}
    train = files["train"]
    if len(train.sentences) <= len(fractions):
        count = "1 sentence is" if len(train.sentences) == 1 else f"{len(train.sentences)} sentences are"
        problem = f"{count} too few to hold out {' and '.join(fractions)}"
        raise BadInput(problem, f"give at least {1 + len(fractions)}", sources["train"].origin)
    if fractions:
        held_out, torn = split_file(train, fractions)
        splits |= held_out
        if torn:
            problem = f"with whole documents a split would be more than {MAX_ERROR:.0%} too large or small"
            message = f"{problem}; split by sentence, so splits may share documents"
            warnings.warn(f"{printable(sources['train'].origin)}: {message}", UserWarning, stacklevel=2)
    return Corpus(
        name=name,
        lang=lang,
        train=splits["train"],
        dev=splits["dev"],
        test=splits["test"],
        sources={split: sources.get(split, sources["train"]).origin for split in ("train", "dev", "test")},
        widened=sum(parsed.widened for parsed in files.values()),
        files=tuple(str(source.file) for source in sources.values()),
    )


def _read_source(source: Source, lang: str, tag_column: str) -> ParsedFile:
    try:
        return read_file(source.file, lang, tag_column)
    except BadInput as error:
        if not source.downloaded:
            raise
        _delete_download(source)  # so name the URL and not the file
        raise BadInput(error.problem, error.remedy, source.origin, error.line, error.quotes) from error


def _delete_download(source: Source) -> None:
    if source.downloaded:
        source.file.unlink(missing_ok=True)


def _warn_of_files(files: Sequence[ParsedFile], lang: str) -> None:
    """Warn about each file's notes and, once for all files, about entities that did not fall on token borders."""
    for note in dict.fromkeys(note for parsed in files for note in parsed.notes):
        warnings.warn(note, UserWarning, stacklevel=2)
    borders = f"token borders of the tokenizer of lang {lang!r}"
    if count := sum(parsed.widened for parsed in files):
        first = next(parsed.first_widened for parsed in files if parsed.widened)
        warnings.warn(f"{count} entities widened to {borders}, the first at {first}", UserWarning, stacklevel=2)
    if count := sum(parsed.left_out for parsed in files):
        first = next(parsed.first_left_out for parsed in files if parsed.left_out)
        message = (
            f"{count} entities dropped: widened to {borders}, they share a token with the previous entity; the first at"
        )
        warnings.warn(f"{message} {first}", UserWarning, stacklevel=2)


def _warn_of_seen_sentences(corpus: Corpus) -> None:
    seen = corpus.test_sentences_in_train()
    tokens, all_tokens = (sum(len(s.tokens) for s in sentences) for sentences in (seen, corpus.test))
    if tokens > MAX_SEEN * all_tokens:
        message = f"{len(seen):,} of {len(corpus.test):,} test sentences are also in train, so scores will be too high"
        warnings.warn(f"{printable(corpus.sources['test'])}: {message}", UserWarning, stacklevel=2)
