"""Corpora in any format, as three splits of sentences: `read_corpus` is the way in."""

from twinner.corpus.read import read_corpus
from twinner.corpus.sentence import Corpus, Sentence, digest, entities_of, word_count

__all__ = ["Corpus", "Sentence", "digest", "entities_of", "read_corpus", "word_count"]
