"""Fit the tokenizer of a pipeline to the tokens that the training data has.

A NER is trained on given tokens, and gets those of its tokenizer in use. Where they differ it meets words that it has
never seen: CoNLL-2003 has `German-born` and `1996-08-22` as one token, spaCy's English has three and five.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

from spacy.attrs import ORTH
from spacy.language import Language
from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc

from twinner.corpus import Sentence

SAMPLE = 2000  # sentences that the rules are chosen by
MOST_KEPT = 20_000  # tokens that are kept whole by name; the model carries them
NOWHERE = re.compile(r"(?!)").finditer  # None would not survive saving


def fit_tokenizer(nlp: Language, train: Sequence[Sentence]) -> None:
    """Let a tokenizer with spaCy's rules split texts as the training data is, as far as that is possible.

    Within words it splits only if more training sentences get their own tokens so. Tokens that it would split, but the
    training data mostly does not, are kept whole. A tokenizer of another kind is left alone.
    """
    tokenizer = nlp.tokenizer
    if type(tokenizer) is not Tokenizer:
        return
    sample = train[:SAMPLE]
    within = tokenizer.infix_finditer
    alike = _alike(tokenizer, sample)
    tokenizer.infix_finditer = NOWHERE
    if _alike(tokenizer, sample) <= alike:
        tokenizer.infix_finditer = within
    whole = Counter(token for sentence in train for token in sentence.tokens)
    split = Counter(first + second for sentence in train for first, second in pairwise(sentence.tokens))
    kept = (token for token, count in whole.most_common() if count > split[token] and _splits(tokenizer, token))
    for token, _ in zip(kept, range(MOST_KEPT), strict=False):
        tokenizer.add_special_case(token, [{ORTH: token}])


def tokens_of(tokenizer: Callable[[str], Doc], text: str) -> tuple[str, ...]:
    """Return the tokens of a text, without those of white space alone."""
    return tuple(token.text for token in tokenizer(text) if not token.is_space)


def _alike(tokenizer: Tokenizer, sentences: Sequence[Sentence]) -> int:
    return sum(tokens_of(tokenizer, sentence.text) == sentence.tokens for sentence in sentences)


def _splits(tokenizer: Tokenizer, token: str) -> bool:
    return not any(character.isspace() for character in token) and len(tokenizer(token)) > 1
