"""Column formats: one token per line, with its tag."""

from itertools import pairwise
from pathlib import Path
from sys import intern

from twinner.corpus.columns import DOCSTART, read_rows
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.place import Place
from twinner.corpus.schemes import BORDER, TagPairs
from twinner.corpus.sentence import Sentence


def read_conll(file: Path, lang: str = "xx") -> ParsedFile:
    """Read CoNLL columns: token first, tag last, a blank line after each sentence.

    A row looks like `Ibuprofen NN I-NP B-DRUG`, or `Ibuprofen<TAB>B-DRUG`: two or more columns, separated by tabs if
    the first row has one, else by spaces. `-DOCSTART-` and the comment `# newdoc` mark the start of a document; other
    comments, `#` lines before a sentence, are skipped.
    If the first column counts the tokens of each sentence (1, 2, 3, …), the token is in the second and the tag in the
    first that holds entity tags, which in GermEval 2014 are the outer entities; the inner ones are not used.
    Tags are IOB2, IOB1, BILOU or IOBES; a few stray tags are read as conlleval does. Tokens that are only white space
    are dropped. lang: not used, the file is tokenized.
    Errors: BadInput for a row with a different number of columns, an invalid tag, or tags of no scheme.
    """
    return _read_columns(file, sentence_end="")


def read_blog_tsv(file: Path, lang: str = "xx") -> ParsedFile:
    """Read the TSV of the blog's German medical corpus: no blank lines, the token `.` ends a sentence.

    A row looks like `Ibuprofen<TAB>b-med`: a tab, and tags with lower-case prefixes (IOB2). lang: not used.
    Errors: as `read_conll`.
    """
    return _read_columns(file, sentence_end=".")


def _read_columns(file: Path, sentence_end: str) -> ParsedFile:
    """Read a column format; a sentence ends at a blank line and, if given, after the token `sentence_end`.

    With `sentence_end`, prefixes may be in lower case.
    """
    parsed = ParsedFile()
    pairs = TagPairs(file)
    raw: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    tokens: list[str] = []
    tags: list[str] = []
    lines: list[int] = []

    def end_sentence() -> None:
        if tokens:
            pairs.add(tags, lines)
            raw.append((tuple(tokens), tuple(tags)))
            tokens.clear()
            tags.clear()
            lines.clear()

    layout, rows = read_rows(file)
    for number, token, tag in rows:
        if not token:
            end_sentence()
            if tag == DOCSTART:
                parsed.documents.append(len(raw))
            continue
        tokens.append(intern(token))
        tags.append(intern(tag[:1].upper() + tag[1:] if sentence_end else tag))
        lines.append(number)
        if token == sentence_end:
            end_sentence()
    end_sentence()

    iob2 = pairs.iob2()
    parsed.notes += filter(
        None, [f"{Place(file)}: {layout.note}" if layout and layout.note else "", pairs.stray_tags()]
    )
    raw.reverse()  # so that each raw sentence is freed as soon as it is converted
    where = [0]  # index of a raw sentence -> index of its sentence
    while raw:
        words, marks = raw.pop()
        sentence = _without_white_space(words, [iob2[pair] for pair in pairwise((BORDER, *marks))])
        if sentence:
            parsed.sentences.append(sentence)
        where.append(len(parsed.sentences))
    starts = {where[index] for index in parsed.documents}
    if starts:
        starts.add(0)  # sentences before the first mark are a document too
    parsed.documents = sorted(starts - {len(parsed.sentences)})
    return parsed


def _without_white_space(tokens: tuple[str, ...], tags: list[str]) -> Sentence | None:
    """The sentence without white-space tokens, which are no words to tag; None if no token is left."""
    if not any(map(str.isspace, tokens)):
        return Sentence.from_tokens(tokens, tags)
    kept: list[tuple[str, str]] = []
    pending = False  # the token that began this entity was dropped
    for token, tag in zip(tokens, tags, strict=True):
        if token.isspace():
            pending = tag.startswith("B-") or (pending and tag.startswith("I-"))
            continue
        kept.append((token, f"B-{tag[2:]}" if pending and tag.startswith("I-") else tag))
        pending = False
    if not kept:
        return None
    words, marks = zip(*kept, strict=True)
    return Sentence.from_tokens(words, marks)
