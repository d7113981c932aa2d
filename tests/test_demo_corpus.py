"""The committed demo corpus is what the generator writes, and is worth training on."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import spacy
from seqeval.scheme import IOB2, Entities

DATA = Path(__file__).resolve().parents[1] / "data"
SPLITS = {"train": 2000, "dev": 300, "test": 500}
LABELS = {"DRUG", "STRENGTH", "FORM", "ROUTE", "FREQUENCY", "DURATION", "DIAGNOSIS"}

Rows = list[tuple[str, str]]
Mention = tuple[str, str]


def read(split: str) -> list[Rows]:
    """Read a file's sentences as (token, tag), without the project's own reader."""
    blocks = (DATA / f"{split}.conll").read_text("utf-8").removesuffix("\n\n").split("\n\n")
    return [[(token, tag) for token, tag in (row.split("\t") for row in block.split("\n"))] for block in blocks]


def mentions(sentence: Rows) -> list[Mention]:
    """Return the entities as (label, surface), found by seqeval in strict IOB2."""
    found = Entities([[tag for _, tag in sentence]], IOB2)
    return [(e.tag, " ".join(token for token, _ in sentence[e.start : e.end])) for e in found.entities[0]]


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[Rows]]:
    return {split: read(split) for split in SPLITS}


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo_corpus_generator", DATA / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_generator_reproduces_the_committed_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(DATA / "generate.py"), "--output", str(tmp_path)], check=True, cwd=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.conll", "test.conll", "train.conll"]
    for split in SPLITS:
        assert (tmp_path / f"{split}.conll").read_bytes() == (DATA / f"{split}.conll").read_bytes()


def test_split_sizes(corpus: dict[str, list[Rows]]) -> None:
    assert {split: len(sentences) for split, sentences in corpus.items()} == SPLITS


def test_valid_iob2_with_all_labels_in_every_split(corpus: dict[str, list[Rows]]) -> None:
    for sentences in corpus.values():
        labels = set()
        for sentence in sentences:
            tags = [tag for _, tag in sentence]
            # Strict IOB2 ignores an I- outside of an entity, so the entities must cover all tags but O.
            found = Entities([tags], IOB2).entities[0]
            assert sum(e.end - e.start for e in found) == sum(tag != "O" for tag in tags), tags
            labels |= {e.tag for e in found}
        assert labels == LABELS


def test_lines_are_token_tab_tag_without_document_marks() -> None:
    for split in SPLITS:
        text = (DATA / f"{split}.conll").read_bytes().decode("utf-8")
        assert re.fullmatch(r"((\S+\t(O|[BI]-[A-Z]+)\n)+\n)+", text)
        assert "-DOCSTART-" not in text


def test_tags_and_characters_fit_spark_nlps_graphs(corpus: dict[str, list[Rows]]) -> None:
    rows = [row for sentences in corpus.values() for sentence in sentences for row in sentence]
    assert len({tag for _, tag in rows}) <= 38
    assert len({character for token, _ in rows for character in token}) <= 110  # the graphs take 128


@pytest.mark.parametrize("split", ["dev", "test"])
def test_at_least_30_percent_of_mentions_are_unseen_in_train(corpus: dict[str, list[Rows]], split: str) -> None:
    # Ignoring case is stricter than comparing exact surfaces.
    seen = {surface.casefold() for sentence in corpus["train"] for _, surface in mentions(sentence)}
    surfaces = [surface.casefold() for sentence in corpus[split] for _, surface in mentions(sentence)]
    assert sum(surface not in seen for surface in surfaces) / len(surfaces) >= 0.30


def test_sentences_are_unique_across_splits(corpus: dict[str, list[Rows]]) -> None:
    sentences = [tuple(token for token, _ in sentence) for split in corpus.values() for sentence in split]
    assert len(set(sentences)) == len(sentences)


@pytest.mark.parametrize("split", SPLITS)
def test_15_to_25_percent_of_sentences_have_no_entity(corpus: dict[str, list[Rows]], split: str) -> None:
    empty = sum(not mentions(sentence) for sentence in corpus[split])
    assert 0.15 <= empty / len(corpus[split]) <= 0.25


@pytest.mark.parametrize("word", ["Pflaster", "Tropfen", "Infusion", "Kalium", "Eisen", "Insulin", "Zucker"])
def test_ambiguous_words_occur_inside_and_outside_entities(corpus: dict[str, list[Rows]], word: str) -> None:
    tags = {tag for sentence in corpus["train"] for token, tag in sentence if token == word}
    assert "O" in tags
    assert tags - {"O"}


def test_tokens_match_spacys_german_tokenizer(corpus: dict[str, list[Rows]], generator: ModuleType) -> None:
    nlp = spacy.blank("de")
    generated = generator.generate()
    for split, sentences in corpus.items():
        for sentence, source in zip(sentences, generated[split], strict=True):
            assert [token for token, _ in sentence] == [token.text for token in nlp(source.text)]


def test_expanded_frame_has_its_slots_as_entities(generator: ModuleType) -> None:
    rules = {"DRUG": ["Kalium"], "STRENGTH": ["5 mg"], "DIAGNOSIS": ["f akut* Gastritis"]}
    grammar = generator.Grammar(generator.Dice(0), rules, {}, {})
    writer = generator.Writer(grammar, rules)
    pieces = writer.expand("Bei bekannt* {DIAGNOSIS:dat} {DRUG} {STRENGTH}, {-DRUG} im Serum.")
    sentence = generator.tokenise(pieces, spacy.blank("de"))
    assert sentence.text == "Bei bekannter akuter Gastritis Kalium 5 mg, Kalium im Serum."
    assert sentence.mentions == [("DIAGNOSIS", "akuter Gastritis"), ("DRUG", "Kalium"), ("STRENGTH", "5 mg")]


def test_readme_shows_the_statistics(generator: ModuleType) -> None:
    assert generator.statistics(generator.generate()) in (DATA / "README.md").read_text("utf-8")
