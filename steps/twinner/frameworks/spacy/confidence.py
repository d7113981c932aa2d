"""The probability of each entity that spaCy's NER finds.

At each token the NER takes the most probable action: it begins an entity, continues or ends one, or does neither. Its
training maximizes the probability of the right actions, a softmax over those that are possible at a token, and here
they are read off while it works. An entity has the product of its actions' probabilities.

spaCy's own way, the share of a beam search that holds an entity (`beam_parse`), adds up scores that are not normalized,
as a trained NER was never asked to rank whole analyses: its numbers are further from the truth.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline import EntityRecognizer
from spacy.pipeline._parser_internals.stateclass import StateClass  # for type hints
from spacy.tokens import Doc
from spacy.util import minibatch

NER = "ner"
BATCH = 128  # texts
Floats = NDArray[np.float32]


def with_confidence(nlp: Language, docs: Iterable[str | Doc]) -> Iterator[tuple[Doc, list[float]]]:
    """Yield each text, or tokenized text, with the pipeline's annotations, and the confidence in each of its tokens.

    That is the probability of the NER's action; in entities that another component has set, and without a NER, it is 1.
    """
    names = nlp.pipe_names
    if NER not in names:
        yield from ((doc, [1.0] * len(doc)) for doc in nlp.pipe(docs))
        return
    place = names.index(NER)
    ner = nlp.get_pipe(NER)
    for batch in minibatch(docs, BATCH):
        parsed = list(nlp.pipe(batch, disable=names[place:]))
        confidence = _beam_shares(ner, parsed) if ner.cfg["beam_width"] > 1 else _greedy_probabilities(ner, parsed)
        found = [doc.ents for doc in parsed]
        for name in names[place + 1 :]:
            parsed = list(nlp.get_pipe(name).pipe(parsed))
        for doc, entities, tokens in zip(parsed, found, confidence, strict=True):
            for entity in set(doc.ents).difference(entities):
                tokens[entity.start : entity.end] = 1
            yield doc, tokens.tolist()


def entity_confidence(tokens: Sequence[float]) -> float:
    """Return the probability of an entity, which is that of all its actions. tokens: those of its tokens."""
    return math.prod(tokens)


def _beam_shares(ner: EntityRecognizer, docs: Sequence[Doc]) -> list[Floats]:
    """Set the entities of each doc, as a NER with a beam does; the first token of each has its share of the beam."""
    width, density = ner.cfg["beam_width"], ner.cfg["beam_density"]
    shares = ner.scored_ents(ner.beam_parse(docs, beam_width=width, beam_density=density))
    confidence = [np.ones(len(doc), np.float32) for doc in docs]
    for doc, tokens, share in zip(ner.pipe(docs), confidence, shares, strict=True):
        for entity in doc.ents:
            tokens[entity.start] = share[entity.start, entity.end, entity.label_]
    return confidence


def _greedy_probabilities(ner: EntityRecognizer, docs: Sequence[Doc]) -> list[Floats]:
    """Set the entities of each doc, as a greedy NER does; return the probability of the action at each token."""
    actions = _actions(ner, ner.moves.n_moves)
    open_labels = [""] * len(docs)
    states = ner.moves.init_batch(docs)
    step_model = ner.model.predict(docs)
    going = [(number, state) for number, state in enumerate(states) if not state.is_final()]
    steps = []
    while going:
        numbers, at_work = zip(*going, strict=True)
        scores = step_model.predict(at_work)
        possible = [actions.possible(state, open_labels[number], not docs[number].ents) for number, state in going]
        scores_of_possible = np.where(possible, scores, -np.inf)
        # The first of equal ones, as in spaCy.
        for number, action in zip(numbers, scores_of_possible.argmax(axis=1).tolist(), strict=True):
            open_labels[number] = actions.label_left_open[action]
        steps.append((numbers, scores_of_possible))
        ner.transition_states(at_work, scores)
        going = [(number, state) for number, state in going if not state.is_final()]
    step_model.clear_memory()
    ner.set_annotations(docs, states)
    return _probabilities_of_best(steps, [len(doc) for doc in docs])


def _probabilities_of_best(steps: Sequence[tuple[Sequence[int], Floats]], lengths: Sequence[int]) -> list[Floats]:
    """Return the softmax of the highest score of each token, of docs with these lengths.

    steps: for each position in the docs, the numbers of the n docs that are so long, and their (n, actions) scores.
    """
    probabilities = [np.ones(length, np.float32) for length in lengths]
    if steps:
        scores = np.concatenate([scores for _, scores in steps])
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))  # 1 for the best
        places = ((number, token) for token, (numbers, _) in enumerate(steps) for number in numbers)
        for (number, token), probability in zip(places, 1 / weights.sum(axis=1), strict=True):
            probabilities[number][token] = probability
    return probabilities


@lru_cache(maxsize=1)
def _actions(ner: EntityRecognizer, count: int) -> "_Actions":
    """Return the actions of a NER, which a server asks for with every text. count: of them; it changes with labels."""
    return _Actions(ner)


class _Actions:
    """The actions of a NER, by number: `B-`, `I-`, `L-` and `U-` with a label, and `O`.

    label_left_open: the label of the entity that goes on after an action; empty: none does.
    """

    def __init__(self, ner: EntityRecognizer) -> None:
        self._moves = ner.moves
        self._names = [ner.moves.get_class_name(number) for number in range(ner.moves.n_moves)]
        kinds = {kind: [name for name in self._names if name[:2] == kind and len(name) > 2] for kind in ("B-", "U-")}
        self._starting = [group for group in (*kinds.values(), ["O"]) if group]
        self._masks: dict[tuple[str, ...], NDArray[np.bool_]] = {}
        self.label_left_open = [name[2:] if name[0] in "BI" else "" for name in self._names]

    def possible(self, state: StateClass, open_label: str, is_free: bool) -> NDArray[np.bool_]:
        """Return whether a state allows each action. open_label: of the entity that it is in; is_free: no other
        component has set entities, so that all labels are alike.
        """
        groups = [[f"I-{open_label}"], [f"L-{open_label}"]] if open_label else self._starting
        if not is_free:
            groups = [[name] for group in groups for name in group]
        valid = self._moves.is_valid
        allowed = tuple(name for group in groups if valid(state, group[0]) for name in group)
        if allowed not in self._masks:
            self._masks[allowed] = np.isin(self._names, allowed)
        return self._masks[allowed]
