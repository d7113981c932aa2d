"""spaCy's binary format for annotated documents."""

from pathlib import Path
from sys import intern
from typing import Any

from twinner.corpus.lines import open_bytes
from twinner.corpus.part import Part
from twinner.corpus.sentence import Sentence
from twinner.errors import BadInput


def read_docbin(file: Path, lang: str = "xx") -> Part:
    """Read a `.spacy` file: the tokens and `doc.ents` of each Doc, a sentence for each of its sentences, if it has any.

    A line of it can't be shown, it is binary: `DocBin(docs=docs).to_disk("train.spacy")` writes one. Each Doc is a
    document. Tokens of white space alone are left out; where an entity crosses a border of sentences, the two are
    read as one. lang: not used, the tokens stand in the file. Errors: BadInput for a file that is no DocBin.
    """
    import spacy  # here, for it takes a second that other formats need not wait for
    from spacy.tokens import DocBin

    with open_bytes(file) as stream:
        data = stream.read()
    part = Part()
    try:
        docs = DocBin().from_bytes(data).get_docs(spacy.blank("xx").vocab)
        for doc in docs:
            part.documents.append(len(part.sentences))
            part.sentences.extend(_sentences(doc))
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # zlib, msgpack, numpy and spaCy each have their own
        remedy = "write it by DocBin.to_disk of spaCy 3, or give another format another ending"
        raise BadInput(f"is no .spacy file ({error})", remedy, file) from error
    part.documents = sorted(set(part.documents) - {len(part.sentences)})
    return part


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
