"""spaCy's binary format for annotated documents."""

from pathlib import Path
from sys import intern
from typing import Any

from twinner.corpus.lines import open_bytes
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.sentence import Sentence
from twinner.errors import BadInput


def read_docbin(file: Path, lang: str = "xx") -> ParsedFile:
    """Read a `.spacy` file: the tokens and `doc.ents` of each Doc, split into its sentences if it has any.

    `DocBin(docs=docs).to_disk("train.spacy")` writes one. Each Doc is a document. Tokens that are only white space are
    dropped; two sentences with an entity across their border are read as one. lang: not used, Docs are tokenized.
    Errors: BadInput for a file that is not a DocBin.
    """
    import spacy  # takes a second that other formats need not wait for
    from spacy.tokens import DocBin

    with open_bytes(file) as stream:
        data = stream.read()
    parsed = ParsedFile()
    try:
        docs = DocBin().from_bytes(data).get_docs(spacy.blank("xx").vocab)
        for doc in docs:
            parsed.documents.append(len(parsed.sentences))
            parsed.sentences.extend(_sentences(doc))
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # zlib, msgpack, numpy and spaCy raise errors of many types
        remedy = "write it with DocBin.to_disk of spaCy 3, or rename it if it is in another format"
        raise BadInput(f"not a .spacy file ({error})", remedy, file, quotes=[str(error)]) from error
    parsed.documents = sorted(set(parsed.documents) - {len(parsed.sentences)})
    return parsed


def _sentences(doc: Any) -> list[Sentence]:
    borders = {sentence.start for sentence in doc.sents} if doc.has_annotation("SENT_START") else {0}
    tags = ["O"] * len(doc)
    for entity in doc.ents:
        borders -= set(range(entity.start + 1, entity.end))
        words = [token.i for token in entity if not token.is_space]
        for position in words:
            tags[position] = intern(f"{'B' if position == words[0] else 'I'}-{entity.label_}")
    starts = sorted(borders)
    found = []
    for start, end in zip(starts, [*starts[1:], len(doc)], strict=True):
        span = doc[start:end]
        words = [token for token in span if not token.is_space]
        if words:
            tokens = tuple(intern(token.text) for token in words)
            offsets = tuple(token.idx - span.start_char for token in words)
            found.append(Sentence(tokens, tuple(tags[token.i] for token in words), offsets, span.text))
    return found
