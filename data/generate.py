"""Generate the demo corpus: invented German clinical sentences with their entities, in CoNLL columns.

`python data/generate.py` writes train.conll, dev.conll and test.conll next to this file, or to `--output FOLDER`;
`--statistics` prints the table in README.md instead. The words and sentence frames are in lexicon.toml.
"""

import argparse
import random
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import spacy

HERE = Path(__file__).resolve().parent
SIZES = {"train": 2000, "dev": 300, "test": 500}
LABELS = ("DRUG", "STRENGTH", "FORM", "ROUTE", "FREQUENCY", "DURATION", "DIAGNOSIS")
SEED = 2003

SLOT = re.compile(r"\{(?P<plain>-)?(?P<name>\w+)?(?:=(?P<rule>@?\w+))?(?P<back>@\w+)?(?::(?P<case>\w+))?\}")
# Endings of adjectives without an article, and of `ein` and `kein`, by gender (p: plural) and case.
ADJECTIVE = {
    "m": {"nom": "er", "akk": "en", "dat": "em"},
    "f": {"nom": "e", "akk": "e", "dat": "er"},
    "n": {"nom": "es", "akk": "es", "dat": "em"},
    "p": {"nom": "e", "akk": "e", "dat": "en"},
}
ARTICLE = {
    "m": {"nom": "", "akk": "en", "dat": "em"},
    "f": {"nom": "e", "akk": "e", "dat": "er"},
    "n": {"nom": "", "akk": "", "dat": "em"},
    "p": {"nom": "e", "akk": "e", "dat": "en"},
}
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"})


@dataclass(frozen=True)
class Generated:
    """A sentence: its text, and its tokens with their IOB2 tags."""

    text: str
    tokens: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def mentions(self) -> list[tuple[str, str]]:
        """The entities as (label, tokens joined by spaces)."""
        found: list[tuple[str, str]] = []
        for token, tag in zip(self.tokens, self.tags, strict=True):
            if tag.startswith("B-"):
                found.append((tag[2:], token))
            elif tag.startswith("I-"):
                found[-1] = (tag[2:], f"{found[-1][1]} {token}")
        return found


@dataclass
class Piece:
    """A piece of text: an entity of this label, or no entity if the label is empty."""

    text: str
    label: str = ""


class Dice:
    """The only source of randomness: a seeded generator's `random()`, which Python keeps stable across versions."""

    def __init__(self, seed: int) -> None:
        """Seed the generator."""
        self._random = random.Random(seed)

    def happens(self, share: float) -> bool:
        """Return True with this probability."""
        return self._random.random() < share

    def below(self, count: int) -> int:
        """Return a random integer from 0 to `count` - 1."""
        return int(self._random.random() * count)

    def choice(self, items: Sequence[str]) -> str:
        """Return a random item."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[str]) -> list[str]:
        """Return the items in random order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in items]


def lines(block: str) -> list[str]:
    """Return the alternatives of a rule, one per line."""
    return [line for line in block.split("\n") if line.strip()]


@dataclass
class Grammar:
    """The rules of lexicon.toml, and those alternatives that train may use."""

    dice: Dice
    rules: dict[str, list[str]]
    shares: dict[str, int]
    around: dict[str, list[str]]
    train_rules: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, dice: Dice) -> "Grammar":
        """Read the rules, generate the pools, and choose the alternatives to hold out from train."""
        source: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        rules = {name: lines(block) for name, block in chain(source["rules"].items(), source["frames"].items())}
        around = {place: lines(block) for place, block in source["around"].items()}
        grammar = cls(dice, rules, source["shares"], around)
        for name, size in source["pools"].items():
            pool: dict[str, None] = {}
            while len(pool) < size:
                pool["".join(piece.text for piece in Writer(grammar, rules).expand(f"{{{name}}}"))] = None
            rules[name] = list(pool)
        grammar.train_rules = dict(rules)
        for name, share in source["held_out"].items():
            held_out = dice.shuffled(sorted(set(rules[name])))[: len(set(rules[name])) * share // 100]
            grammar.train_rules[name] = [line for line in rules[name] if line not in held_out]
        return grammar

    def frame_kind(self) -> str:
        """Draw a kind of sentence, weighted by the shares."""
        point = self.dice.below(sum(self.shares.values()))
        for kind, share in self.shares.items():
            point -= share
            if point < 0:
                return kind
        raise AssertionError("unreachable: point is below the sum of the shares")


class Writer:
    """Writes one sentence; it avoids repeating words, and inflects endings for the noun that follows."""

    def __init__(self, grammar: Grammar, rules: dict[str, list[str]]) -> None:
        """Use these rules: all of the grammar's, or those of train."""
        self.dice, self.rules = grammar.dice, rules
        self.used: set[str] = set()
        self.last: dict[str, str] = {}
        self.gender = ""

    def expand(self, frame: str, case: str = "nom") -> list[Piece]:
        """Expand a frame or an alternative to pieces."""
        pieces: list[Piece] = []
        position = 0
        for slot in SLOT.finditer(frame):
            pieces.append(Piece(frame[position : slot.start()]))
            position = slot.end()
            name = slot["name"] or slot["back"]
            rule = slot["rule"] or name
            inner_case = slot["case"] or case
            self.gender = ""
            text = self.last[rule[1:]] if rule.startswith("@") else self.write(rule, inner_case)
            if self.gender:
                for piece in pieces:
                    piece.text = inflect(piece.text, self.gender, inner_case)
            is_entity = name in LABELS and not slot["plain"]
            pieces.append(Piece(text, name if is_entity else ""))
        pieces.append(Piece(frame[position:]))
        return pieces

    def write(self, rule: str, case: str) -> str:
        """Expand a rule to text; remember the gender of a noun for the words before it."""
        alternatives = self.rules[rule]
        line = self.dice.choice([line for line in alternatives if line not in self.used] or alternatives)
        if "{" not in line and re.search(r"[^\W\d]{3}", line):
            self.used.add(line)
        gender = ""
        if line[:2] in ("m ", "f ", "n ", "p "):
            gender, line = line[0], line[2:]
        text = "".join(piece.text for piece in self.expand(line, case))
        if gender:
            text = inflect(text, gender, case)
            self.gender = gender
        self.last[rule] = text
        return text


def inflect(text: str, gender: str, case: str) -> str:
    """Replace the placeholders `*` (adjective), `^` (ein, kein) and `~` (dative plural) by endings."""
    plural = "n" if gender == "p" and case == "dat" else ""
    return text.replace("*", ADJECTIVE[gender][case]).replace("^", ARTICLE[gender][case]).replace("~", plural)


def misspell(text: str, dice: Dice) -> str:
    """Drop, double or swap a letter in 1 of 70 words that have six letters or more."""

    def with_typo(word: re.Match[str]) -> str:
        if not dice.happens(1 / 70):
            return word[0]
        place = 1 + dice.below(len(word[0]) - 3)
        before, first, second, after = word[0][:place], word[0][place], word[0][place + 1], word[0][place + 2 :]
        return before + [second, first + first + second, second + first][dice.below(3)] + after

    return re.sub(r"[^\W\d_]{6,}", with_typo, text)


def draw(grammar: Grammar, nlp: spacy.Language, rules: dict[str, list[str]]) -> Generated:
    """Draw and tokenise a sentence, written like a hurried clinician's note."""
    dice = grammar.dice
    kind = grammar.frame_kind()
    frame = dice.choice(rules[kind])
    writer = Writer(grammar, rules)
    pieces = [piece for piece in writer.expand(frame) if piece.text]
    if re.match(r"[a-zäöü]+\b(?!\.)", pieces[0].text):
        pieces[0].text = pieces[0].text[0].upper() + pieces[0].text[1:]
    if dice.happens(1 / 7):
        pieces = [*writer.expand(dice.choice(grammar.around["before"]) + " "), *pieces]
    if dice.happens(1 / 7) and not frame.endswith((".", "?", "!")):
        pieces += writer.expand(dice.choice(grammar.around["after"]))
    for piece in pieces:
        piece.text = misspell(piece.text, dice)
    if dice.happens(0.04):
        for piece in pieces:
            piece.text = piece.text.translate(UMLAUTS)
    if dice.happens(0.06):
        for piece in pieces:
            piece.text = piece.text.lower()
    # No second full stop after an abbreviation, and none after a number, where it would mark an ordinal.
    if pieces[-1].text == "." and re.search(r"(?i)(\.|\d|\b\w|\b[ivx]+)$", pieces[-2].text):
        pieces.pop()
    return tokenise(pieces, nlp)


def tokenise(pieces: Sequence[Piece], nlp: spacy.Language) -> Generated:
    """Tokenise the pieces and tag the tokens. Raises ValueError if an entity does not consist of whole tokens."""
    text = "".join(piece.text for piece in pieces)
    doc = nlp.make_doc(text)
    tags = ["O"] * len(doc)
    start = 0
    for piece in pieces:
        if piece.label:
            span = doc.char_span(start, start + len(piece.text))
            if span is None:
                problem = f"{piece.text!r} does not consist of whole tokens in {text!r}"
                raise ValueError(f"{problem}: change its frame in lexicon.toml")
            tags[span.start : span.end] = [f"B-{piece.label}"] + [f"I-{piece.label}"] * (len(span) - 1)
        start += len(piece.text)
    return Generated(text, tuple(token.text for token in doc), tuple(tags))


def generate() -> dict[str, list[Generated]]:
    """Return the three splits, always the same; no two sentences have the same tokens."""
    grammar = Grammar.read(HERE / "lexicon.toml", Dice(SEED))
    nlp = spacy.blank("de")
    seen: set[tuple[str, ...]] = set()
    corpus: dict[str, list[Generated]] = {}
    for split, size in SIZES.items():
        rules = grammar.train_rules if split == "train" else grammar.rules
        corpus[split] = []
        while len(corpus[split]) < size:
            sentence = draw(grammar, nlp, rules)
            if sentence.tokens not in seen:
                seen.add(sentence.tokens)
                corpus[split].append(sentence)
    return corpus


def conll(sentences: Sequence[Generated]) -> str:
    """Format as CoNLL columns: token, tab, tag; an empty line after each sentence."""
    rows = ("".join(f"{token}\t{tag}\n" for token, tag in zip(s.tokens, s.tags, strict=True)) for s in sentences)
    return "".join(f"{block}\n" for block in rows)


def statistics(corpus: dict[str, list[Generated]]) -> str:
    """Return a Markdown table of the sizes, the mentions per label, and the share of mentions unseen in train.

    A mention is unseen if its tokens are not an entity of any label in train.
    """
    seen = {text for sentence in corpus["train"] for _, text in sentence.mentions}
    mentions = {split: [m for s in sentences for m in s.mentions] for split, sentences in corpus.items()}
    counts = {split: Counter(label for label, _ in found) for split, found in mentions.items()}
    unseen = {split: Counter(label for label, text in found if text not in seen) for split, found in mentions.items()}
    empty = {split: sum(not s.mentions for s in sentences) for split, sentences in corpus.items()}

    def share(part: int, whole: int) -> str:
        return f"{part} ({100 * part / whole:.0f} %)"

    rows: list[list[str]] = [["", *corpus, "dev: unseen in train", "test: unseen in train"]]
    rows.append(["---", *["---:"] * 5])
    rows.append(["sentences", *[str(len(corpus[split])) for split in corpus], "", ""])
    rows.append(["without an entity", *[share(empty[split], len(corpus[split])) for split in corpus], "", ""])
    rows.append(["tokens", *[str(sum(len(s.tokens) for s in corpus[split])) for split in corpus], "", ""])
    for label in LABELS:
        numbers = [str(counts[split][label]) for split in corpus]
        rows.append([label, *numbers, *[share(unseen[s][label], counts[s][label]) for s in ("dev", "test")]])
    totals = [str(len(mentions[split])) for split in corpus]
    rows.append(
        ["mentions", *totals, *[share(unseen[split].total(), len(mentions[split])) for split in ("dev", "test")]]
    )
    characters = {character for sentences in corpus.values() for s in sentences for character in "".join(s.tokens)}
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\nDistinct characters: {len(characters)}\n"


def main() -> None:
    """Parse the command line; write the files or print the statistics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=HERE, help="the folder to write to (default: the one of this file)"
    )
    parser.add_argument("--statistics", action="store_true", help="print the sizes as a table instead of writing")
    options = parser.parse_args()
    corpus = generate()
    if options.statistics:
        print(statistics(corpus), end="")
        return
    options.output.mkdir(parents=True, exist_ok=True)
    for split, sentences in corpus.items():
        (options.output / f"{split}.conll").write_text(conll(sentences), "utf-8", newline="\n")


if __name__ == "__main__":
    main()
