"""WebAnno TSV 3, the export of WebAnno and INCEpTION."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from sys import intern

from twinner.corpus.lines import numbered_lines
from twinner.corpus.overlaps import Reduction, Span
from twinner.corpus.parsed import ParsedFile
from twinner.corpus.place import Place
from twinner.corpus.sentence import Sentence
from twinner.errors import BadInput

FORMAT = "#FORMAT=WebAnno TSV"
_FIXED = 3  # columns before those of the annotations: number, offsets, token
_ROW = re.compile(r"\d+-\d+(\.\d+)?")
_STACKED = re.compile(r"(?:\\.|[^|\\])+")  # annotations of one token, separated by `|`
_NUMBERED = re.compile(r"(.*?)(?:\[(\d+)\])?", re.DOTALL)  # a value, and the number that tells annotations apart
_ESCAPED = re.compile(r"\\(->|.)", re.DOTALL)
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r"}
_SYNTAX = (".lexmorph.", ".segmentation.", ".morph.", ".transform.", ".syntax.")  # parts of DKPro's layers of syntax


@dataclass
class _Sentence:
    """A sentence while it is read; `found` holds [first token, last token, label, place] of each annotation."""

    text: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    found: dict[str, tuple[int, int, str, Place]] = field(default_factory=dict)


class _Reader:
    """Reads documents into one ParsedFile."""

    def __init__(self) -> None:
        self.parsed = ParsedFile()
        self._reduction = Reduction()

    def read(self, file: Path, tag_column: str) -> None:
        """Read one document."""
        self.parsed.documents.append(len(self.parsed.sentences))
        lines = numbered_lines(file)
        header = list(takewhile(lambda line: line[1].startswith(("#FORMAT=", "#T_")), lines))
        column, width = _columns(file, [line for _, line in header], tag_column)
        sentence = _Sentence()
        for number, line in lines:
            if _ROW.match(line):
                cells = line.removesuffix("\t").split("\t")
                if len(cells) != width:
                    problem = f"the row has {len(cells)} columns where the header declares {width}"
                    raise BadInput(problem, "export the file again", file, number)
                self._add_row(cells, column, sentence, Place(file, number))
                continue
            if sentence.tokens:
                self._add_sentence(sentence)
                sentence = _Sentence()
            if line.startswith("#Text="):
                sentence.text.append(_unescaped(line.removeprefix("#Text=")))
            elif line.strip() and not line.startswith("#"):
                shown = repr(line[:40])
                raise BadInput(f"{shown} is not a row of WebAnno TSV 3", "export it again", file, number, [shown])
        if sentence.tokens:
            self._add_sentence(sentence)

    def finish(self) -> ParsedFile:
        """Return what was read, with a warning about annotations that were reduced."""
        self.parsed.documents = sorted(set(self.parsed.documents) - {len(self.parsed.sentences)})
        if note := self._reduction.note():
            self.parsed.notes.append(note)
        return self.parsed

    def _add_row(self, cells: Sequence[str], column: int, sentence: _Sentence, place: Place) -> None:
        token = _unescaped(cells[2])
        part_of = _ROW.match(cells[0])
        is_part = part_of is not None and part_of[1] is not None
        if not is_part:
            sentence.tokens.append(token)
        elif not sentence.tokens:
            raise place.bad_input(f"the row {cells[0]} is part of no token", "export the file again")
        here = len(sentence.tokens) - 1
        if cells[column] == "_":
            return
        for index, value in enumerate(_STACKED.findall(cells[column])):
            match = _NUMBERED.fullmatch(value)
            label, number = (match[1], match[2]) if match else (value, None)
            if label == "*":
                remedy = "give it one in the tool, or choose another column by tag_column"
                raise place.bad_input(
                    f"the annotation of {token!r} has no value in column {column + 1}", remedy, [repr(token)]
                )
            key = f"[{number}]" if number else f"{cells[0]}/{index}"
            if is_part and key not in sentence.found:
                self.parsed.widened += 1
                wide = sentence.tokens[here]
                self.parsed.first_widened = self.parsed.first_widened or f"{place}: {token!r} to {wide!r}"
            first, _, name, begin = sentence.found.get(key, (here, here, _unescaped(label), place))
            sentence.found[key] = first, here, name, begin

    def _add_sentence(self, sentence: _Sentence) -> None:
        tags = ["O"] * len(sentence.tokens)
        spans = [Span(first, last + 1, label) for first, last, label, _ in sentence.found.values()]
        if spans:
            place = next(iter(sentence.found.values()))[3]
            for first, end, label, *_ in self._reduction.reduce(spans, place):
                tags[first:end] = [intern(f"B-{label}"), *[intern(f"I-{label}")] * (end - first - 1)]
        tokens = [intern(token) for token in sentence.tokens]
        self.parsed.sentences.append(_with_text(tokens, tags, "\n".join(sentence.text)))


def read_webanno(file: Path, lang: str = "xx", tag_column: str = "") -> ParsedFile:
    """Read a document in WebAnno TSV 3: its tokens, its sentences and one of its layers.

    The labels are the feature `value` of the layer NamedEntity, or the only feature of the only layer that is not one
    of syntax, or column `tag_column`, where 4 is the first behind the token. An annotation of a part of a token is
    widened to it and counted; annotations that overlap are reduced as Reduction says. Relations and chains are not
    used. lang: not used, the file is tokenized.
    Errors: BadInput for another version, several layers, an annotation without a value, or a broken row.
    """
    return read_webanno_documents([file], lang, tag_column)


def read_webanno_documents(files: Sequence[Path], lang: str = "xx", tag_column: str = "") -> ParsedFile:
    """Read several documents as `read_webanno` does."""
    reader = _Reader()
    for file in files:
        reader.read(file, tag_column)
    return reader.finish()


def _columns(file: Path, header: Sequence[str], tag_column: str) -> tuple[int, int]:
    """The index of the column that holds the labels, and the number of all columns."""
    if not header[0].startswith(f"{FORMAT} 3"):
        problem = f"the file is {header[0].removeprefix('#FORMAT=')[:40]!r}"
        raise BadInput(problem, "export it as WebAnno TSV v3.3", file, 1)
    features: list[tuple[str, str, bool]] = []  # layer, feature, whether it is one of spans
    for line in header[1:]:
        kind, _, declared = line.partition("=")
        layer, *names = declared.split("|")
        slot = False
        for name in names or [""]:
            slot, after_slot = name.startswith("ROLE_"), slot
            features.append((layer, name, kind == "#T_SP" and not slot and not after_slot))
    width = _FIXED + len(features)
    if tag_column:
        return _chosen(file, width, tag_column), width
    usable = [
        (index, layer.rpartition(".")[2], name)
        for index, (layer, name, is_span) in enumerate(features, start=_FIXED)
        if is_span and not any(part in layer for part in _SYNTAX)
    ]
    entities = [each for each in usable if each[1:] == ("NamedEntity", "value")] or usable
    if len(entities) == 1:
        return entities[0][0], width
    listed = ", ".join(f"{index + 1} ({layer}.{name})" for index, layer, name in entities)
    problem = (
        f"the file has no layer NamedEntity and several others: columns {listed}" if listed else "no layer of labels"
    )
    raise BadInput(problem, "choose a column by tag_column" if listed else "export a layer of spans", file, 1)


def _chosen(file: Path, width: int, tag_column: str) -> int:
    number = int(tag_column) if re.fullmatch("-?[0-9]{1,9}", tag_column) else 0
    column = number if number > 0 else width + 1 + number
    if not _FIXED < column <= width:
        problem = f"tag_column is {tag_column!r}, but labels are in columns {_FIXED + 1} to {width} of this file"
        raise BadInput(problem, "give the number of one, or a negative number counted from the last", file)
    return column - 1


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: _CONTROLS.get(match[1], match[1]), text) if "\\" in text else text


def _with_text(tokens: Sequence[str], tags: Sequence[str], text: str) -> Sentence:
    """The sentence with its original text, or with its tokens joined by spaces if they are not in that text."""
    starts, position = [], 0
    for token in tokens:
        start = text.find(token, position)
        if start < 0 or text[position:start].strip():
            return Sentence.from_tokens(tokens, tags)
        starts.append(start)
        position = start + len(token)
    return Sentence(tuple(tokens), tuple(tags), tuple(starts), text)
