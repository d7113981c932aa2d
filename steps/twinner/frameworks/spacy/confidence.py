"""The probability of each entity that spaCy's NER finds.

At each token the NER takes the most probable action: it begins an entity, continues or ends one, or does neither. Its
training maximizes the probability of the right actions, a softmax over those that are possible at a token, and here
they are read off while it works. An entity has the product of its actions' probabilities.

spaCy's own way, the share of a beam search that holds an entity (`beam_parse`), adds up scores that are not normalized,
as a trained NER was never asked to rank whole analyses: its numbers are further from the truth.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline import EntityRecognizer
from spacy.tokens import Doc
from spacy.util import minibatch

NER = "ner"
BATCH = 128  # texts
Floats = NDArray[np.float32]


def with_confidence(nlp: Language, docs: Iterable[str | Doc]) -> Iterator[tuple[Doc, list[float]]]:
    """Yield each text, or tokenized text, with the pipeline's annotations, and the confidence in each of its tokens.

    That is the probability of the NER's action; in entities that another component has set it is 1.
    """
    names = nlp.pipe_names
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
    scores = [np.zeros((len(doc), ner.moves.n_moves), np.float32) for doc in docs]
    states = ner.moves.init_batch(docs)
    step_model = ner.model.predict(docs)
    going = [(number, state) for number, state in enumerate(states) if not state.is_final()]
    token = 0
    while going:
        rows = step_model.predict([state for _, state in going])
        for row, (number, _) in zip(rows, going, strict=True):
            scores[number][token] = row
        ner.transition_states([state for _, state in going], rows)
        going = [(number, state) for number, state in going if not state.is_final()]
        token += 1
    step_model.clear_memory()
    ner.set_annotations(docs, states)
    names = [ner.moves.get_class_name(action) for action in range(ner.moves.n_moves)]
    return [_action_probabilities(names, doc, rows) for doc, rows in zip(docs, scores, strict=True)]


def _action_probabilities(names: Sequence[str], doc: Doc, scores: Floats) -> Floats:
    """Return the probability of each action that led to a doc's entities. scores: tokens x actions, `names` of them."""
    probabilities = np.ones(len(doc), np.float32)
    number = {name: place for place, name in enumerate(names)}
    begin = [name.startswith("B-") for name in names]
    outside = np.array([name == "O" or (name[:2] in ("B-", "U-") and len(name) > 2) for name in names])
    at_end = outside & ~np.array(begin)
    taken, open_label = _actions(doc), ""
    for token, action in enumerate(taken):
        is_last = token == len(taken) - 1
        if open_label:
            possible = [number[f"{kind}-{open_label}"] for kind in ("L" if is_last else "IL")]
        else:
            possible = np.flatnonzero(at_end if is_last else outside).tolist()
        known = scores[token, possible]
        weights = np.exp(known - known.max())
        if number[action] in possible:
            probabilities[token] = weights[possible.index(number[action])] / weights.sum()
        open_label = action[2:] if action[0] in "BI" else ""
    return probabilities


def _actions(doc: Doc) -> list[str]:
    """Return the action at each token that gives the doc's entities: `B-`, `I-`, `L-` and `U-` with a label, or `O`."""
    actions = ["O"] * len(doc)
    for entity in doc.ents:
        kinds = "U" if len(entity) == 1 else "B" + "I" * (len(entity) - 2) + "L"
        actions[entity.start : entity.end] = [f"{kind}-{entity.label_}" for kind in kinds]
    return actions
